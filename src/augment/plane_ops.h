/// The loops of the CPU body: pixel_math.h applied to whole planes of floats. Planar, so that every loop runs over
/// neighbours and vectorises.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "pixel_math.h"

namespace cstp {

/// Three planes of n floats, one after the other.
struct RgbPlanes {
  float* data = nullptr;
  int64_t n = 0;
  float* plane(int channel) const { return data + channel * n; }
};

/// @param luma, cb, cr samples without black, as resample_plane() gives them; replaced by R, G and B
void convert_to_rgb(const YcbcrToRgb& coefficients, float* luma, float* cb, float* cr, int64_t n);

/// Moves a resampled plane to its place in a view of size x size.
void place(const float* resampled, const Placement& placement, int64_t size, float* out);
/// The same through a table of places; -1 is black.
void place(const float* resampled, std::span<const int32_t> table, float* out);

/// Sum of the luma of all pixels.
double luma_sum(const RgbPlanes& rgb);
/// Sums of the three channels.
std::array<double, 3> channel_sums(const RgbPlanes& rgb);
void change_brightness(const RgbPlanes& rgb, float factor);
void change_contrast(const RgbPlanes& rgb, float factor, float mean);
void change_channel_contrast(const RgbPlanes& rgb, float factor, Rgb mean);
void change_saturation(const RgbPlanes& rgb, float factor);
void change_hsv_saturation(const RgbPlanes& rgb, float factor);
void change_hue(const RgbPlanes& rgb, float shift);
void make_grey(const RgbPlanes& rgb, ColorRule rule);
void copy_channel(const RgbPlanes& rgb, int channel);
void solarize(const RgbPlanes& rgb, float threshold);

/// Weights of a Gaussian out to three sigma, summing to 1; fewer where the picture is too small to reflect so many.
/// @param taps odd number of them instead; 0: out to three sigma
std::vector<float> gaussian_kernel(double sigma, int64_t size, int64_t taps = 0);
/// Separable. Beyond the border lies what is reflected without repeating the edge pixel (as in torchvision's
/// gaussian_blur), or zero.
/// @param kernel 2*radius + 1 weights, radius < size
void blur(float* plane, int64_t size, std::span<const float> kernel, BlurBorder border, std::vector<float>& scratch);

/// Planes -> interleaved pixels in the network's range.
void interleave(const RgbPlanes& rgb, const InputAffine& range, float* out);

}  // namespace cstp
