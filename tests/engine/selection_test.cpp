#include "cstp/engine/selection.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <set>

#include "cstp/core/error.h"
#include "cstp/core/text.h"

namespace cstp {
namespace {

TEST(HoldOut, TakesATenthOfEveryClassAndIsStable) {
  const at::Tensor labels = torch::arange(60).remainder(3);
  const HeldOut parts = hold_out_a_tenth(labels, {}, 5);
  EXPECT_EQ(parts.held_out.size(), 6U);
  EXPECT_EQ(parts.fit.size(), 54U);
  std::set<int64_t> all(parts.fit.begin(), parts.fit.end());
  all.insert(parts.held_out.begin(), parts.held_out.end());
  EXPECT_EQ(all.size(), 60U);
  EXPECT_EQ(hold_out_a_tenth(labels, {}, 5).held_out, parts.held_out);
  EXPECT_NE(hold_out_a_tenth(labels, {}, 6).held_out, parts.held_out);
}

TEST(HoldOut, NeverCutsAGroup) {
  // Two classes of 40 videos, ten groups of four in each; groups of both classes have the same names.
  const at::Tensor labels = torch::arange(80).remainder(2);
  std::vector<std::string> groups;
  for (int row = 0; row < 80; ++row) groups.push_back(cat("g", row % 20 / 2));
  for (uint64_t seed = 1; seed < 20; ++seed) {
    const HeldOut parts = hold_out_a_tenth(labels, groups, seed);
    EXPECT_EQ(parts.held_out.size(), 8U);  // one group of each class is a tenth of it
    std::set<std::pair<int64_t, std::string>> held;
    const auto group_of = [&](int64_t row) { return std::pair{row % 2, groups[static_cast<size_t>(row)]}; };
    for (const int64_t row : parts.held_out) held.insert(group_of(row));
    for (const int64_t row : parts.fit) EXPECT_FALSE(held.contains(group_of(row))) << "seed " << seed << " row " << row;
  }
}

TEST(HoldOut, LeavesAtLeastHalfOfEveryClassToFit) {
  const auto held = [](const std::vector<std::string>& groups) {
    return hold_out_a_tenth(torch::zeros({static_cast<int64_t>(groups.size())}, torch::kInt64), groups, 3).held_out;
  };
  EXPECT_TRUE(held({"a"}).empty());
  EXPECT_TRUE(held({"a", "a", "a"}).empty());  // one group only
  EXPECT_EQ(held({"a", "b"}).size(), 1U);
  EXPECT_EQ(held({"", "", "", ""}).size(), 1U);                    // names that show no group stand alone
  EXPECT_EQ(held({"a", "a", "a", "b"}), std::vector<int64_t>{3});  // the large group would leave too little
}

TEST(ChooseRate, TakesTheBestAndOfEqualsTheFirst) {
  const auto choose = [](const std::vector<double>& accuracies) {
    size_t next = 0;
    return choose_rate({0.1, 0.01, 0.001}, [&](double) { return std::optional(accuracies[next++]); });
  };
  EXPECT_EQ(choose({0.2, 0.5, 0.3}).lr, 0.01);
  EXPECT_EQ(choose({0.2, 0.5, 0.5}).lr, 0.01);
  EXPECT_EQ(choose({0.5, 0.5, 0.5}).lr, 0.1);
  EXPECT_EQ(choose({0, 0, 0.3}).trials[2].accuracy, 0.3);
}

TEST(ChooseRate, ARateThatDivergesLoses) {
  const RateChoice choice = choose_rate({10, 0.1}, [](double lr) -> std::optional<double> {
    if (lr > 1) throw NumericError("not finite");
    return 0.0;
  });
  EXPECT_EQ(choice.lr, 0.1);
  EXPECT_FALSE(choice.trials[0].accuracy.has_value());
}

TEST(ChooseRate, OneRateIsNotTried) {
  const RateChoice choice = choose_rate({0.3}, [](double) -> std::optional<double> {
    ADD_FAILURE() << "there is nothing to choose";
    return 1.0;
  });
  EXPECT_EQ(choice.lr, 0.3);
  EXPECT_TRUE(choice.trials.empty());
  EXPECT_EQ(choose_rate({0.2, 0.1}, [](double) { return std::optional<double>(); }).lr, 0.2);  // none could be scored
}

}  // namespace
}  // namespace cstp
