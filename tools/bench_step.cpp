// bench_step: a plain training step of a backbone beside PyTorch's step of the same network.
//
// Both start from the same weights and see the same made clips: embed, a linear layer, cross-entropy, SGD with
// momentum. Each of PyTorch's ways to run it (--variants) is a process of its own (tools/peers/step.py) which takes
// turns with ours: a round is --steps steps by each. The first losses must agree, or nothing is measured. Every line of
// output is a JSON object: the machine's rates as measured in this run, then a line for us and one for each variant.
//
// Needs neither videos nor the libraries that read them.
#include <ATen/DeviceAccelerator.h>
#include <torch/torch.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cstp/engine/device.h"
#include "cstp/engine/graphed_step.h"
#include "cstp/engine/optimizer.h"
#include "cstp/models/model_profile.h"
#include "peer.h"
#include "run_tool.h"
#include "timing.h"

namespace {

using namespace cstp;
using Json = nlohmann::ordered_json;

struct Setup {
  ModelOptions network = {.name = "r2plus1d18"};
  std::string device = "cpu", precision = "f32", folder;
  bool cuda_graph = false;
  int64_t batch = 8, frames = 16, size = 112, classes = 400, steps = 3, rounds = 5, threads = 1, seed = 1;
  std::vector<std::string> peer;
  std::vector<std::string> variants = {"eager", "channels_last", "compile", "max_autotune"};
  bool bf16() const { return precision == "bf16"; }
};

void wait_for(c10::Device device) {
  if (device.is_cuda()) torch::cuda::synchronize();
}

/// Most memory held so far: of tensors on a GPU, else of the whole process.
int64_t peak_bytes(c10::Device device) {
  if (device.is_cuda()) return gpu_memory(device).peak_allocated;
  return peak_memory_bytes();
}

/// What the machine can do at best, by the simplest work there is.
Json machine_rates(const Setup& setup, c10::Device device) {
  const auto rate = [&](double work, const std::function<void()>& once) {
    std::vector<double> seconds;
    for (int round = 0; round < 7; ++round) {
      const Cost cost = cost_of([&] {
        for (int i = 0; i < (device.is_cuda() ? 10 : 1); ++i) once();
        wait_for(device);
      });
      if (round > 1) seconds.push_back(cost.wall);
    }
    return work * (device.is_cuda() ? 10 : 1) / median(seconds);
  };
  const int64_t n = device.is_cuda() ? 8192 : 1024, values = device.is_cuda() ? int64_t{1} << 28 : int64_t{1} << 25;
  const auto type = torch::TensorOptions(device).dtype(setup.bf16() ? torch::kBFloat16 : torch::kFloat32);
  const at::Tensor a = torch::randn({n, n}, type), b = torch::randn({n, n}, type);
  at::Tensor product = torch::empty({n, n}, type);
  const at::Tensor from = torch::randn({values}, torch::TensorOptions(device));
  at::Tensor to = torch::empty_like(from);
  return {{"gemm_flops_per_second",
           rate(2.0 * static_cast<double>(n * n) * static_cast<double>(n), [&] { at::mm_out(product, a, b); })},
          {"copy_bytes_per_second", rate(8.0 * static_cast<double>(values), [&] { to.copy_(from); })}};
}

/// The step that is measured.
class Step {
 public:
  Step(const Setup& setup, c10::Device device) : setup_(setup), device_(device) {
    torch::manual_seed(static_cast<uint64_t>(setup.seed));
    backbone_ = make_backbone(setup.network);
    head_ = torch::nn::Linear(backbone_->features(), setup.classes);
    clips_ = torch::randn({setup.batch, 3, setup.frames, setup.size, setup.size});
    labels_ = torch::randint(0, setup.classes, {setup.batch});
    if (!setup.folder.empty()) write_inputs();
    for (torch::nn::Module* part :
         {static_cast<torch::nn::Module*>(backbone_.get()), static_cast<torch::nn::Module*>(head_.get())}) {
      part->to(device);
      to_channels_last(*part);
    }
    clips_ = clips_.to(device).contiguous(at::MemoryFormat::ChannelsLast3d);
    labels_ = labels_.to(device);
    optimizer_ = std::make_unique<Optimizer>(parameters(), OptimizerOptions{.weight_decay = 0});
    if (setup.cuda_graph) graph_ = std::make_unique<GraphedStep>(device, /*must=*/true);
  }

