/// The annotation trees of UCF101, HMDB51 and Kinetics-400 at their real size and in their official layout, with empty
/// files for videos. Names are made; counts, layout and traps are the real ones.
#pragma once
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "cstp/core/text.h"
#include "temporary_folder.h"

namespace cstp {

/// An empty file where a video would be; the folder must be there.
inline void touch(const std::string& path) {
  const int file = ::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
  if (file < 0) throw std::runtime_error(path + ": cannot be made");
  ::close(file);
}

/// How many of `total` fall to part `i` of `parts`: as even as whole numbers allow.
inline int64_t share_of(int64_t total, int64_t i, int64_t parts) { return total * (i + 1) / parts - total * i / parts; }

/// classInd.txt of UCF101, in its own order: ignoring case, so neither byte order nor that of sorted folders.
inline std::vector<std::string> ucf101_classes() {
  return split(
      "ApplyEyeMakeup ApplyLipstick Archery BabyCrawling BalanceBeam BandMarching BaseballPitch Basketball "
      "BasketballDunk BenchPress Biking Billiards BlowDryHair BlowingCandles BodyWeightSquats Bowling "
      "BoxingPunchingBag BoxingSpeedBag BreastStroke BrushingTeeth CleanAndJerk CliffDiving CricketBowling "
      "CricketShot CuttingInKitchen Diving Drumming Fencing FieldHockeyPenalty FloorGymnastics FrisbeeCatch "
      "FrontCrawl GolfSwing Haircut Hammering HammerThrow HandstandPushups HandstandWalking HeadMassage HighJump "
      "HorseRace HorseRiding HulaHoop IceDancing JavelinThrow JugglingBalls JumpingJack JumpRope Kayaking Knitting "
      "LongJump Lunges MilitaryParade Mixing MoppingFloor Nunchucks ParallelBars PizzaTossing PlayingCello PlayingDaf "
      "PlayingDhol PlayingFlute PlayingGuitar PlayingPiano PlayingSitar PlayingTabla PlayingViolin PoleVault "
      "PommelHorse PullUps Punch PushUps Rafting RockClimbingIndoor RopeClimbing Rowing SalsaSpin ShavingBeard Shotput "
      "SkateBoarding Skiing Skijet SkyDiving SoccerJuggling SoccerPenalty StillRings SumoWrestling Surfing Swing "
      "TableTennisShot TaiChi TennisSwing ThrowDiscus TrampolineJumping Typing UnevenBars VolleyballSpiking "
      "WalkingWithDog WallPushups WritingOnBoard YoYo",
      ' ');
}

/// 25 groups of 4 to 7 clips a class, 13,320 in all; groups 1-7 are the test list of split 1, 8-14 of split 2, 15-21 of
/// split 3. Lists end their lines with CR LF; the files in HandstandPushups are called v_HandStandPushups_*.
inline void make_ucf101(const TemporaryFolder& data) {
  struct Groups {
    int64_t first, count, clips;
  };
  constexpr std::array<Groups, 4> kGroups = {{{1, 7, 3783}, {8, 7, 3734}, {15, 7, 3696}, {22, 4, 2107}}};
  const std::vector<std::string> classes = ucf101_classes();
  std::string class_ind;
  std::array<std::string, 3> train, test;
  for (size_t label = 0; label < classes.size(); ++label) {
    const std::string& name = classes[label];
    const std::string id = std::to_string(label + 1);
    class_ind += id + " " + name + "\r\n";
    std::filesystem::create_directories(data / ("UCF-101/" + name));
    for (size_t part = 0; part < kGroups.size(); ++part) {
      const Groups& groups = kGroups[part];
      const int64_t cells = groups.count * std::ssize(classes);
      for (int64_t g = 0; g < groups.count; ++g) {
        const int64_t cell = static_cast<int64_t>(label) * groups.count + g;
        const int64_t swing = cell % 2 == 1 ? -1 : cell + 1 < cells ? 1 : 0;  // 4 to 7, not only 5 and 6
        for (int64_t c = 1; c <= share_of(groups.clips, cell, cells) + swing; ++c) {
          std::array<char, 80> file{};
          std::snprintf(file.data(), file.size(), "%s/v_%s_g%02d_c%02d.avi", name.c_str(),
                        name == "HandstandPushups" ? "HandStandPushups" : name.c_str(),
                        static_cast<int>(groups.first + g), static_cast<int>(c));
          touch(data / ("UCF-101/" + std::string(file.data())));
          for (size_t s = 0; s < 3; ++s)
            (s == part ? test[s] : train[s]) += std::string(file.data()) + (s == part ? "\r\n" : " " + id + "\r\n");
        }
      }
    }
  }
  data.write("ucfTrainTestlist/classInd.txt", class_ind);
  for (size_t s = 0; s < 3; ++s) {
    data.write("ucfTrainTestlist/trainlist0" + std::to_string(s + 1) + ".txt", train[s]);
    data.write("ucfTrainTestlist/testlist0" + std::to_string(s + 1) + ".txt", test[s]);
  }
}

/// 51 classes, some of which begin as another ends ("kick", "kick_ball").
inline std::vector<std::string> hmdb51_classes() {
  return split(
      "brush_hair cartwheel catch chew clap climb climb_stairs dive draw_sword dribble drink eat fall_floor fencing "
      "flic_flac golf handstand hit hug jump kick kick_ball kiss laugh pick pour pullup punch push pushup ride_bike "
      "ride_horse run shake_hands shoot_ball shoot_bow shoot_gun sit situp smile smoke somersault stand swing_baseball "
      "sword sword_exercise talk throw turn walk wave",
      ' ');
}

/// 6,766 videos, at least 101 a class; three files a class, each with 70 lines of id 1 (train), 30 of id 2 (test), the
/// rest 0, and a blank at the end of every line.
inline void make_hmdb51(const TemporaryFolder& data) {
  const std::vector<std::string> titles = {"#20_Rhythm",
                                           "Brushing_Her_Hair__[_NEW_AUDIO_]_UPDATED!!!!",
                                           "(HQ)_Rock_Climbing_-_Free_Solo",
                                           "Torwarttraining_2_(_impressionen_)",
                                           "50_FIRST_DATES",
                                           "Rock;Paper;Scissors",
                                           "Don't_stop+go",
                                           "Salt,_Pepper_&_Friends",
                                           "20060723sfjffbartsinger",
                                           "prelinger_LetsPlay1947"};
  const std::vector<std::string> classes = hmdb51_classes();
  for (size_t label = 0; label < classes.size(); ++label) {
    const std::string& name = classes[label];
    const int64_t videos = 101 + share_of(6766 - 51 * 101, static_cast<int64_t>(label), 51);
    std::array<std::string, 3> lists;
    std::filesystem::create_directories(data / ("hmdb51_org/" + name));
    for (int64_t i = 0; i < videos; ++i) {
      const std::string file =
          cat(titles[static_cast<size_t>(i) % titles.size()], "_", name, "_f_cm_np1_fr_goo_", i / 10, ".avi");
      touch(data / ("hmdb51_org/" + name + "/" + file));
      for (size_t s = 0; s < 3; ++s) {
        const int64_t place = (i + 37 * static_cast<int64_t>(s)) % videos;
        lists[s] += file + (place < 70 ? " 1 \n" : place < 100 ? " 2 \n" : " 0 \n");
      }
    }
    for (size_t s = 0; s < 3; ++s)
      data.write(cat("testTrainMulti_7030_splits/", name, "_test_split", s + 1, ".txt"), lists[s]);
  }
}

/// 400 labels with blanks, brackets, apostrophes, commas and quotes.
inline std::vector<std::string> kinetics_labels() {
  const std::vector<std::string> deeds = {"playing", "petting",  "washing",  "shooting", "riding", "using",  "throwing",
                                          "making",  "catching", "juggling", "cleaning", "tying",  "eating", "tossing",
                                          "folding", "drawing",  "kicking",  "opening",  "waxing", "passing"};
  const std::vector<std::string> things = {"a harp",
                                           "a goal (soccer)",
                                           "animals (not a cat)",
                                           "a person's head",
                                           "cards, one by one",
                                           "the \"air\" drums",
                                           "hoverboards",
                                           "a kite",
                                           "balloons",
                                           "an unicycle",
                                           "dining tables",
                                           "a bow tie",
                                           "a doughnut",
                                           "a coin",
                                           "paper (A4)",
                                           "a cartoon",
                                           "a field goal",
                                           "a bottle",
                                           "the back",
                                           "American football (in a game)"};
  std::vector<std::string> labels;
  for (const std::string& deed : deeds) {
    for (const std::string& thing : things) labels.push_back(deed + " " + thing);
  }
  return labels;
}

/// Eleven characters as YouTube has them, no two alike; one in 64 begins with '-'.
inline std::string youtube_id(uint64_t n) {
  uint64_t bits = n + 0x9e3779b97f4a7c15;  // splitmix64: a permutation
  bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9;
  bits = (bits ^ (bits >> 27)) * 0x94d049bb133111eb;
  bits ^= bits >> 31;
  constexpr const char* kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string id;
  for (int i = 0; i < 11; ++i, bits >>= 6) id += kLetters[bits & 63];
  return id;
}

/// Rows of the Kinetics-400 csv files.
constexpr int64_t kKineticsTrain = 246535, kKineticsVal = 19907, kKineticsTest = 38685;

/// annotations/{train,validate,test}.csv beside train/CLASS/*.mp4 (one video in nine is gone; every second class folder
/// is spelt as torchvision spells it) and val/*.mp4 in one flat folder. validate.csv has the column is_cc and ends its
/// lines with CR LF; test.csv has no labels, and nothing of it is on the disk.
inline void make_kinetics400(const TemporaryFolder& data) {
  const std::vector<std::string> labels = kinetics_labels();
  std::vector<std::string> fields, folders;
  for (size_t i = 0; i < labels.size(); ++i) {
    std::string quoted, spelt;
    for (const char c : labels[i]) {
      quoted += c == '"' ? "\"\"" : std::string(1, c);
      if (c != '\'' && c != '(' && c != ')') spelt += c == ' ' ? '_' : c;
    }
    const bool plain = labels[i].find_first_of(",\"") == std::string::npos && i % 3 != 0;  // some need no quotes
    fields.push_back(plain ? labels[i] : "\"" + quoted + "\"");
    folders.push_back(data / ("train/" + (i % 2 == 0 ? labels[i] : spelt)));
    std::filesystem::create_directories(folders.back());
  }
  std::filesystem::create_directories(data / "val");
  const auto row = [](const std::string& label, const std::string& id, int64_t start, const std::string& rest) {
    return cat(label, id, ",", start, ",", start + 10, ",", rest);
  };
  const auto file = [](const std::string& id, int64_t start) {
    std::array<char, 48> name{};
    std::snprintf(name.data(), name.size(), "/%s_%06d_%06d.mp4", id.c_str(), static_cast<int>(start),
                  static_cast<int>(start + 10));
    return std::string(name.data());
  };
  std::string csv = "label,youtube_id,time_start,time_end,split\n";
  for (int64_t i = 0; i < kKineticsTrain; ++i) {
    const auto label = static_cast<size_t>(i % 400);
    const std::string id = youtube_id(static_cast<uint64_t>(i));
    csv += row(fields[label] + ",", id, i % 300, "train\n");
    if (i % 9 != 8) touch(folders[label] + file(id, i % 300));
  }
  data.write("annotations/train.csv", csv);
  csv = "label,youtube_id,time_start,time_end,split,is_cc\r\n";
  for (int64_t i = 0; i < kKineticsVal; ++i) {
    const std::string id = youtube_id(static_cast<uint64_t>(kKineticsTrain + i));
    csv += row(fields[static_cast<size_t>(i % 400)] + ",", id, i % 300, "validate,0\r\n");
    touch(data / "val" + file(id, i % 300));
  }
  data.write("annotations/validate.csv", csv);
  csv = "youtube_id,time_start,time_end,split\n";
  for (int64_t i = 0; i < kKineticsTest; ++i)
    csv += row("", youtube_id(static_cast<uint64_t>(kKineticsTrain + kKineticsVal + i)), i % 300, "test\n");
  data.write("annotations/test.csv", csv);
}

}  // namespace cstp
