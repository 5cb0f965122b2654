// The class of a synthetic video is in its motion: a classifier that sees one frame is at chance, one that sees how the
// object moves is not.
#include "cstp/video/synthetic.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <numbers>
#include <vector>

#include "cstp/core/config.h"
#include "cstp/core/error.h"
#include "cstp/core/random.h"
#include "cstp/core/text.h"
#include "cstp/video/video_reader.h"

namespace cstp {
namespace {

namespace fs = std::filesystem;
using Row = std::vector<double>;

/// Ridge regression onto one-hot classes in its dual form, on standardised features; returns the accuracy on the test
/// rows.
double ridge_accuracy(std::vector<Row> train, const std::vector<int64_t>& train_labels, std::vector<Row> test,
                      const std::vector<int64_t>& test_labels, int64_t classes, double strength) {
  const size_t dims = train[0].size(), count = train.size();
  for (size_t d = 0; d < dims; ++d) {
    double mean = 0, square = 0;
    for (const Row& row : train) mean += row[d] / static_cast<double>(count);
    for (const Row& row : train) square += (row[d] - mean) * (row[d] - mean) / static_cast<double>(count);
    const double scale = 1 / std::sqrt(square + 1e-9);
    for (Row& row : train) row[d] = (row[d] - mean) * scale;
    for (Row& row : test) row[d] = (row[d] - mean) * scale;
  }
  const auto dot = [&](const Row& a, const Row& b) {
    double sum = 0;
    for (size_t d = 0; d < dims; ++d) sum += a[d] * b[d];
    return sum / static_cast<double>(dims);
  };
  // (K + strength I) A = Y by Gaussian elimination; K is positive definite, so no pivoting is needed.
  std::vector<Row> system(count, Row(count + static_cast<size_t>(classes), 0));
  for (size_t i = 0; i < count; ++i) {
    for (size_t j = 0; j < count; ++j) system[i][j] = dot(train[i], train[j]) + (i == j ? strength : 0);
    system[i][count + static_cast<size_t>(train_labels[i])] = 1;
  }
  for (size_t i = 0; i < count; ++i) {
    for (size_t r = i + 1; r < count; ++r) {
      const double factor = system[r][i] / system[i][i];
      if (factor == 0) continue;
      for (size_t c = i; c < system[r].size(); ++c) system[r][c] -= factor * system[i][c];
    }
  }
  for (size_t i = count; i-- > 0;) {
    for (size_t k = 0; k < static_cast<size_t>(classes); ++k) {
      double value = system[i][count + k];
      for (size_t j = i + 1; j < count; ++j) value -= system[i][j] * system[j][count + k];
      system[i][count + k] = value / system[i][i];
    }
  }
  int64_t right = 0;
  for (size_t t = 0; t < test.size(); ++t) {
    Row scores(static_cast<size_t>(classes), 0);
    for (size_t i = 0; i < count; ++i) {
      const double kernel = dot(test[t], train[i]);
      for (size_t k = 0; k < scores.size(); ++k) scores[k] += kernel * system[i][count + k];
    }
    right += std::max_element(scores.begin(), scores.end()) - scores.begin() == test_labels[t] ? 1 : 0;
  }
  return static_cast<double>(right) / static_cast<double>(test.size());
}

/// One frame: block means, a colour histogram, and how the object's pattern repeats (the autocorrelation of the object
/// as seen upright and at unit size).
Row frame_features(const SyntheticVideo& video, const SyntheticOptions& options, int64_t frame) {
  std::vector<uint8_t> rgb(static_cast<size_t>(options.width * options.height * 3));
  video.render(frame, rgb);
  Row features(12 * 8 * 3 + 24, 0);
  for (int64_t y = 0; y < options.height; ++y) {
    for (int64_t x = 0; x < options.width; ++x) {
      for (int64_t c = 0; c < 3; ++c) {
        const double value = rgb[static_cast<size_t>((y * options.width + x) * 3 + c)];
        features[static_cast<size_t>(((y * 8 / options.height) * 12 + x * 12 / options.width) * 3 + c)] += value;
        features[static_cast<size_t>(12 * 8 * 3 + c * 8) + static_cast<size_t>(value / 32)] += 1;
      }
    }
  }
  constexpr int kPatch = 20, kLag = 7;
  const ObjectPose pose = video.pose(frame);
  const double radius = std::sqrt(pose.area * static_cast<double>(options.width * options.height) / std::numbers::pi);
  const double along = std::sqrt(pose.stretch);
  std::vector<double> patch;
  for (int i = 0; i < kPatch * kPatch; ++i) {
    const double u = 0.8 * radius * along * ((i % kPatch + 0.5) * 2 / kPatch - 1);
    const double v = 0.8 * radius / along * ((i / kPatch + 0.5) * 2 / kPatch - 1);
    const auto wrap = [](double at, int64_t size) {
      return ((static_cast<int64_t>(std::floor(at)) % size) + size) % size;
    };
    const int64_t x = wrap(pose.x + std::cos(pose.angle) * u - std::sin(pose.angle) * v, options.width);
    const int64_t y = wrap(pose.y + std::sin(pose.angle) * u + std::cos(pose.angle) * v, options.height);
    const uint8_t* pixel = &rgb[static_cast<size_t>((y * options.width + x) * 3)];
    patch.push_back(0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2]);
  }
  double mean = 0, power = 1e-3;
  for (const double value : patch) mean += value / static_cast<double>(patch.size());
  for (double& value : patch) value -= mean;
  for (const double value : patch) power += value * value;
  for (int dy = 0; dy < kLag; ++dy) {
    for (int dx = -kLag + 1; dx < kLag; ++dx) {
      double sum = 0;
      for (int y = 0; y + dy < kPatch; ++y) {
        for (int x = std::max(0, -dx); x < kPatch - std::max(0, dx); ++x) {
          sum += patch[static_cast<size_t>(y * kPatch + x)] * patch[static_cast<size_t>((y + dy) * kPatch + x + dx)];
        }
      }
      features.push_back(sum / power);
    }
  }
  return features;
}

/// How the object moves between neighbouring frames.
Row motion_features(const SyntheticVideo& video, const SyntheticOptions& options) {
  Row sums(6, 0);
  const auto wrapped = [](double d, double period) { return d - period * std::round(d / period); };
  const auto w = static_cast<double>(options.width), h = static_cast<double>(options.height);
  double travel_x = 0, travel_y = 0;
  for (int64_t i = 1; i < options.frames; ++i) {
    const ObjectPose a = video.pose(i - 1), b = video.pose(i);
    const double dx = wrapped(b.x - a.x, w), dy = wrapped(b.y - a.y, h);
    travel_x += dx;
    travel_y += dy;
    sums[0] += std::hypot(dx, dy);
    sums[1] += std::abs(wrapped(b.angle - a.angle, 2 * std::numbers::pi));
    sums[2] += std::abs(std::log(b.area / a.area));
    sums[3] += std::abs(std::log(b.stretch / a.stretch));
  }
  sums[4] = std::hypot(travel_x, travel_y);
  sums[5] = sums[4] / (sums[0] + 1e-6);
  return sums;
}

/// The same from pixels alone: how unlike frames at several distances are, and how steadily the change goes on.
Row change_features(const SyntheticVideo& video, const SyntheticOptions& options) {
  std::vector<std::vector<uint8_t>> frames(static_cast<size_t>(options.frames));
  for (size_t i = 0; i < frames.size(); ++i) {
    frames[i].resize(static_cast<size_t>(options.width * options.height * 3));
    video.render(static_cast<int64_t>(i), frames[i]);
  }
  const auto quantile = [](Row values, double share) {
    std::sort(values.begin(), values.end());
    return values[static_cast<size_t>(share * static_cast<double>(values.size() - 1))];
  };
  Row features;
  for (const size_t lag : {1, 2, 3, 5, 7, 9, 11, 14, 17, 20, 24}) {
    Row unlike;
    for (size_t i = lag; i < frames.size(); ++i) {
      double sum = 0;
      for (size_t p = 0; p < frames[i].size(); ++p) sum += std::abs(frames[i][p] - frames[i - lag][p]);
      unlike.push_back(std::log(sum / static_cast<double>(frames[i].size()) + 0.05));
    }
    // Showers that begin or end change everything at once; quantiles pass over them.
    for (const double share : {0.1, 0.5, 0.8}) features.push_back(quantile(unlike, share));
  }
  return features;
}

struct Split {
  std::vector<Row> train, test;
  std::vector<int64_t> train_labels, test_labels;
};

/// @param features (video, rng) -> row; 40 videos a class on either side
template <class Features>
double accuracy(const SyntheticOptions& options, double strength, const Features& features) {
  const auto classes = static_cast<int64_t>(synthetic_classes(options).size());
  Split split;
  Rng rng(11);
  for (int64_t index = 0; index < 80; ++index) {
    for (int64_t label = 0; label < classes; ++label) {
      const SyntheticVideo video(options, label, index);
      (index % 2 == 0 ? split.train : split.test).push_back(features(video, rng));
      (index % 2 == 0 ? split.train_labels : split.test_labels).push_back(label);
    }
  }
  return ridge_accuracy(split.train, split.train_labels, split.test, split.test_labels, classes, strength);
}

class OneFrame : public testing::TestWithParam<const char*> {};

TEST_P(OneFrame, TellsNothingAboutTheClass) {
  SyntheticOptions options;
  options.kind = GetParam();
  const auto classes = static_cast<double>(synthetic_classes(options).size());
  const double found = accuracy(options, 1.0, [&](const SyntheticVideo& video, Rng& rng) {
    return frame_features(video, options, rng.integer(0, options.frames - 1));
  });
  const double chance = 1 / classes;
  EXPECT_NEAR(found, chance, 4 * std::sqrt(chance * (1 - chance) / (40 * classes)));
}
INSTANTIATE_TEST_SUITE_P(OfKind, OneFrame, testing::Values("motion", "direction", "order", "pace"));

TEST(Motion, TellsTheClass) {
  SyntheticOptions options;
  EXPECT_GT(accuracy(options, 0.01, [&](const SyntheticVideo& video, Rng&) { return motion_features(video, options); }),
            0.5);
}

TEST(Motion, IsSeenInThePixels) {
  SyntheticOptions options;
  options.width = 64;
  options.height = 48;
  options.frames = 48;
  const double found =
      accuracy(options, 0.01, [&](const SyntheticVideo& video, Rng&) { return change_features(video, options); });
  EXPECT_GT(found, 0.4);
}

TEST(Appearance, IsToldByOneFrame) {  // the same classifier that is at chance above
  SyntheticOptions options;
  options.kind = "appearance";
  const double found = accuracy(options, 1.0, [&](const SyntheticVideo& video, Rng& rng) {
    return frame_features(video, options, rng.integer(0, options.frames - 1));
  });
  EXPECT_GT(found, 0.125 + 4 * std::sqrt(0.125 * 0.875 / 320));
}

/// Means of cos and sin of 1 and 2 turns over many videos: all zero where a phase is uniform.
TEST(Pose, IsUniformAtEveryTimeInEveryClass) {
  constexpr int64_t kVideos = 150;
  for (const char* kind : {"motion", "direction", "order", "pace"}) {
    SyntheticOptions options;
    options.kind = kind;
    options.width = options.height = 16;  // the poses do not depend on how many pixels there are
    options.frames = 60;
    const auto classes = static_cast<int64_t>(synthetic_classes(options).size());
    for (int64_t label = 0; label < classes; ++label) {
      std::vector<std::array<double, 5>> phases[2];
      for (int64_t index = 0; index < kVideos; ++index) {
        const SyntheticVideo video(options, label, index);
        for (const int64_t late : {0, 1}) {
          const ObjectPose pose = video.pose(late * 59);
          phases[late].push_back({pose.x / 16, pose.y / 16, pose.angle / (2 * std::numbers::pi),
                                  std::log(pose.area / 0.11) / std::log(0.27 / 0.11),
                                  0.5 + 0.5 * std::log(pose.stretch) / std::log(1.35)});
        }
      }
      for (const auto& sample : phases) {
        for (size_t which = 0; which < 5; ++which) {
          for (const double turns : {1, 2}) {
            double c = 0, s = 0;
            for (const auto& phase : sample) {
              ASSERT_GE(phase[which], -1e-9);
              ASSERT_LE(phase[which], 1 + 1e-9);
              c += std::cos(2 * std::numbers::pi * turns * phase[which]) / kVideos;
              s += std::sin(2 * std::numbers::pi * turns * phase[which]) / kVideos;
            }
            EXPECT_LT(std::hypot(c, s), 4.2 / std::sqrt(kVideos)) << kind << " class " << label << " phase " << which;
          }
        }
      }
    }
  }
}

TEST(SyntheticVideo, IsAFunctionOfItsName) {
  const SyntheticOptions options;
  std::vector<uint8_t> a(static_cast<size_t>(options.width * options.height * 3)), b(a.size()), c(a.size());
  SyntheticVideo(options, 2, 5).render(7, a);
  SyntheticVideo(options, 2, 5).render(7, b);
  SyntheticVideo(options, 2, 6).render(7, c);
  EXPECT_EQ(a, b);
  EXPECT_NE(a, c);
}

TEST(MakeSynthetic, WritesFilesOnceAndRefusesOtherOptions) {
  const fs::path root = fs::temp_directory_path() / cat("cstp_synthetic_", ::getpid());
  SyntheticOptions options;
  options.classes = 2;
  options.train_per_class = 2;
  options.test_per_class = 1;
  options.frames = 12;
  options.width = 48;
  options.height = 32;
  EXPECT_EQ(make_synthetic(root.string(), options, 2).made, 6);
  fs::remove(root / "train/drift/0001.mp4");
  const SyntheticResult again = make_synthetic(root.string(), options, 1);
  EXPECT_EQ(again.made, 1);
  EXPECT_EQ(again.kept, 5);
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    if (entry.path().extension() != ".mp4") continue;
    const VideoReader reader(entry.path().string());
    EXPECT_EQ(reader.info().frames, 12) << entry.path();
    EXPECT_EQ(reader.info().width, 48);
  }
  options.seed = 2;
  EXPECT_THROW(make_synthetic(root.string(), options, 1), DataError);
  fs::remove_all(root);
}

TEST(SyntheticOptions, NonsenseIsNamed) {
  SyntheticOptions options;
  options.width = 47;
  EXPECT_THROW(synthetic_classes(options), UsageError);
  EXPECT_THROW((void)ConfigNode::parse("kind: motoin", "x").read<SyntheticOptions>(), ConfigError);
}

}  // namespace
}  // namespace cstp
