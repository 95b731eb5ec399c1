// What the operations share: checks of tensors, and work over TensorFlow's threads.
#ifndef ROBUST_SPARSE_TF_TENSORS_H_
#define ROBUST_SPARSE_TF_TENSORS_H_

#include <functional>
#include <vector>

#include "pack.h"
#include "planes.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"
#include "tensorflow/core/util/work_sharder.h"

namespace sparse {

using tensorflow::OpKernelConstruction;
using tensorflow::OpKernelContext;
using tensorflow::Status;
using tensorflow::Tensor;
using tensorflow::TensorShape;
using tensorflow::errors::InvalidArgument;
using tensorflow::shape_inference::InferenceContext;
using tensorflow::shape_inference::ShapeHandle;

// Borders count twice in each direction; larger sizes would overflow.
constexpr int64_t kLargest = 1 << 20;

inline TensorShape ShapeOf(const Planes& planes) {
  return {planes.groups, planes.height + 2 * planes.border, planes.width + 2 * planes.border,
          planes.channels, kLanes};
}

// The planes of a tensor with a border.
inline Status PlanesOf(const Tensor& tensor, int64_t border, Planes* planes) {
  if (tensor.dims() != 5 || tensor.dim_size(4) != kLanes)
    return InvalidArgument("must be planes, not of shape ", tensor.shape().DebugString());
  *planes = {tensor.dim_size(0), tensor.dim_size(1) - 2 * border, tensor.dim_size(2) - 2 * border,
             tensor.dim_size(3), border};
  if (border < 0 || planes->height < 1 || planes->width < 1)
    return InvalidArgument("border is too large for shape ", tensor.shape().DebugString());
  return tensorflow::OkStatus();
}

// Whether a tensor has the shape of planes, for any number of groups, which it sets.
inline Status SetGroups(const Tensor& tensor, Planes* planes) {
  planes->groups = tensor.dims() == 5 ? tensor.dim_size(0) : 0;
  if (tensor.shape() != ShapeOf(*planes))
    return InvalidArgument("must be planes of shape ", ShapeOf(*planes).DebugString(), ", not ",
                           tensor.shape().DebugString());
  return tensorflow::OkStatus();
}

// The attribute `geometry`: kernel height and width, stride, top, left; height, width, channels and
// border of x, and of y.
template <typename Context>
Status GeometryOf(Context* context, Convolution* conv) {
  std::vector<int64_t> n;
  TF_RETURN_IF_ERROR(context->GetAttr("geometry", &n));
  if (n.size() != 13) return InvalidArgument("geometry: must have 13 numbers");
  for (size_t i = 0; i < n.size(); i++)
    if (n[i] < (i == 3 || i == 4 || i == 8 || i == 12 ? 0 : 1) || n[i] > kLargest)
      return InvalidArgument("geometry: number ", i, " is ", n[i], ", out of range");
  *conv = {n[0], n[1], n[2], n[3], n[4], {1, n[5], n[6], n[7], n[8]}, {1, n[9], n[10], n[11], n[12]}};
  const double bytes = 4.0 * kLanes * std::max(1.0 * (n[5] + 2 * n[8]) * (n[6] + 2 * n[8]) * n[7],
                                              1.0 * (n[9] + 2 * n[12]) * (n[10] + 2 * n[12]) * n[11]);
  const double weights = 1.0 * n[0] * n[1] * n[7] * n[11];
  if (bytes > 4.0 * std::numeric_limits<int32_t>::max() ||
      weights > std::numeric_limits<int32_t>::max())
    return InvalidArgument("geometry: the images or weights are too large for 32 bits");
  if (!IsInside(*conv)) return InvalidArgument("geometry: the borders are too small");
  return tensorflow::OkStatus();
}

// Runs work(first, last) on TensorFlow's threads; cost is the time of one unit in cycles.
inline void Share(OpKernelContext* context, int64_t units, double cost,
                  const std::function<void(int64_t, int64_t)>& work) {
  const auto* threads = context->device()->tensorflow_cpu_worker_threads();
  tensorflow::Shard(threads->num_threads, threads->workers, units,
                    static_cast<int64_t>(std::min(cost, 1e12)) + 1, work);
}

}  // namespace sparse

#endif  // ROBUST_SPARSE_TF_TENSORS_H_
