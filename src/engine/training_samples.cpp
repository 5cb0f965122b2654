#include "training_samples.h"

#include "cstp/engine/device.h"
#include "cstp/engine/features.h"

namespace cstp {

ClipLoader::Setup training_samples(const RunConfig& config, const Dataset& dataset, Objective& objective,
                                   const EpochOrder& order, BadVideos& bad, const World& world) {
  ClipLoader::Setup loading;
  loading.dataset = &dataset;
  loading.plan = [&config, &objective](const VideoInfo& video, Rng& rng) {
    return objective.plan(as_seen(video, config.clip), rng);
  };
  if (objective.target_width() > 0) loading.finish = [&objective](Sample& sample) { objective.annotate(sample); };
  loading.batch = config.train.batch / world.size;
  loading.place = [&order, all = config.train.batch, own = loading.batch, rank = world.rank](int64_t n) {
    return order.at(n / own * all + rank * own + n % own);  // the n-th sample of this rank
  };
  loading.replacement = [&order](const StreamPlace& place, int64_t attempt) {
    return order.replacement(place, attempt);
  };
  loading.bad = &bad;
  loading.seed = static_cast<uint64_t>(config.seed);
  loading.options = config.loader;
  loading.options.workers = loader_workers(config.loader, world);
  return loading;
}

ViewOutput view_output(const RunConfig& config, c10::Device device) {
  return {.device = device,
          .size = config.clip.size,
          .input = config.input,
          .channels_last = config.train.channels_last,
          .cuda_renders = cuda_renders(config.loader.render, device),
          .bf16 = config.train.precision == "bf16"};
}

}  // namespace cstp
