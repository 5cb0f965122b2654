/// Results made by hand: as `cstp eval` writes them.
#pragma once
#include <nlohmann/json.hpp>
#include <string>

#include "cstp/engine/result.h"

namespace cstp {

struct MadeResult {
  std::string config = "ucf101_linear";
  std::vector<std::string> sets;
  double top1 = 0.5;
  int64_t decoded = 10;
  std::string classes = "c1a55e5";
  std::string test_videos = "7e57";
  std::string weights = "runs/a/checkpoints/step-00000010.safetensors";
  int64_t training_seed = 1;

  Provenance provenance() const {
    const RunConfig run = load_run_config(config, sets);
    Dataset none;
    Provenance made = make_provenance(run, run.eval.protocol, none, none, {}, 1000, c10::kCPU);
    made.class_map_hash = classes;
    made.test_data_hash = test_videos;
    if (weights != "untrained") {
      made.weights.file = weights;
      made.weights.hash = weights + std::to_string(training_seed);
      describe_training(made.weights,
                        load_run_config("ucf101_stor_contrast", {"seed=" + std::to_string(training_seed)}), 10);
    }
    return made;
  }
  Document document() const {
    ProtocolResult result;
    result.accuracy.top1 = top1;
    result.accuracy.clip_top1 = top1 / 2;
    result.decoded = decoded;
    result.total = 10;
    result.rate.lr = 0.1;
    return result_document(result, 101, provenance());
  }
};

}  // namespace cstp