  at::Tensor loss() {
    at::Tensor logits;
    with_precision(setup_.bf16(), device_, [&] { logits = head_(backbone_->embed(clips_)); });
    return torch::nn::functional::cross_entropy(logits.to(torch::kFloat32), labels_);
  }
  Cost run(int64_t steps) {
    const auto body = [&] {
      optimizer_->zero_grad();
      loss().backward();
      optimizer_->update();
    };
    return cost_of([&] {
      for (int64_t i = 0; i < steps; ++i) {
        optimizer_->begin_step(0.01);
        if (graph_) {
          graph_->run(body);
        } else {
          body();
        }
      }
      wait_for(device_);
    });
  }

 private:
  Optimizer::Named parameters() const {
    Optimizer::Named list;
    for (const auto& item : backbone_->named_parameters()) list.emplace_back("backbone." + item.key(), item.value());
    for (const auto& item : head_->named_parameters()) list.emplace_back("head." + item.key(), item.value());
    return list;
  }

  /// For the peers: raw values, row-major.
  void write_inputs() const {
    const std::filesystem::path folder = setup_.folder;
    std::filesystem::create_directories(folder);
    const auto bytes = [](const at::Tensor& values) {
      const at::Tensor rows = values.detach().contiguous();
      return std::string(static_cast<const char*>(rows.const_data_ptr()), rows.nbytes());
    };
    Json names = Json::array();
    std::string weights;
    for (const auto& [name, value] : parameters()) {
      names.push_back({{"name", name}, {"shape", value.sizes().vec()}});
      weights += bytes(value);
    }
    write_file_atomically((folder / "weights.json").string(), names.dump());
    write_file_atomically((folder / "weights.f32").string(), weights);
    write_file_atomically((folder / "clips.f32").string(), bytes(clips_));
    write_file_atomically((folder / "labels.i64").string(), bytes(labels_));
  }

  const Setup& setup_;
  c10::Device device_;
  std::shared_ptr<Backbone> backbone_;
  torch::nn::Linear head_{nullptr};
  at::Tensor clips_, labels_;
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<GraphedStep> graph_;
};

Json row_of(const Setup& setup, const std::string& who, const Times& times, int64_t peak) {
  const auto steps = static_cast<double>(setup.steps);
  return {{"kind", "step"},
          {"who", who},
          {"model", setup.network.name},
          {"device", setup.device},
          {"precision", setup.precision},
          {"batch", setup.batch},
          {"frames", setup.frames},
          {"size", setup.size},
          {"seconds_median", median(times.wall) / steps},
          {"seconds_min", least(times.wall) / steps},
          {"cpu_seconds_median", median(times.cpu) / steps},
          {"clips_per_second", static_cast<double>(setup.batch) * steps / median(times.wall)},
          {"peak_bytes", peak}};
}

void print(const Json& row) { std::cout << row.dump() << std::endl; }

/// Ours and one way of PyTorch's in turns. @param work floating-point operations of a step @param gemm of a second
void compare(const Setup& setup, Step& ours, double loss, const std::string& variant, double work, double gemm) {
  std::vector<std::string> command = setup.peer;
  command.push_back(Json{
      {"variant", variant},
      {"model", setup.network.name},
      {"device", setup.device},
      {"precision", setup.precision},
      {"classes", setup.classes},
      {"clips", {setup.batch, 3, setup.frames, setup.size, setup.size}},
      {"threads", setup.threads},
      {"folder",
       setup.folder}}.dump());
  Peer peer(command, "torch and torchvision");
  const std::string version = peer.ask("version");
  const double theirs_first = std::stod(peer.ask("loss"));
  const double apart = std::abs(theirs_first - loss) / std::max(1e-6, std::abs(loss));
  if (!(apart < (setup.bf16() ? 3e-2 : 1e-3))) {
    throw NumericError(cat(variant, ": its first loss is ", theirs_first, " and ours ", loss,
                           ": these are not the same network; nothing was measured"));
  }
  Times own, their;
  int64_t their_peak = 0;
  for (int64_t round = -1; round < setup.rounds; ++round) {  // the first warms up, and compiles
    const Cost our_turn = ours.run(setup.steps);
    std::istringstream numbers(peer.ask(cat("run ", setup.steps)));
    Cost their_turn;
    numbers >> their_turn.wall >> their_turn.cpu >> their_peak;
    if (round < 0) continue;
    own.add(our_turn);
    their.add(their_turn);
  }
  Json row = row_of(setup, "peer", their, their_peak);
  row["variant"] = variant;
  row["version"] = version;
  row["gemm_fraction"] = work / (median(their.wall) / static_cast<double>(setup.steps)) / gemm;
  row["ours_seconds_median"] = median(own.wall) / static_cast<double>(setup.steps);
  row["ratio_wall"] = median(their.wall) / median(own.wall);
  row["ratio_cpu"] = median(their.cpu) / median(own.cpu);
  row["first_losses_apart"] = apart;
  print(row);
}

void run(Setup setup) {
  namespace fs = std::filesystem;
  const c10::Device device = select_device(setup.device);
  set_compute_threads(setup.threads);
  const bool temporary = setup.folder.empty() && !setup.peer.empty();
  if (temporary) setup.folder = (fs::temp_directory_path() / cat("bench_step.", ::getpid())).string();
  const Json rates = machine_rates(setup, device);
  const double gemm = rates["gemm_flops_per_second"];
  const ModelProfile profile =
      profile_model({.name = setup.network.name, .width = setup.network.width}, setup.frames, setup.size);
  // A multiply-add is two operations, and the backward pass twice the forward pass.
  const double work = 6.0 * static_cast<double>(profile.multiply_adds) * static_cast<double>(setup.batch);
  Json machine = {
      {"kind", "machine"}, {"device", device_name(device)}, {"precision", setup.precision}, {"threads", setup.threads}};
  machine.update(rates);
  print(machine);
  if (device.is_cuda()) at::accelerator::resetPeakStats(device.index());
  Step ours(setup, device);
  double loss = 0;
  {
    const torch::NoGradGuard no_grad;
    loss = ours.loss().item<double>();
  }
  Times times;
  ours.run(GraphedStep::kEager + 1);  // warms up, and records the step where that is wanted
  for (int64_t round = 0; round < setup.rounds; ++round) times.add(ours.run(setup.steps));
  Json row = row_of(setup, "ours", times, peak_bytes(device));
  row["pad_channels"] = setup.network.pad_channels;
  row["conv2d_views"] = setup.network.conv2d_views;
  row["cuda_graph"] = setup.cuda_graph;
  row["flops_per_step"] = work;
  row["gemm_fraction"] = work / (median(times.wall) / static_cast<double>(setup.steps)) / gemm;
  row["first_loss"] = loss;
  print(row);
  std::vector<std::string> failed;
  if (!setup.peer.empty()) {
    for (const std::string& variant : setup.variants) {
      try {
        compare(setup, ours, loss, variant, work, gemm);
      } catch (const Error& error) {  // the others can still be measured
        std::cerr << "bench_step: " << error.what() << std::endl;
        failed.push_back(variant);
        print({{"kind", "step"},
               {"who", "peer"},
               {"model", setup.network.name},
               {"variant", variant},
               {"error", error.what()}});
      }
    }
  }
  if (temporary) fs::remove_all(setup.folder);
  if (!failed.empty()) throw DataError(cat("not measured: ", join(failed, ", ")));
}

}  // namespace

