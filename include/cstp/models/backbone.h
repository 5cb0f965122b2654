/// Video backbones: clips -> four stage maps -> one embedding.
///
/// Adding one: src/models/x.cpp with make_x, a row in backbone.cpp, a line in CMake. The contract test in
/// tests/models walks the table. docs/extending.md has a whole one.
#pragma once
#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace cstp {

class Fields;

struct ModelOptions {
  std::string name = "r2plus1d10";  ///< a row of backbones()
  double width = 1.0;  ///< multiplies every channel count (rounded to a multiple of 8, at least 8, unless 1)
  std::string pad_channels = "auto";  ///< auto (on a GPU) | on | off; see ComputeForm
  std::string conv2d_views = "auto";  ///< auto (on a GPU) | on | off
  void bind(Fields& f);
};

/// How convolutions are computed: results differ by rounding, weights and checkpoints do not. `automatic` is on for
/// clips on a GPU, off on a CPU.
enum class Choice { automatic, on, off };
struct ComputeForm {
  Choice pad_channels = Choice::automatic;  ///< 45 or 230 channels between the halves of a factorised convolution are
                                            ///< computed as 48 or 232, which tensor cores can take
  Choice conv2d_views = Choice::automatic;  ///< 1 x k x k convolutions run as k x k ones over all frames
};
/// For every convolution below.
void compute_as(const torch::nn::Module& module, const ComputeForm& form);

/// What a network needs of a clip.
struct SmallestClip {
  int64_t frames = 1;
  int64_t size = 1;  ///< pixels of the shorter side
};

/// A network over clips [N,3,T,S,S]. Parameters are named as torchvision names them where the architecture is its.
class Backbone : public torch::nn::Module {
 public:
  /// Outputs of the four stages, after their activation and before the next down-sampling: [N,C_k,T_k,H_k,W_k].
  virtual std::vector<at::Tensor> stages(const at::Tensor& clips) = 0;
  /// Channels of the four stages.
  virtual std::vector<int64_t> stage_channels() const = 0;
  /// The embedding from the stage maps. Global average pool of the last: [N,C], in its compute type.
  virtual at::Tensor pool(const std::vector<at::Tensor>& maps) const;
  /// pool(stages(clips))
  at::Tensor embed(const at::Tensor& clips) { return pool(stages(clips)); }
  /// Below it the pools would leave nothing.
  virtual SmallestClip smallest_clip() const { return {}; }
  /// @throws ConfigError if a clip of this size is smaller than that
  void require_clip(int64_t frames, int64_t height, int64_t width) const;
  /// C of embed().
  int64_t features() const { return stage_channels().back(); }
  /// Its name in backbones().
  const std::string& form() const { return form_; }

 private:
  friend std::shared_ptr<Backbone> make_backbone(const ModelOptions& options);
  std::string form_;
};

struct BackboneRow {
  const char* name;
  std::shared_ptr<Backbone> (*make)(const ModelOptions& options);
  const char* description;
  bool learns = true;  ///< false: a baseline without weights
};
std::span<const BackboneRow> backbones();

/// False for a baseline that has none: there is nothing to train.
bool has_weights(const std::string& backbone);

/// @throws ConfigError with the nearest name if there is no such backbone.
std::shared_ptr<Backbone> make_backbone(const ModelOptions& options);

/// Number of trainable parameters of a module (buffers do not count).
int64_t parameter_count(const torch::nn::Module& module);

}  // namespace cstp
