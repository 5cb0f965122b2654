/// Small data sets to pack, and what is in a pack.
#pragma once
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "cstp/core/random.h"
#include "cstp/core/text.h"
#include "cstp/data/pack.h"
#include "cstp/video/synthetic.h"
#include "cstp/video/video_writer.h"
#include "temporary_folder.h"

namespace cstp {

/// A video that cannot be made small: its shard is soon full.
inline void write_noise(const std::string& path, int64_t frames, uint64_t seed) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  VideoWriter writer(path, {.width = 128, .height = 96, .quality = 20, .gop = 12, .b_frames = 0});
  Rng rng(seed);
  std::vector<uint8_t> rgb(128 * 96 * 3);
  for (int64_t k = 0; k < frames; ++k) {
    for (uint8_t& byte : rgb) byte = static_cast<uint8_t>(rng.bits());
    writer.write(rgb);
  }
  writer.finish();
}

/// The files of a folder by name: size and fingerprint of each.
inline std::map<std::string, std::string> files_in(const std::string& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string bytes = read_text_file(entry.path().string());
    files[entry.path().filename().string()] = cat(bytes.size(), " ", hex_text(fingerprint(bytes)));
  }
  return files;
}

inline void flip_byte(const std::string& path, size_t at) {
  std::string bytes = read_text_file(path);
  bytes.at(at) = static_cast<char>(bytes[at] ^ 0x55);
  std::ofstream(path, std::ios::binary) << bytes;
}

/// A folder data set in FOLDER/data and where its pack goes.
class PackTest : public testing::Test {
 protected:
  std::string data() const { return folder_ / "data"; }
  std::string pack() const { return folder_ / "pack"; }

  /// Two classes, 3 training and 2 test videos each.
  void make_scenes() const {
    SyntheticOptions options;
    options.classes = 2;
    options.train_per_class = 3;
    options.test_per_class = 2;
    options.frames = 17;
    options.width = 96;
    options.height = 64;
    make_synthetic(data(), options, 1);
  }
  /// Two classes, 3 training videos each, of which a shard of 1 MiB holds about two.
  void make_noise() const {
    for (const char* name : {"a/0", "a/1", "a/2", "b/0", "b/1", "b/2"})
      write_noise(data() + "/train/" + name + ".mp4", 20, fingerprint(name));
  }

  DataOptions source() const { return {.format = "folder", .root = data()}; }
  DataOptions packed() const { return {.format = "packed", .root = pack()}; }
  PackSetup setup(bool with_test = true) const {
    PackSetup made{
        .root = data(), .folder = pack(), .settings = {.short_side = 96, .quality = 4, .shard_mb = 1}, .workers = 2};
    made.inputs.push_back({open_dataset(source(), Split::train), "train"});
    if (with_test) made.inputs.push_back({open_dataset(source(), Split::test), "test"});
    return made;
  }
  /// Shards of a pack that went through without an interruption, with one worker.
  std::map<std::string, std::string> undisturbed(PackSetup made) const {
    made.folder = folder_ / "undisturbed";
    made.workers = 1;
    made.progress = {};
    made.stop = {};
    pack_videos(made);
    return files_in(made.folder);
  }

  TemporaryFolder folder_;
};

}  // namespace cstp