int main(int argc, char** argv) {
  cstp::restart_tuned(argv);  // as the program does
  cstp::keep_freed_memory();
  CLI::App app("bench_step: a training step beside PyTorch's");
  Setup setup;
  app.add_option("--device", setup.device)->check(CLI::IsMember({"cpu", "cuda"}));
  app.add_option("--model", setup.network.name,
                 "a backbone; rivals have r2plus1d18, r3d18, mc3_18, s3d, r3d50 and s3dg");
  app.add_option("--width", setup.network.width, "of the backbone; rivals have 1 alone");
  const CLI::IsMember choices({"auto", "on", "off"});
  app.add_option("--pad-channels", setup.network.pad_channels, "ours: as model.pad_channels")->check(choices);
  app.add_option("--conv2d-views", setup.network.conv2d_views, "ours: as model.conv2d_views")->check(choices);
  app.add_flag("--cuda-graph", setup.cuda_graph, "ours: the step is recorded once and replayed");
  app.add_option("--batch", setup.batch, "clips a step");
  app.add_option("--frames", setup.frames);
  app.add_option("--size", setup.size, "pixels of a clip's side");
  app.add_option("--classes", setup.classes);
  app.add_option("--precision", setup.precision)->check(CLI::IsMember({"f32", "bf16"}));
  app.add_option("--steps", setup.steps, "of a round")->check(CLI::PositiveNumber);
  app.add_option("--rounds", setup.rounds)->check(CLI::PositiveNumber);
  app.add_option("--threads", setup.threads, "of the CPU, for both");
  app.add_option("--seed", setup.seed);
  app.add_option("--peer", setup.peer, "command of the rivals: PYTHON tools/peers/step.py; none: ours alone");
  app.add_option("--variants", setup.variants, "eager, channels_last, compile, max_autotune");
  app.add_option("--folder", setup.folder, "keep what the rivals are given here");
  CLI11_PARSE(app, argc, argv);
  return cstp::run_tool("bench_step", [&] { run(setup); });
}
