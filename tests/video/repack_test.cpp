/// Repacked videos against what they were made from, and videos that lie inside of a tar file.
#include "cstp/video/repack.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <numeric>

#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "cstp/video/packed_path.h"
#include "cstp/video/synthetic.h"
#include "cstp/video/video_reader.h"
#include "cstp/video/video_writer.h"
#include "frame_index.h"
#include "packet_source.h"
#include "plane_scale.h"

namespace cstp::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

/// All frames of a video with their memory.
struct Decoded {
  VideoInfo info;
  std::vector<std::unique_ptr<uint8_t[]>> memory;
  std::vector<Frame> frames;

  explicit Decoded(const std::string& path) {
    VideoReader reader(path);
    info = reader.info();
    std::vector<int64_t> all(static_cast<size_t>(info.frames));
    std::iota(all.begin(), all.end(), int64_t{0});
    frames = reader.read(all, [this](size_t bytes) {
      memory.push_back(std::make_unique_for_overwrite<uint8_t[]>(bytes));
      return memory.back().get();
    });
  }
};

double psnr(const uint8_t* a, const uint8_t* b, size_t count) {
  double sum = 0;
  for (size_t i = 0; i < count; ++i) sum += std::pow(static_cast<double>(a[i]) - static_cast<double>(b[i]), 2);
  return 10 * std::log10(255 * 255 / std::max(1e-9, sum / static_cast<double>(count)));
}

/// The worst plane of the worst frame, against the original's frames scaled in the same way.
double worst_psnr(const Decoded& original, const Decoded& packed) {
  double worst = 1000;
  for (size_t k = 0; k < packed.frames.size(); ++k) {
    const Frame& frame = packed.frames[k];
    const int64_t luma = frame.width * frame.height, chroma = luma / 4;
    std::vector<uint8_t> wanted(static_cast<size_t>(luma + 2 * chroma));
    uint8_t* y = wanted.data();
    scale_upright(
        original.frames[k], frame.width, frame.height,
        {.planes = {y, y + luma, y + luma + chroma}, .strides = {frame.width, frame.width / 2, frame.width / 2}});
    worst = std::min({worst, psnr(y, frame.y, static_cast<size_t>(luma)),
                      psnr(y + luma, frame.u, static_cast<size_t>(chroma)),
                      psnr(y + luma + chroma, frame.v, static_cast<size_t>(chroma))});
  }
  return worst;
}

