// TensorFlow operations between images and planes, and on planes.
#include <algorithm>
#include <vector>

#include "tensors.h"

namespace sparse {
namespace {

using tensorflow::DEVICE_CPU;
using tensorflow::OpKernel;

class EnterOp : public OpKernel {
 public:
  explicit EnterOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("border", &border_));
    OP_REQUIRES_OK(context, context->GetAttr("repeat", &repeat_));
  }
  void Compute(OpKernelContext* context) override {
    const Tensor& images = context->input(0);
    OP_REQUIRES(context, images.dims() == 4, InvalidArgument("images: must have rank 4"));
    const int64_t batch = images.dim_size(0);
    const Planes planes{(batch + kLanes - 1) / kLanes, images.dim_size(1), images.dim_size(2),
                        images.dim_size(3), border_};
    Tensor* out = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, ShapeOf(planes), &out));
    const float* from = images.flat<float>().data();
    float* to = out->flat<float>().data();
    Share(context, planes.groups, 1.0 * planes.group(), [&](int64_t first, int64_t last) {
      for (int64_t group = first; group < last; group++)
        Enter(planes, group, batch, repeat_, from, to);
    });
  }

 private:
  int64_t border_;
  bool repeat_;
};

class LeaveOp : public OpKernel {
 public:
  explicit LeaveOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("border", &border_));
  }
  void Compute(OpKernelContext* context) override {
    Planes planes;
    OP_REQUIRES_OK(context, PlanesOf(context->input(0), border_, &planes));
    OP_REQUIRES(context, context->input(1).NumElements() == 1,
                InvalidArgument("batch: must be a number"));
    const int64_t batch = context->input(1).flat<int32_t>()(0);
    OP_REQUIRES(context, (batch + kLanes - 1) / kLanes == planes.groups && batch >= 0,
                InvalidArgument("batch=", batch, ": must have ", planes.groups, " groups"));
    Tensor* out = nullptr;
    OP_REQUIRES_OK(
        context, context->allocate_output(
                     0, {batch, planes.height, planes.width, planes.channels}, &out));
    const float* from = context->input(0).flat<float>().data();
    float* to = out->flat<float>().data();
    Share(context, planes.groups, 1.0 * planes.group(), [&](int64_t first, int64_t last) {
      for (int64_t group = first; group < last; group++) Leave(planes, group, batch, from, to);
    });
  }

 private:
  int64_t border_;
};

// The gradient where the output of a ReLU is positive.
class GateOp : public OpKernel {
 public:
  using OpKernel::OpKernel;
  void Compute(OpKernelContext* context) override {
    const Tensor &gradient = context->input(0), &y = context->input(1);
    OP_REQUIRES(context, gradient.shape() == y.shape(), InvalidArgument("the shapes differ"));
    Tensor* out = nullptr;
    OP_REQUIRES_OK(context, context->forward_input_or_allocate_output({0}, 0, y.shape(), &out));
    const float *from = gradient.flat<float>().data(), *gate = y.flat<float>().data();
    float* to = out->flat<float>().data();
    Share(context, y.NumElements() / kLanes, 6, [&](int64_t first, int64_t last) {
      for (int64_t i = first * kLanes; i < last * kLanes; i += kWidth) {
        const Vector own = Load(from + i);
        Store(to + i, Load(gate + i) > 0.0f ? own : Vector{});
      }
    });
  }
};

// The sum of each channel over images and pixels, group by group.
class ChannelSumsOp : public OpKernel {
 public:
  explicit ChannelSumsOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("border", &border_));
  }
  void Compute(OpKernelContext* context) override {
    Planes planes;
    OP_REQUIRES_OK(context, PlanesOf(context->input(0), border_, &planes));
    Tensor* out = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, {planes.channels}, &out));
    const float* from = context->input(0).flat<float>().data();
    std::vector<float> sums(planes.groups * planes.pixel(), 0.0f);
    Share(context, planes.groups, 0.5 * planes.group(), [&](int64_t first, int64_t last) {
      for (int64_t group = first; group < last; group++) {
        float* own = sums.data() + group * planes.pixel();
        for (int64_t y = 0; y < planes.height; y++) {
          const float* row = from + group * planes.group() + planes.at(y, 0);
          for (int64_t x = 0; x < planes.width; x++, row += planes.pixel())
            for (int64_t i = 0; i < planes.pixel(); i += kWidth)
              Store(own + i, Load(own + i) + Load(row + i));
        }
      }
    });
    float* to = out->flat<float>().data();
    std::fill(to, to + planes.channels, 0.0f);
    for (int64_t group = 0; group < planes.groups; group++)
      for (int64_t c = 0; c < planes.channels; c++)
        for (int64_t i = 0; i < kLanes; i += kWidth)
          to[c] += Sum(Load(sums.data() + group * planes.pixel() + c * kLanes + i));
  }

 private:
  int64_t border_;
};

}  // namespace

