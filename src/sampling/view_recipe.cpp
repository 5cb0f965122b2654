#include "cstp/sampling/view_recipe.h"

#include <algorithm>
#include <span>

#include "cstp/core/config.h"
#include "cstp/core/error.h"
#include "cstp/core/text.h"

namespace cstp {
namespace {

/// Probabilities that differ between the two views.
struct PerView {
  double blur = 0, solarize = 0;
};

PerView per_view(const ViewRecipeOptions& options, int64_t index) {
  if (options.recipe == "symmetric") return {.blur = 0.5, .solarize = 0};
  return index == 0 ? PerView{.blur = 1.0, .solarize = 0} : PerView{.blur = 0.1, .solarize = options.solarize};
}

void draw_jitter(const ViewRecipeOptions& options, Rng& rng, ColorPlan& color) {
  const double factor = 0.8 * options.jitter_strength;
  const double hue = 0.2 * options.jitter_strength;
  const auto draw_factor = [&] { return rng.uniform(std::max(0.0, 1 - factor), 1 + factor); };
  color.brightness = draw_factor();
  color.contrast = draw_factor();
  color.saturation = draw_factor();
  color.hue = rng.uniform(-hue, hue);
  color.jitter = {ColorOp::brightness, ColorOp::contrast, ColorOp::saturation, ColorOp::hue};
  rng.shuffle(std::span<ColorOp>(color.jitter));
}

}  // namespace

void ViewRecipeOptions::bind(Fields& f) {
  const NumberRange share{.min = 0, .max = 1};
  f.choice("recipe", recipe, {"asymmetric", "symmetric"},
           "asymmetric: view 1 always blurred, view 2 seldom and sometimes solarised; symmetric: both blurred half the "
           "time");
  f.section("crop", crop, "random resized crop of each view");
  f.number("flip", flip, share, "probability of a horizontal flip");
  f.number("jitter", jitter, share, "probability of colour jitter");
  f.number("jitter_strength", jitter_strength, {.min = 0, .max = 2.5},
           "1: brightness, contrast, saturation in [0.2,1.8], hue in [-0.2,0.2] turns");
  f.number("grey", grey, share, "probability of grey");
  f.number("blur_sigma_min", blur_sigma_min, {.min = 1e-3, .max = 100}, "smallest blur, in output pixels");
  f.number("blur_sigma_max", blur_sigma_max, {.min = 1e-3, .max = 100}, "largest blur, in output pixels");
  f.choice("blur_border", blur_border, {"zero", "reflect"}, "what a blur sees beyond the edge");
  f.number("solarize", solarize, share, "asymmetric: probability of inverting the bright half of view 2");
}

void ViewRecipeOptions::validate(const std::string& path) const {
  crop.validate(cat(path, ".crop"));
  if (blur_sigma_min > blur_sigma_max) {
    throw ConfigError(cat(path, ": blur_sigma_min is ", number_text(blur_sigma_min),
                          ", above blur_sigma_max, which is ", number_text(blur_sigma_max),
                          "; swap them or widen the range"));
  }
}

int64_t recipe_blur_taps(int64_t size) { return 2 * (size / 10 / 2) + 1; }

void draw_recipe_view(const VideoInfo& video, const ViewRecipeOptions& options, int64_t index, int64_t size, Rng& rng,
                      ViewPlan& view) {
  check(index == 0 || index == 1, "draw_recipe_view: there are two views");
  view.crop = draw_crop(video, options.crop, rng);
  view.flip = rng.chance(options.flip);
  view.filter = Filter::bilinear;
  view.antialias = false;
  const PerView chances = per_view(options, index);
  ColorPlan& color = view.color = {};
  color.rule = ColorRule::tensorflow;
  if (rng.chance(options.jitter)) draw_jitter(options, rng, color);
  color.grey = rng.chance(options.grey);
  if (rng.chance(chances.blur)) {
    color.blur_sigma = rng.uniform(options.blur_sigma_min, options.blur_sigma_max);
    color.blur_taps = recipe_blur_taps(size);
    color.blur_border = options.blur_border == "zero" ? BlurBorder::zero : BlurBorder::reflect;
  }
  if (rng.chance(chances.solarize)) color.solarize = 0.5;
}

}  // namespace cstp
