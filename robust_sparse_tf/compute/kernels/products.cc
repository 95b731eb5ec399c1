// TensorFlow operations on sparse weights: packing them, and their products.
#include "products.h"

#include <algorithm>
#include <string>
#include <vector>

#include "tensorflow/core/framework/tensor_util.h"
#include "tensors.h"

namespace sparse {
namespace {

using tensorflow::DEVICE_CPU;
using tensorflow::OpKernel;

// Some of the outputs of one row, when there are few rows: fixed, so that results are, too.
constexpr int64_t kChunks = 8;

Status Allocate(OpKernelContext* context, int place, const TensorShape& shape, float** data) {
  Tensor* tensor = nullptr;
  TF_RETURN_IF_ERROR(context->allocate_output(place, shape, &tensor));
  *data = tensor->flat<float>().data();
  return tensorflow::OkStatus();
}

template <typename T>
Status Write(OpKernelContext* context, int place, const std::vector<T>& values) {
  Tensor* tensor = nullptr;
  const int64_t size = values.size();
  TF_RETURN_IF_ERROR(context->allocate_output(place, {size}, &tensor));
  std::copy(values.begin(), values.end(), tensor->flat<T>().data());
  return tensorflow::OkStatus();
}

// The lists in three inputs from `place` on, checked so that no product reads outside its planes.
Status ListsOf(OpKernelContext* context, int place, int64_t channels, int64_t lowest,
               int64_t highest, Lists* lists, int64_t* count) {
  const Tensor &starts = context->input(place), &offsets = context->input(place + 1),
               &values = context->input(place + 2);
  *count = offsets.NumElements();
  if (starts.NumElements() != channels + 1 || values.NumElements() != *count)
    return InvalidArgument("the lists are of another layer");
  *lists = {starts.flat<int32_t>().data(), offsets.flat<int32_t>().data(),
            values.flat<float>().data()};
  bool valid = lists->starts[0] == 0 && lists->starts[channels] == *count;
  for (int64_t c = 0; c < channels; c++) valid &= lists->starts[c] <= lists->starts[c + 1];
  int32_t least = 0, most = 0;
  for (int64_t k = 0; k < *count; k++) {
    least = std::min(least, lists->offsets[k]);
    most = std::max(most, lists->offsets[k]);
  }
  if (!valid || least < lowest || most > highest)
    return InvalidArgument("the lists are of another geometry");
  return tensorflow::OkStatus();
}

// The largest offset in x from the pixel of the first tap.
int64_t LastOffset(const Convolution& conv) {
  return (conv.kernel_height - 1) * conv.x.row() + conv.kernel_width * conv.x.pixel() - kLanes;
}

class PackOp : public OpKernel {
 public:
  explicit PackOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, GeometryOf(context, &conv_));
  }
  void Compute(OpKernelContext* context) override {
    const Tensor &weight = context->input(0), &mask = context->input(1);
    OP_REQUIRES(context, weight.NumElements() == conv_.weights(),
                InvalidArgument("the weight is of another layer: ", weight.shape().DebugString()));
    OP_REQUIRES(context, !mask.NumElements() || mask.NumElements() == conv_.weights(),
                InvalidArgument("the mask is of another layer: ", mask.shape().DebugString()));
    const float* values = weight.flat<float>().data();
    const float* active = mask.NumElements() ? mask.flat<float>().data() : nullptr;
    Packed found[2];
    Share(context, 2, conv_.weights() * 4.0, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; i++)
        found[i] = i ? PackByInput(conv_, values, active) : PackByOutput(conv_, values, active);
    });
    for (int i = 0; i < 2; i++) {
      OP_REQUIRES_OK(context, Write(context, 3 * i, found[i].starts));
      OP_REQUIRES_OK(context, Write(context, 3 * i + 1, found[i].offsets));
      OP_REQUIRES_OK(context, Write(context, 3 * i + 2, found[i].values));
    }
    OP_REQUIRES_OK(context, Write(context, 6, found[0].places));
  }

 private:
  Convolution conv_;
};

class UnpackOp : public OpKernel {
 public:
  using OpKernel::OpKernel;
  void Compute(OpKernelContext* context) override {
    const Tensor &values = context->input(0), &places = context->input(1);
    TensorShape shape;
    OP_REQUIRES_OK(context, tensorflow::tensor::MakeShape(context->input(2), &shape));
    float* out;
    OP_REQUIRES_OK(context, Allocate(context, 0, shape, &out));
    OP_REQUIRES(context, values.NumElements() == places.NumElements(),
                InvalidArgument("as many values as places are needed"));
    const int64_t size = shape.num_elements();
    std::fill(out, out + size, 0.0f);
    const int32_t* at = places.flat<int32_t>().data();
    const float* value = values.flat<float>().data();
    for (int64_t k = 0; k < values.NumElements(); k++) {
      OP_REQUIRES(context, at[k] >= 0 && at[k] < size, InvalidArgument("a place is outside"));
      out[at[k]] = value[k];
    }
  }
};