class Repacked : public testing::Test {
 protected:
  void SetUp() override {
    const testing::TestInfo& info = *testing::UnitTest::GetInstance()->current_test_info();
    folder_ = fs::temp_directory_path() / cat("repack_", info.name(), "_", getpid());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string write(const std::string& name, const std::string& bytes) const {
    std::ofstream(path(name), std::ios::binary) << bytes;
    return path(name);
  }
  /// Frames that tell their number by their brightness, B-frames between them.
  std::string numbered_video(int64_t frames, double fps = 25) const {
    VideoWriter writer(path("numbered.mp4"),
                       {.width = 64, .height = 48, .fps = fps, .quality = 10, .gop = 250, .b_frames = 3});
    for (int64_t k = 0; k < frames; ++k)
      writer.write(std::vector<uint8_t>(64 * 48 * 3, static_cast<uint8_t>(10 + 4 * k)));
    writer.finish();
    return path("numbered.mp4");
  }
  std::string synthetic_video(int64_t width, int64_t height, int64_t frames) const {
    SyntheticOptions options;
    options.classes = 2;
    options.train_per_class = 1;
    options.test_per_class = 0;
    options.frames = frames;
    options.width = width;
    options.height = height;
    make_synthetic(path("scenes"), options, 1);
    for (const auto& entry : fs::recursive_directory_iterator(path("scenes"))) {
      if (entry.path().extension() == ".mp4") return entry.path().string();
    }
    return "";
  }
  std::string repacked(const std::string& video, const RepackOptions& options, const std::string& name = "packed.mp4") {
    return write(name, repack_video(video, options).bytes);
  }

  fs::path folder_;
};

TEST_F(Repacked, FrameKStaysFrameK) {
  const std::string video = numbered_video(60);
  for (const int64_t gop : {8, 1}) {
    // Three frames at a time: neighbouring stretches must join.
    const Decoded packed(repacked(video, {.gop = gop, .stretch_bytes = 3 * 64 * 48 * 3 / 2 + 3}, cat(gop, ".mp4")));
    ASSERT_EQ(packed.info.frames, 60);
    EXPECT_DOUBLE_EQ(packed.info.fps, 25);
    EXPECT_EQ(packed.info.width, 64);
    for (size_t k = 0; k < 60; ++k) {
      const double grey = (packed.frames[k].y[20 * 64 + 30] - 16) * 255.0 / 219;
      EXPECT_EQ(std::lround((grey - 10) / 4), static_cast<long>(k));
    }
  }
}

TEST_F(Repacked, RateAndTimeStayAlsoWhereTheyAreOdd) {
  const VideoInfo info = Decoded(repacked(numbered_video(30, 30000.0 / 1001), {})).info;
  EXPECT_NEAR(info.fps, 30000.0 / 1001, 1e-6);
  EXPECT_NEAR(info.seconds, 1.001, 1e-6);
}

TEST(RepackedSize, BringsTheShorterSideDownAndKeepsBothEven) {
  const auto size = [](int64_t width, int64_t height, int64_t side) {
    return repacked_size({.width = width, .height = height}, side);
  };
  EXPECT_EQ(size(320, 240, 128), std::pair(int64_t{170}, int64_t{128}));
  EXPECT_EQ(size(1280, 720, 128), std::pair(int64_t{228}, int64_t{128}));
  EXPECT_EQ(size(720, 1280, 128), std::pair(int64_t{128}, int64_t{228}));
  EXPECT_EQ(size(128, 96, 128), std::pair(int64_t{128}, int64_t{96}));  // never enlarged
  EXPECT_EQ(size(129, 97, 128), std::pair(int64_t{128}, int64_t{96}));
  EXPECT_EQ(size(5000, 1, 128), std::pair(int64_t{5000}, int64_t{2}));
}

TEST_F(Repacked, HasAKeyFrameEveryGopAndNoneElsewhere) {
  const std::string video = numbered_video(60);
  Deadline deadline;
  for (const int64_t gop : {8, 16, 1}) {
    PacketSource source(repacked(video, {.gop = gop}), deadline);
    const auto index = build_index(source, {});
    EXPECT_FALSE(index->counted);  // known from the packets, without decoding
    EXPECT_TRUE(index->matched);
    ASSERT_EQ(std::ssize(index->starts), (60 + gop - 1) / gop);
    for (size_t i = 0; i < index->starts.size(); ++i) {
      EXPECT_EQ(index->starts[i].frame, static_cast<int64_t>(i) * gop);
      EXPECT_EQ(index->starts[i].packet, index->starts[i].frame);  // and no reordering
    }
  }
}

TEST_F(Repacked, LooksLikeTheScaledOriginal) {
  const std::string video = synthetic_video(192, 144, 24);
  const Decoded original(video);
  const Decoded small(repacked(video, {.short_side = 96}, "small.mp4"));
  EXPECT_EQ(small.info.width, 128);
  EXPECT_EQ(small.info.height, 96);
  EXPECT_GT(worst_psnr(original, small), 36);
  EXPECT_LT(worst_psnr(original, Decoded(repacked(video, {.short_side = 96, .quality = 40}, "poor.mp4"))), 34);
}

TEST_F(Repacked, HasTheSameBytesOnEveryCall) {
  const std::string video = synthetic_video(64, 48, 12);
  EXPECT_EQ(repack_video(video, {}).bytes, repack_video(video, {.stretch_bytes = 1}).bytes);
}

TEST_F(Repacked, KeepsItsIndexInFront) {
  const std::string bytes = repack_video(numbered_video(20), {}).bytes;
  EXPECT_LT(bytes.find("moov"), bytes.find("mdat"));
}

TEST_F(Repacked, StopsWhereItIsToldTo) {
  const std::string video = numbered_video(20);
  EXPECT_THROW(repack_video(video, {.stop = [] { return true; }}), RepackStopped);
  EXPECT_THROW(repack_video(path("none.mp4"), {}), DecodeError);
}

/// A 4x2 picture of luma 1 ... 8 that lies on its side.
TEST(ScaleUpright, CarriesOutTheDisplayRotation) {
  const std::vector<uint8_t> y = {1, 2, 3, 4, 5, 6, 7, 8}, u = {11, 12}, v = {21, 22};
  Frame frame{.y = y.data(), .u = u.data(), .v = v.data(), .y_stride = 4, .uv_stride = 2, .width = 4, .height = 2};
  const auto turned = [&](int turns, int64_t width, int64_t height) {
    frame.quarter_turns = turns;
    std::vector<uint8_t> out(12);
    scale_upright(frame, width, height,
                  {.planes = {out.data(), out.data() + 8, out.data() + 10}, .strides = {width, width / 2, width / 2}});
    return out;
  };
  EXPECT_EQ(turned(0, 4, 2), (std::vector<uint8_t>{1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 21, 22}));
  EXPECT_EQ(turned(1, 2, 4), (std::vector<uint8_t>{4, 8, 3, 7, 2, 6, 1, 5, 12, 11, 22, 21}));
  EXPECT_EQ(turned(2, 4, 2), (std::vector<uint8_t>{8, 7, 6, 5, 4, 3, 2, 1, 12, 11, 22, 21}));
  EXPECT_EQ(turned(3, 2, 4), (std::vector<uint8_t>{5, 1, 6, 2, 7, 3, 8, 4, 11, 12, 21, 22}));
}

TEST_F(Repacked, OfRealFilesShowsTheSame) {
  const char* real = std::getenv("CSTP_TEST_DATA");
  if (real == nullptr) GTEST_SKIP() << "needs real files: set CSTP_TEST_DATA to their folder";
  // A phone's rotation, full range, 4:2:2 of 10 bits, MPEG-4 with packed B-frames, an edit list, an odd size.
  for (const char* name : {"decord__video_90.mov", "antmedia__sample.mp4", "fate__Sequence_1-Apple_ProRes_422.mp4",
                           "fate__packed_bframes.avi", "fate__mov_ibi_elst_starts_b.mp4",
                           "fate__vp80-00-comprehensive-006.mp4", "imageio__realshort.mp4"}) {
    SCOPED_TRACE(name);
    const Decoded original(cat(real, "/clips/", name));
    const Decoded packed(repacked(cat(real, "/clips/", name), {}));
    const auto [width, height] = repacked_size(original.info, 128);
    ASSERT_EQ(packed.info.frames, original.info.frames);
    EXPECT_NEAR(packed.info.fps, original.info.fps, 1e-4 * original.info.fps);
    EXPECT_EQ(packed.info.width, width);
    EXPECT_EQ(packed.info.height, height);
    EXPECT_EQ(packed.frames[0].quarter_turns, 0);
    EXPECT_EQ(packed.frames[0].matrix, original.frames[0].matrix);
    EXPECT_EQ(packed.frames[0].range, original.frames[0].range);
    EXPECT_GT(worst_psnr(original, packed), 33);
  }
}

TEST(PackedPath, ReadsBackAndLeavesOrdinaryPathsAlone) {
  for (const std::string name : {"train/a b/x.mp4", "/elsewhere/x.avi", "odd.tar#1+x/#2+3/y", ""}) {
    const PackedPath path{.shard = "packs/k.tar#400/shard-000003.tar", .offset = 1536, .size = 48211, .name = name};
    const auto read = parse_packed_path(path.text());
    ASSERT_TRUE(read) << path.text();
    EXPECT_EQ(read->shard, path.shard);
    EXPECT_EQ(read->offset, 1536);
    EXPECT_EQ(read->size, 48211);
    EXPECT_EQ(read->name, name);
    EXPECT_EQ(file_holding(path.text()), path.shard);
  }
  for (const char* path : {"a.mp4", "a.tar", "a.tar#1", "a.tar#1+2", "a.tar#-1+2/x", "a.tar#1+99999999999999999999/x",
                           "a.tar#1 +2/x", "a.tarx#1+2/x"}) {
    EXPECT_FALSE(parse_packed_path(path)) << path;
    EXPECT_EQ(file_holding(path), path);
  }
}

/// Two videos as members of a tar file, whose headers have only what the reader looks at.
class InAShard : public Repacked {
 protected:
  void SetUp() override {
    Repacked::SetUp();
    first_ = repack_video(numbered_video(20), {}).bytes;
    second_ = repack_video(numbered_video(33), {}).bytes;
    bytes_ = member(first_) + member(second_);
    write("shard-000000.tar", bytes_);
  }
  static std::string member(const std::string& content) {
    std::string header(512, '\0');
    char size[12];
    std::snprintf(size, sizeof size, "%011zo", content.size());
    header.replace(124, 11, size);
    header.replace(257, 5, "ustar");
    std::string zeros((512 - content.size() % 512) % 512, '\0');
    return header + content + zeros;
  }
  std::string packed_path(int64_t offset, const std::string& content) const {
    return PackedPath{path("shard-000000.tar"), offset, std::ssize(content), "train/x.mp4"}.text();
  }
  std::string first() const { return packed_path(512, first_); }
  std::string second() const { return packed_path(512 + std::ssize(member(first_)), second_); }
  static std::string error_of(const std::string& path) {
    try {
      const VideoReader reader(path);
    } catch (const DecodeError& error) {
      return error.what();
    }
    return "";
  }

