// src/models/pixel_baselines.cpp: what pixels alone tell, under the same protocols as a network. Nothing is learnt.
//
// A representation that loses to these has not learnt what its data set asks for: appearance sets are often told by the
// mean frame, and sets filmed by a fixed camera by where frames differ (Ryoo and Aggarwal's UT-Interaction is one).
#include <torch/nn/functional/pooling.h>

#include <memory>
#include <vector>

#include "cstp/models/backbone.h"

namespace cstp {
namespace {

/// One picture of a clip, pooled to coarser and coarser grids; the last is the feature, 3 x 16 x 16 numbers.
class PixelBaseline : public Backbone {
 public:
  std::vector<at::Tensor> stages(const at::Tensor& clips) override {
    const at::Tensor picture = summary(clips);  // [N,3,S,S]
    std::vector<at::Tensor> maps;
    for (const int64_t grid : {4 * kGrid, 2 * kGrid, kGrid}) maps.push_back(pooled(picture, grid).unsqueeze(2));
    maps.push_back(pooled(picture, kGrid).flatten(1).reshape({clips.size(0), -1, 1, 1, 1}));
    return maps;
  }
  std::vector<int64_t> stage_channels() const override { return {3, 3, 3, 3 * kGrid * kGrid}; }

 protected:
  /// [N,3,T,S,S] -> [N,3,S,S]
  virtual at::Tensor summary(const at::Tensor& clips) const = 0;

 private:
  static constexpr int64_t kGrid = 16;
  static at::Tensor pooled(const at::Tensor& picture, int64_t grid) {
    return torch::nn::functional::adaptive_avg_pool2d(picture,
                                                      torch::nn::functional::AdaptiveAvgPool2dFuncOptions(grid));
  }
};

class MeanFrame final : public PixelBaseline {
  at::Tensor summary(const at::Tensor& clips) const override { return clips.mean(2); }
};

class FrameDifference final : public PixelBaseline {
  at::Tensor summary(const at::Tensor& clips) const override {
    if (clips.size(2) < 2) return at::zeros_like(clips.select(2, 0));
    return (clips.slice(2, 1) - clips.slice(2, 0, -1)).abs().mean(2);
  }
};

}  // namespace

std::shared_ptr<Backbone> make_mean_frame(const ModelOptions&) { return std::make_shared<MeanFrame>(); }
std::shared_ptr<Backbone> make_frame_difference(const ModelOptions&) { return std::make_shared<FrameDifference>(); }

}  // namespace cstp