class ProductOp : public OpKernel {
 public:
  explicit ProductOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, GeometryOf(context, &conv_));
    OP_REQUIRES_OK(context, context->GetAttr("relu", &relu_));
  }
  void Compute(OpKernelContext* context) override {
    const Tensor &x = context->input(0), &bias = context->input(1);
    Planes from = conv_.x, to = conv_.y;
    OP_REQUIRES_OK(context, SetGroups(x, &from));
    to.groups = from.groups;
    OP_REQUIRES(context, !bias.NumElements() || bias.NumElements() == to.channels,
                InvalidArgument("the bias is of another layer"));
    Lists lists;
    int64_t count;
    OP_REQUIRES_OK(context,
                   ListsOf(context, 2, to.channels, 0, LastOffset(conv_), &lists, &count));
    float* out;
    OP_REQUIRES_OK(context, Allocate(context, 0, ShapeOf(to), &out));
    const float* in = x.flat<float>().data();
    const float* add = bias.NumElements() ? bias.flat<float>().data() : nullptr;
    const Convolution conv = AsRow(conv_, from.groups);
    const int64_t rows = conv.y.groups * conv.y.height;
    const int64_t chunks = rows < kChunks ? std::min(kChunks, to.channels) : 1;
    Share(context, rows * chunks, 2.0 * (count + to.channels) * conv.y.width / chunks,
          [&](int64_t first, int64_t last) {
            for (int64_t unit = first; unit < last; unit++) {
              const int64_t row = unit / chunks, chunk = unit % chunks;
              const int64_t group = row / conv.y.height, y = row % conv.y.height;
              if (y == 0 && chunk == 0) ClearBorder(conv.y, out + group * conv.y.group());
              Forward(conv, lists, add, relu_, group, y,
                      {chunk * to.channels / chunks, (chunk + 1) * to.channels / chunks}, in, out);
            }
          });
  }

 private:
  Convolution conv_;
  bool relu_;
};

class ByInputOp : public OpKernel {
 public:
  explicit ByInputOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, GeometryOf(context, &conv_));
  }
  void Compute(OpKernelContext* context) override {
    const Tensor& gradient = context->input(0);
    Planes from = conv_.y, to = conv_.x;
    OP_REQUIRES_OK(context, SetGroups(gradient, &from));
    to.groups = from.groups;
    const int64_t s = conv_.stride, classes = s * s;
    Lists lists;
    int64_t count;
    const int64_t up = Reach(conv_.top, conv_.kernel_height) * from.row() +
                       Reach(conv_.left, conv_.kernel_width) * from.pixel();
    const int64_t down = (conv_.top + s - 1) / s * from.row() +
                         (conv_.left + s - 1) / s * from.pixel() + from.pixel() - kLanes;
    OP_REQUIRES_OK(context, ListsOf(context, 1, classes * to.channels, -up, down, &lists, &count));
    float* out;
    OP_REQUIRES_OK(context, Allocate(context, 0, ShapeOf(to), &out));
    const float* in = gradient.flat<float>().data();
    const Convolution conv = AsRow(conv_, from.groups);
    const int64_t rows = conv.x.groups * conv.x.height;
    const int64_t chunks = rows < kChunks ? std::min(kChunks, to.channels) : 1;
    const double entries = 1.0 * count / classes + to.channels;
    Share(context, rows * chunks, 2.0 * entries * conv.x.width / chunks,
          [&](int64_t first, int64_t last) {
            for (int64_t unit = first; unit < last; unit++) {
              const int64_t row = unit / chunks, chunk = unit % chunks;
              const int64_t group = row / conv.x.height, y = row % conv.x.height;
              if (y == 0 && chunk == 0) ClearBorder(conv.x, out + group * conv.x.group());
              ByInput(conv, lists, group, y,
                      {chunk * to.channels / chunks, (chunk + 1) * to.channels / chunks}, in, out);
            }
          });
  }

 private:
  // How far taps reach back in y.
  int64_t Reach(int64_t before, int64_t size) const {
    return std::max<int64_t>(0, -Floor(before - size + 1, conv_.stride));
  }
  Convolution conv_;
};

