/// The official lists of UCF101 and HMDB51, in small: the real ones' traps, made by hand.
#include <gmock/gmock.h>

#include "cstp/core/error.h"
#include "cstp/data/dataset.h"
#include "temporary_folder.h"

namespace cstp {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> read(const Dataset& dataset, const std::string& root) {
  std::vector<std::string> result;
  for (const VideoRecord& video : dataset.videos) {
    result.push_back(video.path.substr(root.size() + 1) + "=" + dataset.classes.at(static_cast<size_t>(video.label)));
  }
  return result;
}

DataOptions options_for(const std::string& format, const std::string& root) {
  DataOptions options;
  options.format = format;
  options.root = root;
  return options;
}

struct Ucf {
  TemporaryFolder data;
  DataOptions options = options_for("ucf101", data / "UCF-101");

  explicit Ucf(const std::string& lists = "ucfTrainTestlist") {
    data.write(lists + "/classInd.txt", "1 Hammering\r\n2 HammerThrow\r\n3 HandstandPushups\r\n");
    data.write(lists + "/trainlist01.txt",
               "HammerThrow/v_HammerThrow_g08_c01.avi 2\r\nHandstandPushups/v_HandStandPushups_g08_c01.avi 3\r\n"
               "Hammering/v_Hammering_g08_c01.avi 1\r\n");
    data.write(lists + "/testlist01.txt",
               "Hammering/v_Hammering_g01_c01.avi\nHandstandPushups/v_HandStandPushups_g01_c01.avi\n");
    data.write(lists + "/trainlist02.txt", "Hammering/v_Hammering_g01_c01.avi 1\n");
    for (const char* name : {"HammerThrow/v_HammerThrow_g08_c01.avi", "HandstandPushups/v_HandStandPushups_g08_c01.avi",
                             "Hammering/v_Hammering_g08_c01.avi", "Hammering/v_Hammering_g01_c01.avi",
                             "HandstandPushups/v_HandStandPushups_g01_c01.avi"}) {
      data.write(std::string("UCF-101/") + name);
    }
  }
};

TEST(Ucf101Format, FollowsClassIndAndTheListsOrder) {
  const Ucf ucf;
  const Dataset train = open_dataset(ucf.options, Split::train);
  EXPECT_THAT(train.classes, ElementsAre("Hammering", "HammerThrow", "HandstandPushups"));  // no byte order
  EXPECT_THAT(read(train, ucf.options.root),
              ElementsAre("HammerThrow/v_HammerThrow_g08_c01.avi=HammerThrow",
                          "HandstandPushups/v_HandStandPushups_g08_c01.avi=HandstandPushups",
                          "Hammering/v_Hammering_g08_c01.avi=Hammering"));
  EXPECT_EQ(train.name, "ucf101 split 1 train");
}

TEST(Ucf101Format, LabelsTheTestListByItsFolders) {
  const Ucf ucf;
  const Dataset test = open_dataset(ucf.options, Split::test);
  EXPECT_THAT(read(test, ucf.options.root),
              ElementsAre("Hammering/v_Hammering_g01_c01.avi=Hammering",
                          "HandstandPushups/v_HandStandPushups_g01_c01.avi=HandstandPushups"));
  EXPECT_EQ(test.class_map_hash(), open_dataset(ucf.options, Split::train).class_map_hash());
}

TEST(Ucf101Format, ReadsTheSplitItIsTold) {
  Ucf ucf;
  ucf.options.split = 2;
  EXPECT_EQ(open_dataset(ucf.options, Split::train).videos.size(), 1U);
  ucf.options.split = 3;
  EXPECT_THAT(message_of<DataError>([&] { open_dataset(ucf.options, Split::train); }), HasSubstr("trainlist03.txt"));
}

TEST(Ucf101Format, FindsListsAndVideosInTheUsualPlaces) {
  Ucf above;  // root = .../UCF-101, lists beside it
  EXPECT_EQ(open_dataset(above.options, Split::train).videos.size(), 3U);
  above.options.root = above.data.path();  // root holds both
  EXPECT_EQ(open_dataset(above.options, Split::train).videos.size(), 3U);
  Ucf inside("UCF-101");  // lists among the class folders
  EXPECT_EQ(open_dataset(inside.options, Split::train).videos.size(), 3U);
  Ucf elsewhere("lists");
  EXPECT_THAT(message_of<DataError>([&] { open_dataset(elsewhere.options, Split::train); }),
              HasSubstr("data.annotations"));
  elsewhere.options.annotations = elsewhere.data / "lists";
  EXPECT_EQ(open_dataset(elsewhere.options, Split::train).videos.size(), 3U);
}

TEST(Ucf101Format, RefusesLabelsThatDisagreeWithClassInd) {
  const Ucf ucf;
  ucf.data.write("ucfTrainTestlist/trainlist01.txt",
                 "Hammering/v_Hammering_g08_c01.avi 1\nHammerThrow/v_HammerThrow_g08_c01.avi 1\n");
  const std::string message = message_of<DataError>([&] { open_dataset(ucf.options, Split::train); });
  EXPECT_THAT(message, HasSubstr("trainlist01.txt:2: label 1 disagrees"));
  ucf.data.write("ucfTrainTestlist/trainlist01.txt", "Hamming/v_Hammering_g08_c01.avi 1\n");
  EXPECT_THAT(message_of<DataError>([&] { open_dataset(ucf.options, Split::train); }), HasSubstr("trainlist01.txt:1:"));
  ucf.data.write("ucfTrainTestlist/classInd.txt", "1 Hammering\n3 HammerThrow\n");
  EXPECT_THAT(message_of<DataError>([&] { open_dataset(ucf.options, Split::train); }), HasSubstr("classInd.txt:2:"));
}

TEST(Ucf101Format, NamesTheFirstThreeAbsentVideosAndTheirCount) {
  const Ucf ucf;
  std::string list;
  for (int i = 1; i <= 5; ++i) list += "Hammering/gone" + std::to_string(i) + ".avi 1\n";
  ucf.data.write("ucfTrainTestlist/trainlist01.txt", list + "Hammering/v_Hammering_g08_c01.avi 1\n");
  const std::string message = message_of<DataError>([&] { open_dataset(ucf.options, Split::train); });
  EXPECT_THAT(message, HasSubstr("5 of 6 listed videos"));
  EXPECT_THAT(message, HasSubstr("Hammering/gone1.avi, Hammering/gone2.avi, Hammering/gone3.avi, ..."));
  EXPECT_THAT(message, ::testing::Not(HasSubstr("gone4")));
}

TEST(Ucf101Format, TakesReencodedCopies) {
  const Ucf ucf;
  ucf.data.write("ucfTrainTestlist/trainlist01.txt", "Hammering/again.avi 1\n");
  ucf.data.write("UCF-101/Hammering/again.mp4");
  EXPECT_THAT(read(open_dataset(ucf.options, Split::train), ucf.options.root),
              ElementsAre("Hammering/again.mp4=Hammering"));
}

struct Hmdb {
  TemporaryFolder data;
  DataOptions options = options_for("hmdb51", data / "hmdb51_org");
  const std::string hard = "!#&(odd)_;[name]+'_cart_f_cm_np1_ri_med_0.avi";

