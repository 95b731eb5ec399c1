// The layout of activations: groups of kLanes images side by side.
//
// A tensor [groups, height + 2 * border, width + 2 * border, channels, kLanes] of floats. Each
// weight multiplies kLanes images at one place, without shuffles and with aligned loads. The border
// holds zeros, as convolutions read beyond the image. Lanes beyond the batch repeat the last image in
// activations, so that they are finite where it is, and hold zeros in gradients.
#ifndef ROBUST_SPARSE_TF_PLANES_H_
#define ROBUST_SPARSE_TF_PLANES_H_

#include <cstdint>
#include <cstring>

namespace sparse {

#ifdef __AVX512F__
constexpr int kWidth = 16;
#else
constexpr int kWidth = 8;
#endif
constexpr int kLanes = 16;
constexpr int kVectors = kLanes / kWidth;

// Any address of a float is allowed; those of the layout are multiples of 64 bytes.
typedef float Vector __attribute__((vector_size(4 * kWidth), aligned(4), may_alias));

inline Vector Load(const float* from) { return *reinterpret_cast<const Vector*>(from); }
inline void Store(float* to, Vector value) { *reinterpret_cast<Vector*>(to) = value; }
inline float Sum(Vector value) {
  float sum = 0;
  for (int i = 0; i < kWidth; i++) sum += value[i];
  return sum;
}

struct Planes {
  int64_t groups, height, width, channels, border;

  int64_t pixel() const { return channels * kLanes; }
  int64_t row() const { return (width + 2 * border) * pixel(); }
  int64_t group() const { return (height + 2 * border) * row(); }
  // Where the pixel (y, x) of a group is; coordinates in the border are negative or too large.
  int64_t at(int64_t y, int64_t x) const { return (y + border) * row() + (x + border) * pixel(); }
};

// Sets the borders of one group to zero.
inline void ClearBorder(const Planes& planes, float* group) {
  if (planes.border == 0) return;
  const int64_t ends = planes.border * planes.row(), side = planes.border * planes.pixel();
  std::memset(group, 0, 4 * ends);
  std::memset(group + planes.group() - ends, 0, 4 * ends);
  for (int64_t y = 0; y < planes.height; y++) {
    float* row = group + ends + y * planes.row();
    std::memset(row, 0, 4 * side);
    std::memset(row + planes.row() - side, 0, 4 * side);
  }
}

// Copies one group of images [batch, height, width, channels] into the layout. Lanes beyond the batch
// repeat the last image, or hold zeros.
inline void Enter(const Planes& planes, int64_t group, int64_t batch, bool repeat,
                  const float* images, float* out) {
  const int64_t size = planes.height * planes.width * planes.channels;
  const int64_t line = planes.width * planes.channels, first = group * kLanes;
  const int64_t lanes = batch - first < kLanes ? batch - first : kLanes;
  float* own = out + group * planes.group();
  ClearBorder(planes, own);
  for (int64_t y = 0; y < planes.height; y++) {
    float* to = own + planes.at(y, 0);
    const float* from = images + first * size + y * line;
    for (int64_t i = 0; i < line; i++, to += kLanes) {
      for (int64_t n = 0; n < lanes; n++) to[n] = from[n * size + i];
      for (int64_t n = lanes; n < kLanes; n++) to[n] = repeat ? to[lanes - 1] : 0;
    }
  }
}

// The inverse of Enter.
inline void Leave(const Planes& planes, int64_t group, int64_t batch, const float* in,
                  float* images) {
  const int64_t size = planes.height * planes.width * planes.channels;
  const int64_t line = planes.width * planes.channels, first = group * kLanes;
  const int64_t lanes = batch - first < kLanes ? batch - first : kLanes;
  const float* own = in + group * planes.group();
  for (int64_t y = 0; y < planes.height; y++) {
    const float* from = own + planes.at(y, 0);
    float* to = images + first * size + y * line;
    for (int64_t n = 0; n < lanes; n++)
      for (int64_t i = 0; i < line; i++) to[n * size + i] = from[i * kLanes + n];
  }
}

}  // namespace sparse

#endif  // ROBUST_SPARSE_TF_PLANES_H_
