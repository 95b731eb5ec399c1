// Lists of the active weights of a convolution, with the offsets that its products read at.
#ifndef ROBUST_SPARSE_TF_PACK_H_
#define ROBUST_SPARSE_TF_PACK_H_

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "planes.h"

namespace sparse {

// From x to y. A dense layer is a 1x1 convolution of images of one pixel.
struct Convolution {
  int64_t kernel_height, kernel_width, stride, top, left;  // zeros needed above, and to the left
  Planes x, y;                                             // their groups are not used

  int64_t taps() const { return kernel_height * kernel_width; }
  int64_t weights() const { return taps() * x.channels * y.channels; }
};

inline int64_t Floor(int64_t a, int64_t b) { return a >= 0 ? a / b : -((b - 1 - a) / b); }

// Whether all products stay inside the borders of both tensors, and offsets fit into 32 bits.
inline bool IsInside(const Convolution& conv) {
  const Planes &x = conv.x, &y = conv.y;
  const int64_t s = conv.stride;
  const int64_t bottom = (y.height - 1) * s + conv.kernel_height - conv.top - x.height;
  const int64_t right = (y.width - 1) * s + conv.kernel_width - conv.left - x.width;
  // The gradient by the input reads the output's gradient.
  const int64_t above = -Floor(conv.top - conv.kernel_height + 1, s);
  const int64_t before = -Floor(conv.left - conv.kernel_width + 1, s);
  const int64_t below = Floor(x.height - 1 + conv.top, s) - (y.height - 1);
  const int64_t after = Floor(x.width - 1 + conv.left, s) - (y.width - 1);
  const int64_t limit = std::numeric_limits<int32_t>::max();
  return std::max({conv.top, conv.left, bottom, right}) <= x.border &&
         std::max({above, before, below, after}) <= y.border && conv.weights() <= limit &&
         x.group() <= limit && y.group() <= limit;
}

// The active weights by channel: those of channel c are entries [starts[c], starts[c + 1]).
struct Packed {
  std::vector<int32_t> starts, offsets;
  std::vector<float> values;
  std::vector<int32_t> places;  // in the dense weight [tap, input, output]; by output only

  void Add(int64_t offset, float value) {
    offsets.push_back(static_cast<int32_t>(offset));
    values.push_back(value);
  }
  void EndChannel() { starts.push_back(static_cast<int32_t>(offsets.size())); }
};

// Turns rows of counts into the places of the first entry of each channel; returns the starts.
inline std::vector<int32_t> Starts(const std::vector<int32_t>& counts) {
  std::vector<int32_t> starts(counts.size() + 1, 0);
  for (size_t c = 0; c < counts.size(); c++) starts[c + 1] = starts[c] + counts[c];
  return starts;
}

// Packs by output. Offsets in x are from the pixel of the first tap. Without a mask, all weights
// are active.
inline Packed PackByOutput(const Convolution& conv, const float* weight, const float* mask) {
  const int64_t outputs = conv.y.channels, size = conv.weights();
  std::vector<int32_t> counts(outputs, 0);
  for (int64_t row = 0; row < size; row += outputs)
    for (int64_t o = 0; o < outputs; o++) counts[o] += !mask || mask[row + o] != 0;
  Packed packed;
  packed.starts = Starts(counts);
  packed.offsets.resize(packed.starts.back());
  packed.values.resize(packed.starts.back());
  packed.places.resize(packed.starts.back());
  std::vector<int32_t> next(packed.starts.begin(), packed.starts.end() - 1);
  const float* row = weight;
  for (int64_t tap = 0; tap < conv.taps(); tap++) {
    const int64_t pixel =
        tap / conv.kernel_width * conv.x.row() + tap % conv.kernel_width * conv.x.pixel();
    for (int64_t i = 0; i < conv.x.channels; i++, row += outputs)
      for (int64_t o = 0; o < outputs; o++) {
        if (mask && mask[row - weight + o] == 0) continue;
        const int32_t k = next[o]++;
        packed.offsets[k] = static_cast<int32_t>(pixel + i * kLanes);
        packed.values[k] = row[o];
        packed.places[k] = static_cast<int32_t>(row - weight + o);
      }
  }
  return packed;
}

// Packs by input, for pixels (down, across) of x modulo the stride. Offsets in the gradient of y
// are from the pixel at the quotients.
inline void PackByInput(const Convolution& conv, const float* weight, const float* mask,
                        int64_t down, int64_t across, Packed* packed) {
  const int64_t inputs = conv.x.channels, outputs = conv.y.channels;
  for (int64_t i = 0; i < inputs; i++) {
    for (int64_t tap = 0; tap < conv.taps(); tap++) {
      const int64_t y = down + conv.top - tap / conv.kernel_width;
      const int64_t x = across + conv.left - tap % conv.kernel_width;
      if (y % conv.stride || x % conv.stride) continue;
      const int64_t pixel =
          y / conv.stride * conv.y.row() + x / conv.stride * conv.y.pixel();
      const int64_t row = (tap * inputs + i) * outputs;
      for (int64_t o = 0; o < outputs; o++)
        if (!mask || mask[row + o] != 0) packed->Add(pixel + o * kLanes, weight[row + o]);
    }
    packed->EndChannel();
  }
}

// Packs by input for all pixels modulo the stride, row by row.
inline Packed PackByInput(const Convolution& conv, const float* weight, const float* mask) {
  Packed packed;
  packed.starts.push_back(0);
  for (int64_t down = 0; down < conv.stride; down++)
    for (int64_t across = 0; across < conv.stride; across++)
      PackByInput(conv, weight, mask, down, across, &packed);
  return packed;
}

}  // namespace sparse

#endif  // ROBUST_SPARSE_TF_PACK_H_
