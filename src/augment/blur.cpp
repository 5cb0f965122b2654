#include "blur.h"

#include <algorithm>
#include <cmath>

#include "row_ops.h"

namespace cstp {

std::vector<float> gaussian_kernel(double sigma, int64_t size, int64_t taps) {
  const int64_t wanted = taps > 0 ? taps / 2 : static_cast<int64_t>(std::ceil(3 * sigma));
  const int64_t radius = std::min(wanted, size - 1);
  std::vector<double> weights;
  double sum = 0;
  for (int64_t i = -radius; i <= radius; ++i) {
    const double distance = static_cast<double>(i) / sigma;
    weights.push_back(std::exp(-0.5 * distance * distance));
    sum += weights.back();
  }
  std::vector<float> kernel;
  for (const double weight : weights) kernel.push_back(static_cast<float>(weight / sum));
  return kernel;
}

std::span<const float> without_tails(std::span<const float> kernel) {
  constexpr double kNothing = 1.0 / (1 << 23);
  size_t dropped = 0;  // on either side
  double sum = 0;
  while (2 * dropped + 1 < kernel.size() && sum + 2.0 * kernel[dropped] < kNothing) sum += 2.0 * kernel[dropped++];
  return kernel.subspan(dropped, kernel.size() - 2 * dropped);
}

void Blur::begin(int64_t size, std::span<const float> kernel, BlurBorder border) {
  size_ = size;
  kernel_ = kernel;
  radius_ = static_cast<int64_t>(kernel.size() / 2);
  reflects_ = border == BlurBorder::reflect;
  come_ = 0;
  rows_.resize(3 * size * size);
  columns_.resize(size * kColumnFloats);
  const int64_t widest = std::max(kColumnFloats, 3 * size);
  nothing_.resize(widest);
  std::fill_n(nothing_.data(), widest, 0.0F);
}

int64_t Blur::source(int64_t i) const {
  if (i >= 0 && i < size_) return i;
  if (!reflects_) return -1;
  return i < 0 ? -i : 2 * (size_ - 1) - i;
}

void Blur::add(const PixelBlock& block) {
  pointers_.clear();
  for (int64_t x = -radius_; x < size_ + radius_; ++x) {
    const int64_t column = source(x);
    pointers_.push_back(column < 0 ? nothing_.data() : block.data + column * kColumnFloats);
  }
  for (int64_t x = 0; x < size_; x += 2) {
    float* out = columns_.data() + x * kColumnFloats;
    mix_row_pair(pointers_.data() + x, kernel_, kColumnFloats, out, x + 1 < size_ ? out + kColumnFloats : nullptr);
  }
  const int64_t rows = std::min(kRowBlock, size_ - come_);
  columns_to_rows(columns_.data(), 3 * size_, rows, 3 * size_, rows_.data() + come_ * 3 * size_);
  come_ += rows;
}

int64_t Blur::ready() const { return come_ == size_ ? size_ : std::max<int64_t>(0, come_ - radius_); }

void Blur::take(int64_t y, float* first, float* second) {
  pointers_.clear();
  for (int64_t i = y - radius_; i <= y + radius_ + (second != nullptr ? 1 : 0); ++i) {
    const int64_t row = source(i);
    pointers_.push_back(row < 0 ? nothing_.data() : rows_.data() + row * 3 * size_);
  }
  mix_row_pair(pointers_.data(), kernel_, 3 * size_, first, second);
}

}  // namespace cstp
