#include "cstp/engine/protocol.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cstp/core/error.h"
#include "cstp/core/text.h"

namespace cstp {
namespace {

using testing::HasSubstr;

RunConfig config(const std::string& name, const std::vector<std::string>& sets = {}) {
  return load_run_config(name, sets);
}
std::string name_of(const std::string& file, const std::vector<std::string>& sets = {}) {
  const RunConfig run = config(file, sets);
  return name_protocol(run, run.eval.protocol);
}
std::string hash_of(const std::string& file, const std::vector<std::string>& sets = {}) {
  const RunConfig run = config(file, sets);
  return settings_hash(protocol_settings(run, run.eval.protocol));
}

TEST(Protocol, EveryShippedConfigIsTheOneItNames) {
  for (const std::string& file : shipped_configs()) {
    EXPECT_NE(config(file).eval.protocol_name, "") << file;
    EXPECT_EQ(name_of(file), config(file).eval.protocol_name) << file;
  }
}

TEST(Protocol, WhatDepartsFromTheNameIsSaid) {
  EXPECT_EQ(name_of("ucf101_linear", {"eval.clips=5"}), "ucf101-linear-v1 + {eval.clips=5}");
  EXPECT_EQ(name_of("ucf101_linear", {"eval.linear.lr=0.1", "clip.size=64"}),
            "ucf101-linear-v1 + {clip.size=64, eval.linear.lr=[0.1]}");
  EXPECT_EQ(name_of("ucf101_linear", {"eval.linear.features=cached"}),
            "ucf101-linear-v1 + {eval.linear.features=cached, eval.linear.train_clips=10}");
  EXPECT_NE(hash_of("ucf101_linear", {"eval.clips=5"}), hash_of("ucf101_linear"));
  EXPECT_NE(hash_of("ucf101_linear", {"eval.linear.lr=0.1"}), hash_of("ucf101_linear"));
}

TEST(Protocol, ADefaultThatTheNameReplacesIsSaidToo) {  // such a key is a setting only away from its default
  const auto cvrl = [](std::vector<std::string> sets) {
    std::vector<std::string> all = protocol_assignments(*find_protocol("kinetics-linear-cvrl-v1"));
    all.emplace_back("data.format=kinetics");
    all.insert(all.end(), sets.begin(), sets.end());
    return name_of("ucf101_linear", all);
  };
  EXPECT_EQ(cvrl({}), "kinetics-linear-cvrl-v1");
  EXPECT_EQ(cvrl({"eval.size=0"}), "kinetics-linear-cvrl-v1 + {eval.size=0}");
  EXPECT_EQ(cvrl({"eval.linear.views=cstp"}), "kinetics-linear-cvrl-v1 + {eval.linear.views=cstp}");
  EXPECT_EQ(cvrl({"data.share=0.1"}), "kinetics-linear-cvrl-v1 + {data.share=0.1}");
  EXPECT_EQ(name_of("ucf101_linear", {"eval.views=cvrl"}), "ucf101-linear-v1 + {eval.views=cvrl}");
}

TEST(Protocol, OtherDataIsADepartureFromANameOfADataSet) {
  EXPECT_EQ(name_of("ucf101_linear", {"data.format=list"}), "ucf101-linear-v1 + {data.format=list}");
  EXPECT_EQ(name_of("synthetic_quick", {"data.format=list"}), "synthetic-linear-v1");
}

TEST(Protocol, WhatTheResultDoesNotDependOnIsNoDeparture) {
  const std::vector<std::string> sets = {
      "seed=7",        "loader.workers=3",   "eval.batch=1",
      "train.batch=8", "data.split=2",       "model.name=r3d18",
      "eval.knn=5",    "eval.finetune.lr=1", "eval.linear.train_clips=3"};  // of cached features only
  EXPECT_EQ(name_of("ucf101_linear", sets), "ucf101-linear-v1");
  EXPECT_EQ(hash_of("ucf101_linear", sets), hash_of("ucf101_linear"));
}

TEST(Protocol, AProbeIsADepartureThatIsSaid) {
  EXPECT_EQ(name_of("ucf101_linear", {"eval.probe=none"}), "ucf101-linear-v1");
  EXPECT_EQ(hash_of("ucf101_linear", {"eval.probe=none"}), hash_of("ucf101_linear"));
  EXPECT_EQ(name_of("ucf101_linear", {"eval.probe=shuffle"}), "ucf101-linear-v1 + {eval.probe=shuffle}");
  EXPECT_NE(hash_of("ucf101_linear", {"eval.probe=shuffle"}), hash_of("ucf101_linear", {"eval.probe=repeat"}));
  EXPECT_EQ(name_of("ucf101_finetune", {"eval.probe=repeat"}), "ucf101-finetune-v1 + {eval.probe=repeat}");
  EXPECT_EQ(name_protocol(config("ucf101_linear", {"eval.probe=shuffle"}), "retrieve"), "custom-retrieve");
  EXPECT_THROW((void)config("ucf101_linear", {"eval.probe=shuffle", "eval.protocol=pretext"}), ConfigError);
}

TEST(Protocol, AnotherKindIsRecognisedByItsSettingsOrCalledCustom) {
  EXPECT_EQ(name_of("ucf101_linear", {"eval.protocol=knn"}), "knn-v1");
  EXPECT_EQ(name_of("ucf101_linear", {"eval.protocol=knn", "eval.knn=5"}), "custom-knn");
  EXPECT_EQ(name_of("ucf101_linear", {"eval.protocol=finetune"}), "custom-finetune");  // its average is softmax
  EXPECT_EQ(name_of("ucf101_linear", {"eval.protocol=finetune", "eval.average=logits"}), "ucf101-finetune-v1");
  EXPECT_EQ(name_of("hmdb51_linear", {"eval.protocol_name=''"}), "hmdb51-linear-v1");
  EXPECT_EQ(name_of("hmdb51_linear", {"eval.protocol_name=''", "eval.clips=1"}), "custom-linear");
  EXPECT_EQ(name_protocol(config("ucf101_linear"), "retrieve"), "retrieval-v1");
  EXPECT_EQ(name_protocol(config("synthetic_quick"), "pretext"), "pretext-v1");
}

TEST(Protocol, ThePretextOfAnotherObjectiveIsAnotherTaskUnderTheSameName) {
  const auto hash = [](const std::vector<std::string>& sets) {
    return settings_hash(protocol_settings(config("synthetic_quick", sets), "pretext"));
  };
  EXPECT_EQ(name_protocol(config("synthetic_quick", {"objective.max_rate=1"}), "pretext"), "pretext-v1");
  EXPECT_NE(hash({"objective.max_rate=1"}), hash({}));
}

/// Every protocol as its own name's assignments make it.
RunConfig as_named(const ProtocolRow& row) {
  std::vector<std::string> sets = protocol_assignments(row);
  if (*row.format != '\0') sets.push_back(cat("data.format=", row.format));
  return config("k400_stor_contrast", sets);
}

TEST(Protocol, ANameSetsEverySettingItStandsFor) {
  for (const ProtocolRow& row : protocols()) {
    EXPECT_EQ(name_protocol(as_named(row), row.kind), row.name);
    const std::string assigned = cat(" ", join(protocol_assignments(row), " "));
    for (const auto& [key, value] : protocol_settings(as_named(row), row.kind)) {
      const bool left_open = std::string(row.kind) == "pretext" && !key.starts_with("eval.");
      if (key.starts_with("rule.") || left_open) continue;
      EXPECT_THAT(assigned, HasSubstr(cat(" ", key, "="))) << row.name;
    }
  }
}

TEST(Protocol, ANameNeverChangesItsMeaning) {
  // A line that changes means that numbers under the name are no longer comparable: give the protocol a new version.
  std::string now;
  for (const ProtocolRow& row : protocols()) {
    if (std::string(row.kind) == "pretext") continue;  // hashes the objective too
    now += cat(row.name, " ", settings_hash(protocol_settings(as_named(row), row.kind)), "\n");
  }
  EXPECT_EQ(now, R"(ucf101-linear-v1 78bc847e3153a6b3
ucf101-finetune-v1 2d8c4be0107f3e2a
hmdb51-linear-v1 78bc847e3153a6b3
hmdb51-finetune-v1 2d8c4be0107f3e2a
kinetics-linear-cvrl-v1 cf49ce00011e47d3
ucf101-finetune-cvrl-v1 823e96cfd07278ee
hmdb51-finetune-cvrl-v1 823e96cfd07278ee
kinetics-semi1-cvrl-v1 c63013787c9ef355
kinetics-semi10-cvrl-v1 86e617c1dd7fca8b
ucf101-finetune-sts-v1 06904b2820026cf9
hmdb51-finetune-sts-v1 06904b2820026cf9
knn-sts-v1 1663ae7c4e9ba37b
retrieval-sts-v1 47e4854f7043dca3
linear-cached-v1 b9687cf683c427c8
knn-v1 146ee6c4323c2252
retrieval-v1 c2c2082ffe26d77e
synthetic-linear-v1 0e702cda5283c1a6
synthetic-knn-v1 424f1ea09612157c
synthetic-retrieval-v1 566e8644374f5130
ut-interaction-linear-v1 47a07033d0b26025
ut-interaction-knn-v1 6bec94e32cf94cb0
ut-interaction-retrieval-v1 266e3082037f4201
)");
}

TEST(Protocol, AnUnknownNameIsRefusedWithTheNearest) {
  try {
    (void)config("ucf101_linear", {"eval.protocol_name=ucf101-linaer-v1"});
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("did you mean 'ucf101-linear-v1'?"));
  }
}

TEST(RecipeHash, IsTheSameForRunsThatDifferBySeedOnly) {
  const auto hash = [](const std::vector<std::string>& sets) { return recipe_hash(config("synthetic_quick", sets)); };
  EXPECT_EQ(hash({"seed=2", "output=elsewhere", "loader.workers=1", "eval.clips=3"}), hash({}));
  EXPECT_NE(hash({"schedule.lr=0.5"}), hash({}));
  EXPECT_NE(hash({"objective.weights.rate=0"}), hash({}));
}

}  // namespace
}  // namespace cstp
