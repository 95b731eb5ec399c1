// Checks the kernels of sparse compute against plain loops, in buffers without room to spare; for
// `make sanitize`.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "products.h"

using sparse::Convolution;
using sparse::Lists;
using sparse::Planes;

namespace {

std::mt19937 random_bits(0);

int64_t Draw(int64_t first, int64_t last) {
  return std::uniform_int_distribution<int64_t>(first, last)(random_bits);
}

std::vector<float> Numbers(int64_t size) {
  std::vector<float> found(size);
  for (float& number : found) number = std::normal_distribution<float>()(random_bits);
  return found;
}

// Planes with zero borders.
std::vector<float> Filled(const Planes& planes) {
  std::vector<float> found = Numbers(planes.groups * planes.group());
  for (int64_t g = 0; g < planes.groups; g++) ClearBorder(planes, found.data() + g * planes.group());
  return found;
}

void Require(double ours, double theirs, const char* what) {
  if (std::abs(ours - theirs) <= 1e-4 * (1 + std::abs(theirs))) return;
  std::printf("%s: %g instead of %g\n", what, ours, theirs);
  std::exit(1);
}

Convolution DrawConvolution() {
  Convolution conv{};
  conv.kernel_height = Draw(1, 7), conv.kernel_width = Draw(1, 7), conv.stride = Draw(1, 3);
  conv.x = {1, Draw(1, 9), Draw(1, 9), Draw(1, 5), 0};
  conv.y = {1, 0, 0, Draw(1, 5), 0};
  if (Draw(0, 3) == 0) conv.kernel_height = conv.kernel_width = conv.stride = 1;
  if (Draw(0, 3) == 0) conv.x.height = conv.x.width = 1;
  conv.y.height = (conv.x.height + conv.stride - 1) / conv.stride;
  conv.y.width = (conv.x.width + conv.stride - 1) / conv.stride;
  auto before = [&](int64_t in, int64_t out, int64_t kernel) {
    return std::max<int64_t>((out - 1) * conv.stride + kernel - in, 0) / 2;
  };
  conv.top = before(conv.x.height, conv.y.height, conv.kernel_height);
  conv.left = before(conv.x.width, conv.y.width, conv.kernel_width);
  while (!IsInside(conv)) Draw(0, 1) ? conv.x.border++ : conv.y.border++;
  return conv;
}

void Check() {
  Convolution conv = DrawConvolution();
  const int64_t outputs = conv.y.channels, groups = Draw(1, 3);
  std::vector<float> weight = Numbers(conv.weights()), mask(conv.weights());
  const double density = Draw(0, 4) / 4.0;
  for (size_t i = 0; i < mask.size(); i++) {
    mask[i] = std::uniform_real_distribution<>()(random_bits) < density;
    weight[i] *= mask[i];
  }
  const sparse::Packed by_output = PackByOutput(conv, weight.data(), mask.data());
  const sparse::Packed by_input = PackByInput(conv, weight.data(), mask.data());
  const Lists forward{by_output.starts.data(), by_output.offsets.data(), by_output.values.data()};
  const Lists backward{by_input.starts.data(), by_input.offsets.data(), by_input.values.data()};
  conv = AsRow(conv, groups);
  const Planes &x = conv.x, &y = conv.y;
  const std::vector<float> in = Filled(x), above = Filled(y), bias = Numbers(outputs);
  std::vector<float> out(y.groups * y.group(), 0.0f), of_x(x.groups * x.group(), 0.0f);
  std::vector<double> sums(out.size(), 0.0), of_in(of_x.size(), 0.0), of_weight(mask.size(), 0.0);
  std::vector<double> of_list(mask.size(), 0.0);
  for (int64_t g = 0; g < x.groups; g++) {
    for (int64_t row = 0; row < y.height; row++)
      for (int64_t part = 0; part < 2; part++)
        Forward(conv, forward, bias.data(), false, g, row,
                {part * outputs / 2, (part + 1) * outputs / 2}, in.data(), out.data());
    for (int64_t row = 0; row < x.height; row++)
      ByInput(conv, backward, g, row, {0, x.channels}, above.data(), of_x.data());
    std::vector<float> own(by_output.offsets.size());
    ByWeight(conv, forward, g, {0, outputs}, in.data(), above.data(), own.data());
    for (size_t k = 0; k < own.size(); k++) of_list[by_output.places[k]] += own[k];
    for (int64_t i = 0; i < y.height; i++)
      for (int64_t j = 0; j < y.width; j++)
        for (int64_t o = 0; o < outputs; o++)
          for (int64_t n = 0; n < sparse::kLanes; n++) {
            const int64_t to = g * y.group() + y.at(i, j) + o * sparse::kLanes + n;
            sums[to] += bias[o];
            for (int64_t tap = 0; tap < conv.taps(); tap++)
              for (int64_t c = 0; c < x.channels; c++) {
                const int64_t from = g * x.group() +
                                     x.at(i * conv.stride - conv.top + tap / conv.kernel_width,
                                          j * conv.stride - conv.left + tap % conv.kernel_width) +
                                     c * sparse::kLanes + n;
                const int64_t place = (tap * x.channels + c) * outputs + o;
                sums[to] += static_cast<double>(weight[place]) * in[from];
                of_in[from] += static_cast<double>(weight[place]) * above[to];
                of_weight[place] += static_cast<double>(in[from]) * above[to] * mask[place];
              }
          }
    sparse::ClearBorder(x, of_x.data() + g * x.group());
    std::vector<float> inside(of_in.begin() + g * x.group(), of_in.begin() + (g + 1) * x.group());
    sparse::ClearBorder(x, inside.data());
    std::copy(inside.begin(), inside.end(), of_in.begin() + g * x.group());
  }
  for (size_t i = 0; i < out.size(); i++) Require(out[i], sums[i], "output");
  for (size_t i = 0; i < of_x.size(); i++) Require(of_x[i], of_in[i], "gradient by input");
  for (size_t i = 0; i < mask.size(); i++) Require(of_list[i], of_weight[i], "gradient by weight");
  const int64_t batch = Draw(1, sparse::kLanes);
  const Planes images{1, Draw(1, 5), Draw(1, 5), Draw(1, 3), Draw(0, 2)};
  const std::vector<float> given = Numbers(batch * images.height * images.width * images.channels);
  std::vector<float> planes(images.group()), back(given.size());
  sparse::Enter(images, 0, batch, true, given.data(), planes.data());
  sparse::Leave(images, 0, batch, planes.data(), back.data());
  if (back != given) Require(1, 0, "images");
}

}  // namespace

int main() {
  for (int i = 0; i < 500; i++) Check();
  std::puts("500 random layers: no errors");
}