REGISTER_OP("RobustSparseEnter")
    .Input("images: float")
    .Attr("border: int")
    .Attr("repeat: bool")
    .Output("planes: float")
    .SetShapeFn([](InferenceContext* context) {
      ShapeHandle in;
      TF_RETURN_IF_ERROR(context->WithRank(context->input(0), 4, &in));
      int64_t border;
      TF_RETURN_IF_ERROR(context->GetAttr("border", &border));
      auto groups = context->UnknownDim();
      if (context->ValueKnown(context->Dim(in, 0)))
        groups = context->MakeDim((context->Value(context->Dim(in, 0)) + kLanes - 1) / kLanes);
      tensorflow::shape_inference::DimensionHandle height, width;
      TF_RETURN_IF_ERROR(context->Add(context->Dim(in, 1), 2 * border, &height));
      TF_RETURN_IF_ERROR(context->Add(context->Dim(in, 2), 2 * border, &width));
      context->set_output(0, context->MakeShape({groups, height, width, context->Dim(in, 3),
                                                 context->MakeDim(kLanes)}));
      return tensorflow::OkStatus();
    });
REGISTER_KERNEL_BUILDER(Name("RobustSparseEnter").Device(DEVICE_CPU), EnterOp);

REGISTER_OP("RobustSparseLeave")
    .Input("planes: float")
    .Input("batch: int32")
    .Attr("border: int")
    .Output("images: float")
    .SetShapeFn([](InferenceContext* context) {
      ShapeHandle in;
      TF_RETURN_IF_ERROR(context->WithRank(context->input(0), 5, &in));
      int64_t border;
      TF_RETURN_IF_ERROR(context->GetAttr("border", &border));
      tensorflow::shape_inference::DimensionHandle height, width;
      TF_RETURN_IF_ERROR(context->Subtract(context->Dim(in, 1), 2 * border, &height));
      TF_RETURN_IF_ERROR(context->Subtract(context->Dim(in, 2), 2 * border, &width));
      auto batch = context->UnknownDim();
      if (const Tensor* given = context->input_tensor(1); given && given->NumElements() == 1)
        batch = context->MakeDim(given->flat<int32_t>()(0));
      context->set_output(0, context->MakeShape({batch, height, width, context->Dim(in, 3)}));
      return tensorflow::OkStatus();
    });
REGISTER_KERNEL_BUILDER(Name("RobustSparseLeave").Device(DEVICE_CPU), LeaveOp);

REGISTER_OP("RobustSparseGate")
    .Input("gradient: float")
    .Input("y: float")
    .Output("gated: float")
    .SetShapeFn([](InferenceContext* context) {
      context->set_output(0, context->input(1));
      return tensorflow::OkStatus();
    });
REGISTER_KERNEL_BUILDER(Name("RobustSparseGate").Device(DEVICE_CPU), GateOp);

REGISTER_OP("RobustSparseChannelSums")
    .Input("planes: float")
    .Attr("border: int")
    .Output("sums: float")
    .SetShapeFn([](InferenceContext* context) {
      ShapeHandle in;
      TF_RETURN_IF_ERROR(context->WithRank(context->input(0), 5, &in));
      context->set_output(0, context->Vector(context->Dim(in, 3)));
      return tensorflow::OkStatus();
    });
REGISTER_KERNEL_BUILDER(Name("RobustSparseChannelSums").Device(DEVICE_CPU), ChannelSumsOp);

}  // namespace sparse