  Hmdb() {
    const std::string lists = "testTrainMulti_7030_splits/";
    data.write(lists + "cartwheel_test_split1.txt", hard + " 1 \r\n#20_b.avi 2 \r\nunused.avi 0 \r\n");
    data.write(lists + "brush_hair_test_split1.txt", "April_09.avi 2 \nMay.avi 1 \n");
    data.write(lists + "cartwheel_test_split2.txt", "#20_b.avi 1 \n");
    for (const std::string& name : {std::string("cartwheel/") + hard, std::string("cartwheel/#20_b.avi"),
                                    std::string("brush_hair/April_09.avi"), std::string("brush_hair/May.avi")}) {
      data.write("hmdb51_org/" + name);
    }
  }
};

TEST(Hmdb51Format, TakesTheClassFromTheFileNameAndTheSplitFromTheNumber) {
  const Hmdb hmdb;
  const Dataset train = open_dataset(hmdb.options, Split::train);
  EXPECT_THAT(train.classes, ElementsAre("brush_hair", "cartwheel"));
  EXPECT_THAT(read(train, hmdb.options.root),
              ElementsAre("brush_hair/May.avi=brush_hair", "cartwheel/" + hmdb.hard + "=cartwheel"));
  EXPECT_THAT(read(open_dataset(hmdb.options, Split::test), hmdb.options.root),
              ElementsAre("brush_hair/April_09.avi=brush_hair", "cartwheel/#20_b.avi=cartwheel"));
}

TEST(Hmdb51Format, ReadsTheSplitItIsTold) {
  Hmdb hmdb;
  hmdb.options.split = 2;
  EXPECT_THAT(read(open_dataset(hmdb.options, Split::train), hmdb.options.root),
              ElementsAre("cartwheel/#20_b.avi=cartwheel"));
  hmdb.options.split = 3;
  EXPECT_THAT(message_of<DataError>([&] { open_dataset(hmdb.options, Split::train); }), HasSubstr("_test_split3.txt"));
}

TEST(Hmdb51Format, RefusesOtherNumbers) {
  const Hmdb hmdb;
  hmdb.data.write("testTrainMulti_7030_splits/cartwheel_test_split1.txt", "#20_b.avi 1 \nx.avi 3 \n");
  EXPECT_THAT(message_of<DataError>([&] { open_dataset(hmdb.options, Split::train); }),
              HasSubstr("cartwheel_test_split1.txt:2:"));
}

TEST(Hmdb51Format, NamesAbsentVideos) {
  const Hmdb hmdb;
  std::filesystem::remove(hmdb.data / "hmdb51_org/brush_hair/May.avi");
  EXPECT_THAT(message_of<DataError>([&] { open_dataset(hmdb.options, Split::train); }),
              HasSubstr("1 of 2 listed videos"));
}

}  // namespace
}  // namespace cstp
