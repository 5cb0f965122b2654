#include "cstp/engine/features.h"

#include <torch/torch.h>

#include <algorithm>
#include <chrono>

#include "cstp/augment/view_stream.h"
#include "cstp/core/error.h"
#include "cstp/core/log.h"
#include "cstp/core/text.h"
#include "cstp/distributed/collectives.h"
#include "cstp/engine/device.h"
#include "cstp/sampling/draw.h"

namespace cstp {

VideoInfo as_seen(const VideoInfo& video, const ClipOptions& clip) {
  VideoInfo seen = video;
  if (clip.square) seen.width = seen.height = std::max(video.width, video.height);
  return seen;
}

namespace {

/// The parts of all ranks, in the order of the data set. A part of which nothing decoded has no shape of its own.
void join_parts(FeatureSet& result, const World& world) {
  const bool empty = result.records.empty();
  at::Tensor shape = torch::zeros({2}, torch::kInt64);
  if (!empty) shape = torch::tensor({result.values.size(1), result.values.size(2)}, torch::kInt64);
  const at::Tensor largest = join_rows(shape.unsqueeze(0), world).amax(0);
  if (empty) {
    result.values = torch::zeros({0, largest[0].item<int64_t>(), largest[1].item<int64_t>()});
    result.labels = torch::zeros({0}, torch::kInt64);
  }
  result.values = join_rows(result.values, world);
  result.labels = join_rows(result.labels, world);
  const at::Tensor records = join_rows(torch::tensor(result.records, torch::kInt64), world);
  result.records.assign(records.const_data_ptr<int64_t>(), records.const_data_ptr<int64_t>() + records.numel());
}

}  // namespace

FeatureSet extract_features(const Dataset& dataset, const FeatureOptions& options,
                            const std::function<at::Tensor(const at::Tensor&)>& network) {
  const torch::NoGradGuard no_grad;
  GridOptions grid = grid_of(options.eval.views);
  grid.frames = options.eval.frames;
  grid.stride = options.eval.stride;
  grid.clips = options.clips;
  grid.crops = options.eval.crops;
  grid.crop_mode = options.eval.crop;

  FeatureSet result;
  result.total = static_cast<int64_t>(dataset.videos.size());
  const auto [first, last] = part_of_rank(result.total, options.world);
  ClipLoader::Setup loading;
  loading.dataset = &dataset;
  loading.plan = [&](const VideoInfo& video, Rng& rng) {
    SamplePlan plan = evaluation_plan(as_seen(video, options.clip), grid);
    probe_time(options.probe, rng, plan);
    return plan;
  };
  loading.seed = static_cast<uint64_t>(options.seed);
  loading.place = [](int64_t n) { return StreamPlace{.epoch = 0, .position = n, .record = n}; };
  loading.first = first;
  loading.last = last;
  loading.batch = options.eval.batch;
  loading.options = options.loader;
  loading.options.cache_mb = 0;  // every video is read once: there is nothing to keep
  const ViewOutput output{.device = options.device,
                          .size = options.clip.size,
                          .input = options.input,
                          .channels_last = options.channels_last,
                          .cuda_renders = cuda_renders(options.loader.render, options.device)};
  ClipLoader loader(with_rendering(std::move(loading), output));

  std::vector<at::Tensor> rows, labels;
  const auto start = std::chrono::steady_clock::now();
  auto spoken = start;
  for (int64_t done = 0; done < last - first;) {
    const Batch samples = loader.next();
    done += static_cast<int64_t>(samples.size());
    for (const Sample& sample : samples) {
      if (sample.error.empty()) continue;
      log::warning(sample.error, "; the video is left out of the result");
    }
    const ViewBatch batch = gather_views(samples, output);
    if (batch.videos() > 0) {
      at::Tensor values;
      with_precision(options.bf16, options.device, [&] { values = network(batch.views); });
      const int64_t videos = batch.videos();
      values = values.to(torch::kFloat32).reshape({-1, videos, values.size(1)}).transpose(0, 1);  // [B,V,C]
      rows.push_back(values.to(torch::kCPU).contiguous());
      labels.push_back(batch.labels.to(torch::kCPU));
      result.records.insert(result.records.end(), batch.records.begin(), batch.records.end());
    }
    const auto now = std::chrono::steady_clock::now();
    const double seconds = std::chrono::duration<double>(now - start).count();
    const std::string line = cat(
        options.what, "  ", done, "/", last - first, options.world.size > 1 ? " videos a rank  ETA " : " videos  ETA ",
        duration_text(seconds / static_cast<double>(done) * static_cast<double>(last - first - done)));
    if (log::has_terminal()) {
      log::status_line(line);
    } else if (now - spoken > std::chrono::seconds(30) || done == last - first) {
      log::info(line);
      spoken = now;
    }
  }
  log::status_line("");
  if (!rows.empty()) {
    result.values = torch::cat(rows);
    result.labels = torch::cat(labels);
  }
  if (options.world.size > 1) join_parts(result, options.world);
  return result;
}

}  // namespace cstp
