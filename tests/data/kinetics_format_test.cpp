#include <gmock/gmock.h>

#include "cstp/core/error.h"
#include "cstp/data/dataset.h"
#include "temporary_folder.h"

namespace cstp {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Kinetics {
  TemporaryFolder data;
  DataOptions options;

  Kinetics() {
    options.format = "kinetics";
    options.root = data.path();
  }
  std::vector<std::string> read(Split split = Split::train) const {
    const Dataset dataset = open_dataset(options, split);
    std::vector<std::string> result;
    for (const VideoRecord& video : dataset.videos) {
      result.push_back(video.path.substr(data.path().size() + 1) + "=" +
                       (video.label < 0 ? "?" : dataset.classes.at(static_cast<size_t>(video.label))));
    }
    return result;
  }
};

constexpr const char* kHeader = "label,youtube_id,time_start,time_end,split\n";

TEST(KineticsFormat, ReadsQuotedLabelsAndStrangeIds) {
  Kinetics kinetics;
  kinetics.data.write("train.csv", std::string(kHeader) +
                                       "\"petting animal (not cat)\",-abc_DEFghi,1,11,train\r\n"
                                       "massaging person's head,_0123456789,100,110,train\r\n"
                                       "\"say \"\"hi\"\", twice\",abcdefghijk,0,10,train\r\n");
  kinetics.data.write("train/petting animal (not cat)/-abc_DEFghi_000001_000011.mp4");  // blanks kept
  kinetics.data.write("train/massaging_persons_head/_0123456789_000100_000110.mkv");    // as torchvision writes them
  kinetics.data.write("train/say \"hi\", twice/abcdefghijk_000000_000010.MP4");
  EXPECT_THAT(kinetics.read(),
              ElementsAre("train/petting animal (not cat)/-abc_DEFghi_000001_000011.mp4=petting animal (not cat)",
                          "train/massaging_persons_head/_0123456789_000100_000110.mkv=massaging person's head",
                          "train/say \"hi\", twice/abcdefghijk_000000_000010.MP4=say \"hi\", twice"));
  EXPECT_THAT(open_dataset(kinetics.options, Split::train).classes,
              ElementsAre("massaging person's head", "petting animal (not cat)", "say \"hi\", twice"));
}

TEST(KineticsFormat, ReadsTheHeaderWithIsCcAndAnyColumnOrder) {
  Kinetics kinetics;
  kinetics.data.write("annotations/kinetics_train.csv",
                      "youtube_id,label,time_start,time_end,split,is_cc\nabcdefghijk,x,5,15,train,0\n");
  kinetics.data.write("x/abcdefghijk_000005_000015.mp4");
  EXPECT_THAT(kinetics.read(), ElementsAre("x/abcdefghijk_000005_000015.mp4=x"));
}

TEST(KineticsFormat, CountsAbsentVideos) {
  Kinetics kinetics;
  kinetics.data.write(
      "train.csv",
      std::string(kHeader) + "x,aaaaaaaaaaa,0,10,train\nx,bbbbbbbbbbb,0,10,train\ny,ccccccccccc,0,10,train\n");
  kinetics.data.write("x/bbbbbbbbbbb_000000_000010.mp4");
  const Dataset dataset = open_dataset(kinetics.options, Split::train);
  EXPECT_EQ(dataset.videos.size(), 1U);
  EXPECT_EQ(dataset.missing, 2);
  EXPECT_THAT(dataset.classes, ElementsAre("x", "y"));  // a class keeps its number though its videos are gone
  std::filesystem::remove_all(kinetics.data / "x");
  EXPECT_THAT(message_of<DataError>([&] { open_dataset(kinetics.options, Split::train); }), HasSubstr("3 are listed"));
}

TEST(KineticsFormat, TakesValidateAndNumbersItAsTraining) {
  Kinetics kinetics;
  kinetics.data.write("train.csv", std::string(kHeader) + "a,aaaaaaaaaaa,0,10,train\nb,bbbbbbbbbbb,0,10,train\n");
  kinetics.data.write("validate.csv", std::string(kHeader) + "b,ccccccccccc,0,10,validate\n");
  kinetics.data.write("val/b/ccccccccccc_000000_000010.mp4");
  const Dataset test = open_dataset(kinetics.options, Split::test);
  ASSERT_EQ(test.videos.size(), 1U);
  EXPECT_EQ(test.videos[0].label, 1);
  kinetics.data.write("validate.csv", std::string(kHeader) + "new,ccccccccccc,0,10,validate\n");
  EXPECT_THAT(message_of<DataError>([&] { open_dataset(kinetics.options, Split::test); }), HasSubstr("'new'"));
}

TEST(KineticsFormat, TakesOneCsvForAllSplits) {
  Kinetics kinetics;
  kinetics.options.annotations = kinetics.data.write(
      "all.csv", std::string(kHeader) + "a,aaaaaaaaaaa,0,10,train\nb,bbbbbbbbbbb,0,10,val\nb,ddddddddddd,0,10,train\n");
  for (const char* name :
       {"aaaaaaaaaaa_000000_000010.mp4", "bbbbbbbbbbb_000000_000010.mp4", "ddddddddddd_000000_000010.mp4"}) {
    kinetics.data.write(name);  // flat
  }
  EXPECT_THAT(kinetics.read(), ElementsAre("aaaaaaaaaaa_000000_000010.mp4=a", "ddddddddddd_000000_000010.mp4=b"));
  EXPECT_THAT(kinetics.read(Split::test), ElementsAre("bbbbbbbbbbb_000000_000010.mp4=b"));
}

TEST(KineticsFormat, ReadsATestCsvWithoutLabels) {
  Kinetics kinetics;
  kinetics.data.write("test.csv", "youtube_id,time_start,time_end,split\naaaaaaaaaaa,0,10,test\n");
  kinetics.data.write("test/aaaaaaaaaaa_000000_000010.mp4");
  EXPECT_THAT(kinetics.read(Split::test), ElementsAre("test/aaaaaaaaaaa_000000_000010.mp4=?"));
}

TEST(KineticsFormat, NamesTheLineItCannotRead) {
  Kinetics kinetics;
  const auto error = [&](const std::string& csv) {
    kinetics.data.write("train.csv", csv);
    return message_of<DataError>([&] { open_dataset(kinetics.options, Split::train); });
  };
  EXPECT_THAT(error("path,label\na.mp4,1\n"), HasSubstr("train.csv:1:"));
  EXPECT_THAT(error(std::string(kHeader) + "a,aaaaaaaaaaa,0,10\n"), HasSubstr("train.csv:2: found 4 fields"));
  EXPECT_THAT(error(std::string(kHeader) + "a,aaaaaaaaaaa,zero,10,train\n"), HasSubstr("train.csv:2: 'zero'"));
  EXPECT_THAT(error(""), HasSubstr("empty"));
  std::filesystem::remove(kinetics.data / "train.csv");
  EXPECT_THAT(message_of<DataError>([&] { open_dataset(kinetics.options, Split::train); }),
              HasSubstr("data.annotations"));
}

TEST(KineticsFormat, TakesTheSameFileWhateverOrderTheDiskHasItsCopiesIn) {
  Kinetics kinetics;
  kinetics.data.write("train.csv", std::string(kHeader) + "air drumming,aaaaaaaaaaa,0,10,train\n");
  kinetics.data.write("train/air_drumming/aaaaaaaaaaa_000000_000010.webm");
  kinetics.data.write("train/air drumming/aaaaaaaaaaa_000000_000010.mp4");
  kinetics.data.write("train/air drumming/aaaaaaaaaaa_000000_000010.mkv");
  kinetics.data.write("train/air drumming/aaaaaaaaaaa_000000_000010.mp4.part");
  EXPECT_THAT(kinetics.read(), ElementsAre("train/air drumming/aaaaaaaaaaa_000000_000010.mkv=air drumming"));
}

}  // namespace
}  // namespace cstp