class ByWeightOp : public OpKernel {
 public:
  explicit ByWeightOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, GeometryOf(context, &conv_));
  }
  void Compute(OpKernelContext* context) override {
    const Tensor &x = context->input(0), &gradient = context->input(1);
    Planes from = conv_.x, to = conv_.y;
    OP_REQUIRES_OK(context, SetGroups(x, &from));
    OP_REQUIRES_OK(context, SetGroups(gradient, &to));
    OP_REQUIRES(context, from.groups == to.groups, InvalidArgument("the batches differ"));
    Lists lists;
    int64_t count;
    OP_REQUIRES_OK(context,
                   ListsOf(context, 2, to.channels, 0, LastOffset(conv_), &lists, &count));
    float* out;
    OP_REQUIRES_OK(context, Allocate(context, 0, {count}, &out));
    const float *in = x.flat<float>().data(), *above = gradient.flat<float>().data();
    const Convolution conv = AsRow(conv_, from.groups);
    const int64_t groups = conv.x.groups;
    const int64_t chunks = groups < kChunks ? std::min(kChunks, to.channels) : 1;
    // Each group has its own sums, which are added in their order.
    std::vector<float> sums(groups > 1 ? groups * count : 0);
    Share(context, groups * chunks, 2.0 * count * conv.y.height * conv.y.width / chunks,
          [&](int64_t first, int64_t last) {
            for (int64_t unit = first; unit < last; unit++) {
              const int64_t group = unit / chunks, chunk = unit % chunks;
              ByWeight(conv, lists, group,
                       {chunk * to.channels / chunks, (chunk + 1) * to.channels / chunks}, in,
                       above, groups > 1 ? sums.data() + group * count : out);
            }
          });
    if (groups == 1) return;
    for (int64_t k = 0; k < count; k++) {
      out[k] = 0;
      for (int64_t group = 0; group < groups; group++) out[k] += sums[group * count + k];
    }
  }

 private:
  Convolution conv_;
};

Status PlanesShape(InferenceContext* context, int input, bool of_x) {
  Convolution conv;
  TF_RETURN_IF_ERROR(GeometryOf(context, &conv));
  const Planes& planes = of_x ? conv.x : conv.y;
  ShapeHandle in;
  TF_RETURN_IF_ERROR(context->WithRank(context->input(input), 5, &in));
  context->set_output(0, context->MakeShape({context->Dim(in, 0),
                                             context->MakeDim(planes.height + 2 * planes.border),
                                             context->MakeDim(planes.width + 2 * planes.border),
                                             context->MakeDim(planes.channels),
                                             context->MakeDim(kLanes)}));
  return tensorflow::OkStatus();
}

}  // namespace

REGISTER_OP("RobustSparsePack")
    .Input("weight: float")
    .Input("mask: float")
    .Attr("geometry: list(int)")
    .Output("starts: int32")
    .Output("offsets: int32")
    .Output("values: float")
    .Output("input_starts: int32")
    .Output("input_offsets: int32")
    .Output("input_values: float")
    .Output("places: int32")
    .SetShapeFn([](InferenceContext* context) {
      for (int i = 0; i < 7; i++)
        context->set_output(i, context->Vector(InferenceContext::kUnknownDim));
      return tensorflow::OkStatus();
    });
REGISTER_KERNEL_BUILDER(Name("RobustSparsePack").Device(DEVICE_CPU), PackOp);

REGISTER_OP("RobustSparseUnpack")
    .Input("values: float")
    .Input("places: int32")
    .Input("shape: int32")
    .Output("weight: float")
    .SetShapeFn([](InferenceContext* context) {
      ShapeHandle shape;
      TF_RETURN_IF_ERROR(context->MakeShapeFromShapeTensor(2, &shape));
      context->set_output(0, shape);
      return tensorflow::OkStatus();
    });
REGISTER_KERNEL_BUILDER(Name("RobustSparseUnpack").Device(DEVICE_CPU), UnpackOp);

REGISTER_OP("RobustSparseProduct")
    .Input("x: float")
    .Input("bias: float")
    .Input("starts: int32")
    .Input("offsets: int32")
    .Input("values: float")
    .Input("input_starts: int32")
    .Input("input_offsets: int32")
    .Input("input_values: float")
    .Attr("geometry: list(int)")
    .Attr("relu: bool")
    .Output("y: float")
    .SetShapeFn([](InferenceContext* context) { return PlanesShape(context, 0, false); });
REGISTER_KERNEL_BUILDER(Name("RobustSparseProduct").Device(DEVICE_CPU), ProductOp);

REGISTER_OP("RobustSparseByInput")
    .Input("gradient: float")
    .Input("input_starts: int32")
    .Input("input_offsets: int32")
    .Input("input_values: float")
    .Attr("geometry: list(int)")
    .Output("x_gradient: float")
    .SetShapeFn([](InferenceContext* context) { return PlanesShape(context, 0, true); });
REGISTER_KERNEL_BUILDER(Name("RobustSparseByInput").Device(DEVICE_CPU), ByInputOp);

REGISTER_OP("RobustSparseByWeight")
    .Input("x: float")
    .Input("gradient: float")
    .Input("starts: int32")
    .Input("offsets: int32")
    .Input("values: float")
    .Attr("geometry: list(int)")
    .Output("values_gradient: float")
    .SetShapeFn([](InferenceContext* context) {
      context->set_output(0, context->input(3));
      return tensorflow::OkStatus();
    });
REGISTER_KERNEL_BUILDER(Name("RobustSparseByWeight").Device(DEVICE_CPU), ByWeightOp);

}  // namespace sparse
