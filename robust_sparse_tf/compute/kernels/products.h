// Products of sparse weights and activations.
//
// Each result is a sum over a list in a fixed order, so that it does not depend on threads.
#ifndef ROBUST_SPARSE_TF_PRODUCTS_H_
#define ROBUST_SPARSE_TF_PRODUCTS_H_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "pack.h"
#include "planes.h"

namespace sparse {

// Pixels whose sums are in registers at a time: eight accumulators hide the latency of additions.
constexpr int kTile = 8 / kVectors;

// Views of `Packed`.
struct Lists {
  const int32_t* starts;
  const int32_t* offsets;
  const float* values;
};

// The channels [first, last).
struct Channels {
  int64_t first, last;
};

// A dense layer's groups become the pixels of one image, so that a tile shares each weight.
inline Convolution AsRow(Convolution conv, int64_t groups) {
  conv.x.groups = conv.y.groups = groups;
  for (const Planes* planes : {&conv.x, &conv.y})
    if (planes->height != 1 || planes->width != 1 || planes->border) return conv;
  conv.x.groups = conv.y.groups = 1;
  conv.x.width = conv.y.width = groups;
  return conv;
}

// Sums of some channels at kPixels pixels.
template <int kPixels>
inline void SumTile(const Lists& lists, Channels channels, const float* bias, bool relu,
                    const float* in, int64_t in_step, float* out, int64_t out_step) {
  for (int64_t c = channels.first; c < channels.last; c++) {
    Vector sums[kPixels][kVectors];
    const Vector start = Vector{} + (bias ? bias[c] : 0.0f);
    for (auto& pixel : sums)
      for (auto& sum : pixel) sum = start;
    for (int32_t k = lists.starts[c]; k < lists.starts[c + 1]; k++) {
      const float* from = in + lists.offsets[k];
      const float value = lists.values[k];
      for (int p = 0; p < kPixels; p++)
        for (int v = 0; v < kVectors; v++)
          sums[p][v] += value * Load(from + p * in_step + v * kWidth);
    }
    for (int p = 0; p < kPixels; p++)
      for (int v = 0; v < kVectors; v++) {
        Vector sum = sums[p][v];
        if (relu) sum = sum < 0.0f ? Vector{} : sum;  // keeps NaN, as TensorFlow does
        Store(out + p * out_step + c * kLanes + v * kWidth, sum);
      }
  }
}

// Sums of some channels at `count` pixels of a row.
inline void SumRow(const Lists& lists, Channels channels, const float* bias, bool relu,
                   const float* in, int64_t in_step, float* out, int64_t out_step, int64_t count) {
  int64_t x = 0;
  for (; x + kTile <= count; x += kTile)
    SumTile<kTile>(lists, channels, bias, relu, in + x * in_step, in_step, out + x * out_step,
                   out_step);
  if (x + kTile / 2 <= count) {
    SumTile<kTile / 2>(lists, channels, bias, relu, in + x * in_step, in_step, out + x * out_step,
                       out_step);
    x += kTile / 2;
  }
  for (; x < count; x++)
    SumTile<1>(lists, channels, bias, relu, in + x * in_step, in_step, out + x * out_step,
               out_step);
}

// One row of y of a group.
inline void Forward(const Convolution& conv, const Lists& lists, const float* bias, bool relu,
                    int64_t group, int64_t row, Channels channels, const float* in, float* out) {
  const Planes &x = conv.x, &y = conv.y;
  const float* from = in + group * x.group() + x.at(row * conv.stride - conv.top, -conv.left);
  float* to = out + group * y.group() + y.at(row, 0);
  SumRow(lists, channels, bias, relu, from, conv.stride * x.pixel(), to, y.pixel(), y.width);
}

// One row of the gradient by x of a group. The lists are of all pixels modulo the stride.
inline void ByInput(const Convolution& conv, const Lists& lists, int64_t group, int64_t row,
                    Channels channels, const float* in, float* out) {
  const Planes &x = conv.x, &y = conv.y;
  const int64_t s = conv.stride;
  for (int64_t across = 0; across < std::min(s, x.width); across++) {
    const Lists own{lists.starts + (row % s * s + across) * x.channels, lists.offsets,
                    lists.values};
    const float* from = in + group * y.group() + y.at(row / s, 0);
    float* to = out + group * x.group() + x.at(row, across);
    SumRow(own, channels, nullptr, false, from, y.pixel(), to, s * x.pixel(),
           (x.width - across + s - 1) / s);
  }
}

// Adds the products at kPixels pixels of some output channels' weights, one vector per weight.
template <int kPixels>
inline void WeightTile(const Lists& lists, Channels channels, const float* in, int64_t in_step,
                       const float* gradient, int64_t step, float* sums) {
  for (int64_t c = channels.first; c < channels.last; c++) {
    Vector own[kPixels][kVectors];
    for (int p = 0; p < kPixels; p++)
      for (int v = 0; v < kVectors; v++)
        own[p][v] = Load(gradient + p * step + c * kLanes + v * kWidth);
    for (int32_t k = lists.starts[c]; k < lists.starts[c + 1]; k++, sums += kWidth) {
      const float* from = in + lists.offsets[k];
      Vector parts[2]{};
      for (int p = 0; p < kPixels; p++)
        for (int v = 0; v < kVectors; v++)
          parts[(p * kVectors + v) % 2] += own[p][v] * Load(from + p * in_step + v * kWidth);
      Store(sums, Load(sums) + (parts[0] + parts[1]));
    }
  }
}

// The gradient by the active weights of some output channels, over one group.
inline void ByWeight(const Convolution& conv, const Lists& lists, int64_t group, Channels channels,
                     const float* in, const float* gradient, float* out) {
  const Planes &x = conv.x, &y = conv.y;
  const int32_t begin = lists.starts[channels.first], end = lists.starts[channels.last];
  std::vector<float> sums(static_cast<size_t>(end - begin) * kWidth, 0.0f);
  const int64_t step = conv.stride * x.pixel();
  for (int64_t row = 0; row < y.height; row++) {
    const float* from = in + group * x.group() + x.at(row * conv.stride - conv.top, -conv.left);
    const float* above = gradient + group * y.group() + y.at(row, 0);
    int64_t i = 0;
    for (; i + kTile <= y.width; i += kTile)
      WeightTile<kTile>(lists, channels, from + i * step, step, above + i * y.pixel(), y.pixel(),
                        sums.data());
    for (; i < y.width; i++)
      WeightTile<1>(lists, channels, from + i * step, step, above + i * y.pixel(), y.pixel(),
                    sums.data());
  }
  for (int32_t k = begin; k < end; k++)
    out[k] = Sum(Load(sums.data() + static_cast<size_t>(k - begin) * kWidth));
}

}  // namespace sparse

#endif  // ROBUST_SPARSE_TF_PRODUCTS_H_
