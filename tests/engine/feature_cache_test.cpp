#include "cstp/engine/feature_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <filesystem>
#include <fstream>

#include "cstp/core/text.h"
#include "data/temporary_folder.h"

namespace cstp {
namespace {

namespace fs = std::filesystem;

/// Three "videos", of which the second does not decode.
struct FeatureCache : testing::Test {
  FeatureCache() {
    for (const std::string name : {"a", "b", "c"}) {
      write_file_atomically(folder.path() + "/" + name, name);
      dataset.videos.push_back({folder.path() + "/" + name, static_cast<int64_t>(dataset.videos.size())});
    }
  }
  FeatureSet features(const std::string& cause = "cause") {
    return cached_features(cache(), cause, dataset, [this] {
      ++computed;
      FeatureSet made;
      made.values = torch::arange(12).to(torch::kFloat).reshape({2, 2, 3});
      made.labels = torch::tensor({0, 2}, torch::kLong);
      made.records = {0, 2};
      made.total = 3;
      return made;
    });
  }
  std::string cache() const { return folder.path() + "/cache"; }

  const TemporaryFolder folder;
  Dataset dataset;
  int computed = 0;
};

TEST_F(FeatureCache, GivesBackWhatWasComputed) {
  const FeatureSet first = features();
  testing::internal::CaptureStderr();
  const FeatureSet second = features();
  EXPECT_THAT(testing::internal::GetCapturedStderr(), testing::HasSubstr(dataset.videos[1].path + ": could not"));
  EXPECT_EQ(computed, 1);
  EXPECT_TRUE(second.values.equal(first.values));
  EXPECT_TRUE(second.labels.equal(first.labels));
  EXPECT_EQ(second.records, first.records);
  EXPECT_EQ(second.total, 3);
}

TEST_F(FeatureCache, IsNotTakenForAnotherCauseOrAReplacedVideo) {
  features();
  features("another");
  EXPECT_EQ(computed, 2);
  write_file_atomically(dataset.videos[0].path, "repaired");
  features();
  EXPECT_EQ(computed, 3);
}

TEST_F(FeatureCache, ComputesAnewWhatIsCutShortAndGoesOnWhereNothingCanBeKept) {
  features();
  for (const auto& entry : fs::directory_iterator(cache())) fs::resize_file(entry.path(), fs::file_size(entry) - 4);
  EXPECT_EQ(features().decoded(), 2);
  EXPECT_EQ(computed, 2);
  fs::remove_all(cache());
  write_file_atomically(cache(), "a file where the folder should be");
  EXPECT_EQ(features().decoded(), 2);
  EXPECT_EQ(computed, 3);
}

}  // namespace
}  // namespace cstp
