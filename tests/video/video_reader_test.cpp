/// The reader on files made by the writer, whose frames tell their number by their brightness.
#include "cstp/video/video_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "cstp/video/video_writer.h"

namespace cstp::test {
namespace {

namespace fs = std::filesystem;
constexpr int64_t kFrames = 60;

class NumberedVideo : public testing::Test {
 protected:
  void SetUp() override {
    const testing::TestInfo& info = *testing::UnitTest::GetInstance()->current_test_info();
    folder_ = fs::temp_directory_path() / cat("video_reader_", info.name(), "_", getpid());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    path_ = (folder_ / "numbered.mp4").string();
    VideoWriter writer(path_, {.width = 64, .height = 48, .gop = 12, .b_frames = 3});
    for (int64_t k = 0; k < kFrames; ++k) {
      const std::vector<uint8_t> rgb(64 * 48 * 3, static_cast<uint8_t>(10 + 4 * k));
      writer.write(rgb);
    }
    writer.finish();
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path folder_;
  std::string path_;
};

/// The number that a frame's brightness tells: grey g is luma 16 + 219 g / 255.
int64_t number_of(const Frame& frame) {
  const double grey = (frame.y[frame.width * 20 + 30] - 16) * 255.0 / 219;
  return std::lround((grey - 10) / 4);
}

std::vector<int64_t> numbers_read(VideoReader& reader, const std::vector<int64_t>& wanted) {
  std::vector<std::vector<uint8_t>> memory;
  std::vector<int64_t> numbers;
  for (const Frame& f : reader.read(wanted, [&](size_t bytes) { return memory.emplace_back(bytes).data(); })) {
    numbers.push_back(number_of(f));
  }
  return numbers;
}

std::string error_of(const std::string& path) {
  try {
    const VideoReader reader(path);
  } catch (const DecodeError& error) {
    return error.what();
  }
  return "";
}

TEST_F(NumberedVideo, SaysWhatItIs) {
  const VideoReader reader(path_);
  EXPECT_EQ(reader.info().frames, kFrames);
  EXPECT_EQ(reader.info().width, 64);
  EXPECT_EQ(reader.info().height, 48);
  EXPECT_DOUBLE_EQ(reader.info().fps, 25);
  EXPECT_DOUBLE_EQ(reader.info().seconds, kFrames / 25.0);
}

TEST_F(NumberedVideo, GivesTheFramesAskedForInAnyOrderOfReads) {
  VideoReader reader(path_);
  for (const std::vector<int64_t>& wanted :
       {std::vector<int64_t>{59}, {0}, {13, 14, 15}, {0, 30, 59}, {11, 12}, {5, 7, 9, 11, 13, 15, 17, 19}, {47}, {2}}) {
    EXPECT_EQ(numbers_read(reader, wanted), wanted);
  }
}

TEST_F(NumberedVideo, RepeatedFramesShareTheirPlanes) {
  VideoReader reader(path_);
  std::vector<std::vector<uint8_t>> memory;
  const std::vector<int64_t> wanted{4, 4, 9, 9, 9};
  const auto frames = reader.read(wanted, [&](size_t bytes) { return memory.emplace_back(bytes).data(); });
  ASSERT_EQ(frames.size(), 5u);
  EXPECT_EQ(memory.size(), 2u);
  EXPECT_EQ(frames[0].y, frames[1].y);
  EXPECT_EQ(frames[2].y, frames[4].y);
  EXPECT_NE(frames[1].y, frames[2].y);
}

TEST_F(NumberedVideo, PlanesAreTightlyPacked) {
  VideoReader reader(path_);
  std::vector<uint8_t> memory;
  const std::vector<int64_t> wanted{1};
  const auto give = [&](size_t bytes) {
    memory.resize(bytes);
    return memory.data();
  };
  const Frame frame = reader.read(wanted, give).at(0);
  EXPECT_EQ(memory.size(), 64u * 48u * 3u / 2u);
  EXPECT_EQ(frame.y_stride, 64);
  EXPECT_EQ(frame.uv_stride, 32);
  EXPECT_EQ(frame.u - frame.y, 64 * 48);
  EXPECT_EQ(frame.v - frame.u, 32 * 24);
}

TEST_F(NumberedVideo, IsOpenedWithoutWorkTheSecondTime) {
  const VideoReader first(path_);
  VideoReader second(path_, {.deadline = 1e-9});  // no time for any decoding
  EXPECT_EQ(second.info().frames, kFrames);
  EXPECT_THROW(numbers_read(second, {3}), DecodeError);
}

TEST_F(NumberedVideo, ChangedOnDiskIsLookedAtAnew) {
  EXPECT_EQ(VideoReader(path_).info().frames, kFrames);
  VideoWriter writer(path_, {.width = 64, .height = 48});
  for (int i = 0; i < 7; ++i) writer.write(std::vector<uint8_t>(64 * 48 * 3, 100));
  writer.finish();
  EXPECT_EQ(VideoReader(path_).info().frames, 7);
}

TEST_F(NumberedVideo, PastItsDeadlineIsRefused) {
  try {
    const VideoReader reader(path_, {.deadline = 1e-9});
    FAIL() << "there was no time to open it";
  } catch (const DecodeError& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("deadline"));
    EXPECT_THAT(error.what(), testing::StartsWith(path_));
  }
}

TEST_F(NumberedVideo, IsReadByManyThreadsAtOnce) {
  std::vector<std::thread> threads;
  std::vector<std::vector<int64_t>> results(4);
  for (size_t t = 0; t < results.size(); ++t) {
    threads.emplace_back([&, t] {
      VideoReader reader(path_);
      results[t] = numbers_read(reader, {static_cast<int64_t>(t), 20, 50});
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (size_t t = 0; t < results.size(); ++t) {
    EXPECT_EQ(results[t], (std::vector<int64_t>{static_cast<int64_t>(t), 20, 50}));
  }
}

TEST_F(NumberedVideo, WithAnOddNameIsRead) {
  for (const char* name : {"-dash.mp4", "a:b #1 (x)&!;[y] .mp4", "http:x.mp4", "per%03dcent.mp4"}) {
    const std::string copy = (folder_ / name).string();
    fs::copy_file(path_, copy);
    EXPECT_EQ(VideoReader(copy).info().frames, kFrames) << name;
  }
}

TEST_F(NumberedVideo, CutInTwoOrOverwrittenIsRefusedOrReadInPart) {
  const auto size = fs::file_size(path_);
  for (const uintmax_t kept : {size / 100, size / 3, size / 2, size - 1}) {
    const std::string cut = (folder_ / ("cut" + std::to_string(kept) + ".mp4")).string();
    fs::copy_file(path_, cut);
    fs::resize_file(cut, kept);
    try {
      VideoReader reader(cut);
      EXPECT_LE(reader.info().frames, kFrames);
      EXPECT_EQ(numbers_read(reader, {0}), std::vector<int64_t>{0});
    } catch (const DecodeError& error) {
      EXPECT_THAT(error.what(), testing::StartsWith(cut));
    }
  }
}

TEST_F(NumberedVideo, IsNoTextNorEmptyNorMissing) {
  const std::string text = (folder_ / "text.mp4").string();
  std::ofstream(text) << "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";
  EXPECT_THAT(error_of(text), testing::HasSubstr("cannot be read as a video"));
  const std::string empty = (folder_ / "empty.mp4").string();
  std::ofstream(empty).close();
  EXPECT_THAT(error_of(empty), testing::HasSubstr("is empty"));
  EXPECT_THAT(error_of((folder_ / "missing.mp4").string()), testing::HasSubstr("no such file"));
  EXPECT_THAT(error_of(folder_.string()), testing::HasSubstr("is not a file"));
}

}  // namespace
}  // namespace cstp::test
