#include "cstp/core/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cstp/core/error.h"

namespace cstp {
namespace {

using testing::HasSubstr;

struct Inner {
  double p = 0.5;
  void bind(Fields& f) { f.number("p", p, {.min = 0, .max = 1}, "probability"); }
};
struct Outer {
  int64_t batch = 8;
  double lr = 0.1;
  bool fast = true;
  std::string name = "r3d18";
  std::string mode = "clean";
  std::vector<double> weights = {1, 2};
  std::vector<int64_t> steps;
  Inner inner;
  std::vector<Inner> views;
  void bind(Fields& f) {
    f.integer("batch", batch, {.min = 1, .max = 1000}, "videos a step");
    f.number("lr", lr, {.min = 0}, "learning rate");
    f.flag("fast", fast, "hurry");
    f.text("name", name, "who");
    f.choice("mode", mode, {"clean", "released"}, "which");
    f.numbers("weights", weights, {}, "weights");
    f.integers("steps", steps, {}, "steps");
    f.section("inner", inner, "nested");
    f.list("views", views, "views");
  }
};

std::string error_of(const std::string& yaml) {
  try {
    (void)ConfigNode::parse(yaml, "x.yaml").read<Outer>();
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "no error";
}

TEST(Config, ReadsEveryKind) {
  const Outer o = ConfigNode::parse(
                      "batch: 3\nlr: 1e-3\nfast: false\nname: '12'\nmode: released\nweights: [0.5]\n"
                      "steps: 7\ninner: {p: 0.25}\nviews:\n  - {p: 0.1}\n  - p: 0.9\n",
                      "x")
                      .read<Outer>();
  EXPECT_EQ(o.batch, 3);
  EXPECT_EQ(o.lr, 1e-3);
  EXPECT_FALSE(o.fast);
  EXPECT_EQ(o.name, "12");
  EXPECT_EQ(o.mode, "released");
  EXPECT_EQ(o.weights, std::vector<double>{0.5});
  EXPECT_EQ(o.steps, std::vector<int64_t>{7});
  EXPECT_EQ(o.inner.p, 0.25);
  ASSERT_EQ(o.views.size(), 2U);
  EXPECT_EQ(o.views[1].p, 0.9);
}

TEST(Config, UnknownKeysNameThePlaceAndTheNearestKey) {
  EXPECT_EQ(error_of("lr: 1\nbacth: 3\n"), "x.yaml:2:1: bacth: unknown key; did you mean 'batch'?");
  EXPECT_THAT(error_of("inner:\n  q: 1\n"), HasSubstr("x.yaml:2:3: inner.q: unknown key; did you mean 'p'?"));
  EXPECT_THAT(error_of("views:\n  - {p: 0}\n  - {pp: 1}\n"), HasSubstr("x.yaml:3:6: views.1.pp"));
}

TEST(Config, UnknownKeysListEveryKnownKeyOnce) {
  EXPECT_THAT(error_of("zzzzzzzzzz: 1"),
              testing::EndsWith("known here: batch, lr, fast, name, mode, weights, steps, inner, views"));
}

/// A section whose keys depend on a name in it.
struct Named {
  double weight = 1;
  ConfigNode section;
  void bind(Fields& f) {
    f.number("weight", weight, {}, "weight");
    f.rest(section, "of what is named");
  }
};
struct Sum {
  std::vector<Named> parts;
  void bind(Fields& f) { f.list("parts", parts, "summed"); }
};

TEST(Config, TheRestOfASectionIsLeftUnread) {
  const auto sum = ConfigNode::parse("parts: [{name: a, weight: 2, x: {y: 1}}, {name: b}]", "x.yaml").read<Sum>();
  ASSERT_EQ(sum.parts.size(), 2U);
  EXPECT_EQ(sum.parts[0].weight, 2);
  EXPECT_EQ(sum.parts[0].section.find("weight"), nullptr);
  EXPECT_EQ(sum.parts[0].section.find("x")->find("y")->text(), "1");
  EXPECT_EQ(sum.parts[0].section.where(), "x.yaml:1:9");
  const std::string yaml = to_config(sum).yaml();
  EXPECT_EQ(yaml, "parts:\n  -\n    weight: 2\n    name: a\n    x:\n      y: 1\n  -\n    weight: 1\n    name: b\n");
  EXPECT_EQ(to_config(ConfigNode::parse(yaml, "again").read<Sum>()).yaml(), yaml);
}

TEST(Config, DescribesTheItemsOfAListThatIsEmptyByDefault) {
  Sum sum;
  const std::string text = describe_fields("objective", [&](Fields& f) { sum.bind(f); });
  EXPECT_THAT(text, HasSubstr("objective.parts[].weight: 1"));
  EXPECT_THAT(text, HasSubstr("objective.parts[].<keys>:    # any. of what is named"));
  EXPECT_TRUE(sum.parts.empty());
}

TEST(Config, WrongTypesAndRangesQuoteTheValue) {
  EXPECT_EQ(error_of("batch: 0"), "x.yaml:1:1: batch: wanted a whole number from 1 to 1000, found '0'");
  EXPECT_EQ(error_of("batch: 2.5"), "x.yaml:1:1: batch: wanted a whole number from 1 to 1000, found '2.5'");
  EXPECT_EQ(error_of("lr: '0.1'"), "x.yaml:1:1: lr: wanted a number >= 0, found '0.1'");
  EXPECT_EQ(error_of("lr: .nan"), "x.yaml:1:1: lr: wanted a number >= 0, found '.nan'");
  EXPECT_EQ(error_of("fast: yes"), "x.yaml:1:1: fast: wanted true or false, found 'yes'");
  EXPECT_EQ(error_of("mode: relaesed"),
            "x.yaml:1:1: mode: 'relaesed' is none of clean, released; did you mean 'released'?");
  EXPECT_THAT(error_of("inner: 3"), HasSubstr("inner: wanted a map of keys, found a single value"));
  EXPECT_THAT(error_of("batch: [1"), HasSubstr("x.yaml:"));
  EXPECT_THAT(error_of("lr: 1\nlr: 2"), HasSubstr("x.yaml:2:1: the key 'lr' stands twice"));
}

TEST(Config, SetEditsTheTreeAndErrorsQuoteTheFlag) {
  ConfigNode node = ConfigNode::parse("inner: {p: 0.1}\nviews: [{p: 0.2}]", "x.yaml");
  node.set("inner.p=0.75");
  node.set("views.0.p=1");
  node.set("name=a=b");
  const Outer o = node.read<Outer>();
  EXPECT_EQ(o.inner.p, 0.75);
  EXPECT_EQ(o.views[0].p, 1);
  EXPECT_EQ(o.name, "a=b");
  node.set("inner.z=1");
  EXPECT_THROW(
      {
        try {
          (void)node.read<Outer>();
        } catch (const ConfigError& error) {
          EXPECT_STREQ(error.what(), "--set inner.z=1: inner.z: unknown key; did you mean 'p'?");
          throw;
        }
      },
      ConfigError);
  EXPECT_THROW(node.set("novalue"), UsageError);
  EXPECT_THROW(node.set("inner.p.deeper=1"), UsageError);
  EXPECT_THROW(node.set("views.3.p=1"), UsageError);
}

TEST(Config, WrittenTreesReadBackToTheSameValues) {
  Outer o;
  o.name = "- odd: 'name' #1 \"x\"";
  o.lr = 0.1 + 0.2;
  o.views = {{.p = 0.125}, {.p = 0}};
  o.steps = {1, 2, 3};
  const std::string yaml = to_config(o).yaml();
  const Outer back = ConfigNode::parse(yaml, "written").read<Outer>();
  EXPECT_EQ(back.name, o.name);
  EXPECT_EQ(back.lr, o.lr);
  EXPECT_EQ(back.steps, o.steps);
  ASSERT_EQ(back.views.size(), 2U);
  EXPECT_EQ(back.views[0].p, 0.125);
  EXPECT_EQ(to_config(back).yaml(), yaml);
  for (const std::string name : {"", "true", "12", "a\nb", " pad ", "x: y", "plain"}) {
    o.name = name;
    EXPECT_EQ(ConfigNode::parse(to_config(o).yaml(), "w").read<Outer>().name, name) << to_config(o).yaml();
  }
}

TEST(Config, DescribesEveryKey) {
  Outer o;
  const std::string text = describe_fields("", [&](Fields& f) { o.bind(f); });
  EXPECT_THAT(text, HasSubstr("batch: 8   # integer from 1 to 1000. videos a step"));
  EXPECT_THAT(text, HasSubstr("inner.p: 0.5"));
}

}  // namespace
}  // namespace cstp