  std::string first_, second_, bytes_;
};

TEST_F(InAShard, AVideoReadsAsAFileDoes) {
  for (const auto& [path_in_shard, bytes] : {std::pair{first(), first_}, std::pair{second(), second_}}) {
    const Decoded inside(path_in_shard), alone(write("alone.mp4", bytes));
    ASSERT_EQ(inside.info.frames, alone.info.frames);
    for (size_t k = 0; k < inside.frames.size(); ++k)
      ASSERT_EQ(std::memcmp(inside.frames[k].y, alone.frames[k].y, 64 * 48 * 3 / 2), 0) << k;
    fs::remove(path("alone.mp4"));
  }
}

TEST_F(InAShard, VideosOfOneShardHaveIndexesOfTheirOwn) {
  EXPECT_EQ(VideoReader(first()).info().frames, 20);
  EXPECT_EQ(VideoReader(second()).info().frames, 33);
  EXPECT_NE(IndexCache::key(first()), IndexCache::key(second()));
  EXPECT_NE(IndexCache::key(first()), "");
  VideoReader again(second());  // known by now, so that nothing has been read yet
  std::vector<std::vector<uint8_t>> memory;
  EXPECT_EQ(again.read(std::vector<int64_t>{7, 32}, [&](size_t n) { return memory.emplace_back(n).data(); }).size(),
            2u);
}

TEST_F(InAShard, WhatIsWrongIsSaid) {
  EXPECT_THAT(error_of(PackedPath{path("none.tar"), 512, 10, "x.mp4"}.text()), HasSubstr("no such file"));
  EXPECT_THAT(error_of(packed_path(1024, first_)), HasSubstr("no video of"));
  EXPECT_THAT(error_of(packed_path(0, first_)), HasSubstr("no video of"));
  EXPECT_THAT(error_of(packed_path(512, first_ + "x")), HasSubstr("damaged or of another pack"));
  const std::string path_before = second();
  fs::resize_file(path("shard-000000.tar"), bytes_.size() - 1024);
  EXPECT_THAT(error_of(path_before),
              testing::AllOf(HasSubstr("train/x.mp4: its shard was cut short"), HasSubstr("copy or pack it again")));
  EXPECT_EQ(error_of(first()), "");  // what is whole still reads
}

TEST_F(InAShard, TheDeadlineHolds) {
  try {
    const VideoReader reader(first(), {.deadline = 0});
    ADD_FAILURE() << "nothing was thrown";
  } catch (const DecodeError& error) {
    EXPECT_THAT(error.what(), HasSubstr("deadline of 0 s"));
  }
}

}  // namespace
}  // namespace cstp::test
