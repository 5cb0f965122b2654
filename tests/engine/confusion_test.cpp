#include "cstp/engine/confusion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "cstp/engine/confusion_picture.h"

namespace cstp {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

/// Three classes; "b, c" is taken for a once and for itself once, "none" has no videos.
Confusion example() {
  return count_confusion({"a", "b, c", "none"}, torch::tensor({0, 0, 0, 1, 1}), torch::tensor({0, 0, 2, 0, 1}));
}

TEST(Confusion, CountsTrueClassesInRowsAndAnswersInColumns) {
  EXPECT_THAT(example().counts, ElementsAre(2, 0, 1, 1, 1, 0, 0, 0, 0));
  EXPECT_EQ(example().row_total(0), 3);
  Confusion both = example();
  both.add(example());
  EXPECT_EQ(both.at(0, 2), 2);
}

TEST(Confusion, NamesTheAnswerThatAClassIsMostOftenTakenFor) {
  const auto rows = class_accuracies(example());
  EXPECT_EQ(rows[0].confused_with, "none");
  EXPECT_EQ(*rows[1].top1, 0.5);
  EXPECT_EQ(rows[1].confused_with, "a");
  EXPECT_FALSE(rows[2].top1.has_value());
  EXPECT_EQ(rows[2].confused_with, "");
  const Confusion tie = count_confusion({"a", "b", "c"}, torch::tensor({2, 2}), torch::tensor({1, 0}));
  EXPECT_EQ(class_accuracies(tie)[2].confused_with, "a");
}

TEST(Confusion, TablesSayTheSame) {
  const auto lines = split_lines(class_accuracy_table(example()));
  ASSERT_EQ(lines.size(), 4U);
  EXPECT_THAT(lines[1], StartsWith("b, c"));  // the worst class first
  EXPECT_THAT(lines[1], HasSubstr("50.0 %  a (1)"));
  EXPECT_THAT(lines[3], StartsWith("none"));
  EXPECT_THAT(class_accuracy_csv(example()), HasSubstr("\n\"b, c\",2,1,0.5,a,1\n"));
}

TEST(Confusion, ReadsBackItsCsvAndRefusesAnythingElse) {
  const Confusion again = parse_confusion_csv(confusion_csv(example()), "x.csv");
  EXPECT_EQ(again.classes, example().classes);
  EXPECT_EQ(again.counts, example().counts);
  for (const char* broken : {"", "true class,a\na,x\n", "true class,a\nb,1\n", "true class,a,b\na,1,2\n"}) {
    EXPECT_THROW(parse_confusion_csv(broken, "x.csv"), DataError) << broken;
  }
}

TEST(ConfusionPicture, ShadesEveryCellByItsShareOfTheRow) {
  // One cell of this picture is 56 pixels; its corner is found as the grid's first pixel.
  const auto cell_color = [](const Confusion& confusion, int64_t row, int64_t column) {
    const Picture picture = confusion_picture(confusion, {"title"});
    int64_t left = 0;
    int64_t top = 0;  // the frame around the matrix is the first pixel of its grey, read along columns
    for (int64_t x = 0; x < picture.width() && left == 0; ++x) {
      for (int64_t y = 0; y + 100 < picture.height(); ++y) {
        bool line = true;
        for (int64_t i = 0; i < 100; ++i) line = line && picture.at(x, y + i) == Color{150, 150, 150};
        if (!line) continue;
        left = x + 1;
        top = y + 1;
        break;
      }
    }
    return picture.at(left + column * 56 + 5, top + row * 56 + 50);
  };
  const Confusion sure = count_confusion({"a", "b"}, torch::tensor({0, 0, 0, 1}), torch::tensor({0, 0, 0, 0}));
  const Color right = cell_color(sure, 0, 0);
  const Color wrong = cell_color(sure, 1, 0);
  EXPECT_GT(right.b, right.r);  // blue
  EXPECT_GT(wrong.r, wrong.b);  // orange to brown
  EXPECT_EQ(cell_color(sure, 0, 1), (Color{255, 255, 255}));
  const Confusion unsure = count_confusion({"a", "b"}, torch::tensor({0, 0, 0, 1}), torch::tensor({0, 1, 1, 0}));
  EXPECT_GT(cell_color(unsure, 0, 0).r, right.r);  // one of three is lighter than three of three
}

TEST(ConfusionPicture, TakesAnyNumberOfClassesAndLongNames) {
  for (const int64_t count : {1, 6, 51, 101, 400}) {
    std::vector<std::string> names;
    for (int64_t i = 0; i < count; ++i) names.push_back(cat("AClassOfALongName", i));
    const at::Tensor labels = torch::arange(count);
    const Picture picture =
        confusion_picture(count_confusion(names, labels, labels), {std::string(400, 'x'), "two words"});
    EXPECT_GT(picture.width(), 14 * count);
    EXPECT_LT(picture.width(), 6400);
  }
}

}  // namespace
}  // namespace cstp
