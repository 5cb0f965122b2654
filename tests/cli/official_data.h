/// UCF101 and HMDB51 in small: synthetic videos under names and lists as the official ones are, with their traps.
#pragma once
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "cstp/core/text.h"
#include "cstp/video/synthetic.h"
#include "cstp/video/video_writer.h"

namespace cstp {

/// One video of 40 frames, 64 x 48.
inline void make_video(const std::string& path, int64_t label, int64_t index) {
  SyntheticOptions options;
  options.frames = 40;
  options.width = 64;
  options.height = 48;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  const SyntheticVideo video(options, label, index);
  VideoWriter writer(path, {.width = options.width, .height = options.height});
  std::vector<uint8_t> rgb(static_cast<size_t>(options.width * options.height * 3));
  for (int64_t frame = 0; frame < options.frames; ++frame) {
    video.render(frame, rgb);
    writer.write(rgb);
  }
  writer.finish();
}

inline void write_text(const std::string& path, const std::string& text) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

/// root/UCF-101/CLASS/v_CLASS_gNN_cNN.avi and root/ucfTrainTestlist; six classes, six groups of one or two clips; split
/// s tests groups 2s-1 and 2s. Lists have CRLF, the classes are in no byte order, and one folder's files are spelt
/// otherwise.
inline void make_mini_ucf101(const std::string& root) {
  const std::vector<std::string> classes = {"Hammering",   "HammerThrow", "HandstandPushups",
                                            "JumpingJack", "JumpRope",    "YoYo"};
  std::string index;
  std::vector<std::string> train(4), test(4);
  for (size_t label = 0; label < classes.size(); ++label) {
    const std::string& name = classes[label];
    index += cat(label + 1, " ", name, "\r\n");
    const std::string spelt = name == "HandstandPushups" ? "HandStandPushups" : name;
    for (int group = 1; group <= 6; ++group) {
      for (int clip = 1; clip <= (group % 5 == 1 ? 2 : 1); ++clip) {
        const std::string file = cat(name, "/v_", spelt, "_g0", group, "_c0", clip, ".avi");
        make_video(cat(root, "/UCF-101/", file), static_cast<int64_t>(label), group * 10 + clip);
        for (int split = 1; split <= 3; ++split) {
          const bool tested = (group + 1) / 2 == split;
          (tested ? test : train)[static_cast<size_t>(split)] +=
              tested ? cat(file, "\r\n") : cat(file, " ", label + 1, "\r\n");
        }
      }
    }
  }
  write_text(root + "/ucfTrainTestlist/classInd.txt", index);
  for (size_t split = 1; split <= 3; ++split) {
    write_text(cat(root, "/ucfTrainTestlist/trainlist0", split, ".txt"), train[split]);
    write_text(cat(root, "/ucfTrainTestlist/testlist0", split, ".txt"), test[split]);
  }
}

/// root/hmdb51_org/class/*.avi and root/testTrainMulti_7030_splits; two classes, five sources of one or two clips,
/// names with # & ( ) ! ; [ ]; of the sources one is unused in every split.
inline void make_mini_hmdb51(const std::string& root) {
  const std::vector<std::string> classes = {"brush_hair", "cartwheel"};
  const std::vector<std::string> sources = {"April_09", "#20_Rhythm", "!#&(odd)_;[x]", "Blonde", "unused"};
  for (size_t label = 0; label < classes.size(); ++label) {
    std::vector<std::string> lists(4);
    for (size_t source = 0; source < sources.size(); ++source) {
      for (int clip = 0; clip <= (source == 0 ? 1 : 0); ++clip) {
        const std::string name = cat(sources[source], "_", classes[label], "_u_nm_np1_ba_goo_", clip, ".avi");
        make_video(cat(root, "/hmdb51_org/", classes[label], "/", name), static_cast<int64_t>(label),
                   static_cast<int64_t>(source) * 10 + clip);
        for (size_t split = 1; split <= 3; ++split) {
          const int id = sources[source] == "unused" ? 0 : source + 1 == split ? 2 : 1;
          lists[split] += cat(name, " ", id, " \n");
        }
      }
    }
    for (size_t split = 1; split <= 3; ++split) {
      write_text(cat(root, "/testTrainMulti_7030_splits/", classes[label], "_test_split", split, ".txt"), lists[split]);
    }
  }
}

}  // namespace cstp
