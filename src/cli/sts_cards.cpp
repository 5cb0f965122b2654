#include "sts_cards.h"

#include <torch/torch.h>

#include "cstp/augment/view_stream.h"
#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "cstp/data/epoch_order.h"
#include "cstp/engine/device.h"
#include "cstp/engine/features.h"

namespace cstp {

std::vector<StsCard> make_sts_cards(const RunConfig& config, const Dataset& dataset, const Objective& objective,
                                    StsObjective& sts, bool answers, int64_t count) {
  const auto videos = static_cast<int64_t>(dataset.videos.size());
  if (videos == 0) throw DataError(cat(dataset.name, ": holds no videos; nothing to draw"));
  const EpochOrder order = training_order(config.data, dataset, static_cast<uint64_t>(config.seed), 1);
  const ViewOutput output{.device = answers ? select_device(config.train.device) : c10::Device(c10::kCPU),
                          .size = config.clip.size,
                          .input = config.input,
                          .channels_last = config.train.channels_last};
  std::vector<StsCard> cards;
  ClipLoader::Setup loading;
  loading.dataset = &dataset;
  loading.plan = [&](const VideoInfo& video, Rng& rng) { return objective.plan(as_seen(video, config.clip), rng); };
  loading.place = [&](int64_t n) { return order.at(n); };
  loading.finish = [&](Sample& sample) {  // one worker, so samples come here one by one and in order
    objective.annotate(sample);
    cards.push_back(sts_card(sample, dataset.videos[static_cast<size_t>(sample.record)].path, config.clip.size));
  };
  loading.seed = static_cast<uint64_t>(config.seed);
  loading.last = count;
  loading.options = config.loader;
  loading.options.workers = 1;
  std::vector<at::Tensor> views;
  std::string cause;
  {
    ClipLoader loader(with_rendering(std::move(loading), output));
    for (int64_t i = 0; i < count; ++i) {
      const Batch batch = loader.next();
      for (const Sample& sample : batch) {
        if (!sample.error.empty()) cause = sample.error;
      }
      const ViewBatch gathered = gather_views(batch, output);
      if (gathered.videos() > 0) views.push_back(gathered.views);
    }
  }
  if (cards.empty()) throw DataError(cat("no sample could be decoded; the last cause: ", cause));
  if (!answers) return cards;
  const torch::NoGradGuard no_grad;
  sts.eval();
  sts.backbone()->eval();  // of a joint objective, which is not sts's own
  for (size_t i = 0; i < cards.size(); ++i) {
    const at::Tensor answer = sts.predict(views[i]).select(0, 0).to(torch::kCPU, torch::kDouble).contiguous();
    cards[i].answers.assign(answer.data_ptr<double>(), answer.data_ptr<double>() + answer.numel());
  }
  return cards;
}

}  // namespace cstp
