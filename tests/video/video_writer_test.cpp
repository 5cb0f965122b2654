#include "cstp/video/video_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <filesystem>
#include <iterator>
#include <memory>
#include <vector>

#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "cstp/video/video_reader.h"

namespace cstp {
namespace {

namespace fs = std::filesystem;

class Writer : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / cat("cstp_writer_", ::getpid());
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  /// A grey picture whose brightness says which frame it is.
  static std::vector<uint8_t> picture(int64_t frame) {
    return std::vector<uint8_t>(static_cast<size_t>(48 * 32 * 3), static_cast<uint8_t>(20 + 10 * frame));
  }
  void write(const std::string& file, int64_t frames) const {
    VideoWriter writer(file, {.width = 48, .height = 32, .fps = 10, .gop = 5});
    for (int64_t i = 0; i < frames; ++i) writer.write(picture(i));
    writer.finish();
  }
  fs::path folder_;
};

TEST_F(Writer, WritesWhatTheReaderReads) {
  write(path("a.mp4"), 17);
  VideoReader reader(path("a.mp4"));
  EXPECT_EQ(reader.info().frames, 17);
  EXPECT_EQ(reader.info().width, 48);
  EXPECT_EQ(reader.info().height, 32);
  EXPECT_NEAR(reader.info().fps, 10, 1e-6);
  std::vector<std::unique_ptr<uint8_t[]>> memory;
  const std::vector<int64_t> wanted = {0, 7, 16};
  const auto frames = reader.read(wanted, [&](size_t bytes) { return memory.emplace_back(new uint8_t[bytes]).get(); });
  for (size_t i = 0; i < wanted.size(); ++i) {
    const double luma = 16 + 219.0 / 255 * (20 + 10 * static_cast<double>(wanted[i]));  // limited range
    EXPECT_NEAR(frames[i].y[frames[i].y_stride * 16 + 24], luma, 2.5) << wanted[i];
    EXPECT_NEAR(frames[i].u[0], 128, 2);
  }
}

TEST_F(Writer, GivesTheSameBytesEveryTime) {
  write(path("a.mp4"), 12);
  write(path("b.mp4"), 12);
  EXPECT_EQ(read_text_file(path("a.mp4")), read_text_file(path("b.mp4")));
}

TEST_F(Writer, AnUnfinishedFileIsTakenAway) {
  {
    VideoWriter writer(path("a.mp4"), {.width = 48, .height = 32});
    writer.write(picture(0));
  }
  EXPECT_TRUE(fs::is_empty(folder_));
}

TEST_F(Writer, RefusesOddSizesAndMissingFolders) {
  EXPECT_THROW(VideoWriter(path("a.mp4"), {.width = 47, .height = 32}), DataError);
  try {
    VideoWriter writer(path("none/a.mp4"), {.width = 48, .height = 32});
    FAIL() << "a file was made in a folder that is not there";
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("none/a.mp4"));
  }
}

/// No file of this process may grow past a few bytes while this object lives: writing fails as on a full disk.
class FullDisk {
 public:
  explicit FullDisk(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit tight = {bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &tight);
  }
  ~FullDisk() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  FullDisk(const FullDisk&) = delete;
  FullDisk& operator=(const FullDisk&) = delete;

 private:
  rlimit before_{};
  void (*handler_)(int);
};

TEST_F(Writer, AFullDiskIsADataErrorThatLeavesTheOldFileAlone) {
  write(path("a.mp4"), 3);
  const std::string before = read_text_file(path("a.mp4"));
  std::string message;
  {
    const FullDisk full(512);
    try {
      write(path("a.mp4"), 20);
    } catch (const DataError& error) {
      message = error.what();
    }
  }
  EXPECT_THAT(message, testing::HasSubstr("a.mp4 could not be written"));
  EXPECT_EQ(read_text_file(path("a.mp4")), before);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 1);  // no part of the new one
}

TEST_F(Writer, AVideoWithoutFramesIsNoFile) {
  EXPECT_THROW(write(path("a.mp4"), 0), DataError);
  EXPECT_TRUE(fs::is_empty(folder_));
}

}  // namespace
}  // namespace cstp
