/// Small configurations of every objective in the table. A new objective adds its own here, and with that is held to
/// the contract (every_objective_test.cpp) and to one rank on many (objectives_on_ranks_test.cpp).
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <ostream>
#include <string>

#include "cstp/objectives/objective.h"

namespace cstp {

struct ObjectiveCase {
  const char* objective;
  const char* yaml;
};
inline void PrintTo(const ObjectiveCase& tested, std::ostream* out) { *out << tested.yaml; }

inline constexpr ObjectiveCase kObjectiveCases[] = {
    {"cstp", "{name: cstp, projector_hidden: 32}"},
    {"cstp", "{name: cstp, projector_hidden: 32, preset: released}"},
    {"cstp", "{name: cstp, projector_hidden: 32, contrast: infonce, projector_out: 16}"},
    {"cstp", "{name: cstp, projector_hidden: 32, contrast: queue, queue_size: 20}"},
    {"cstp", "{name: cstp, heads: linear}"},
    {"cvrl", "{name: cvrl}"},
    {"cvrl", "{name: cvrl, gap: uniform, views: {recipe: symmetric}, projector_layers: 1}"},
    {"hdc", "{name: hdc, head_hidden: 32, head_out: 16}"},
    {"hdc", "{name: hdc, head_hidden: 32, head_out: 16, views: independent, weights: measured, contrast: cross_view}"},
    {"hdc", "{name: hdc, head_hidden: 32, head_out: 16, levels: [2, 4], weights: linear, sc: {pool: flatten}}"},
    {"hdc", "{name: hdc, head_hidden: 32, head_out: 16, levels: [4], sc: {weight: 0}}"},
    {"joint",
     "{name: joint, parts: [{name: cstp, projector_hidden: 32}, {weight: 0.5, name: hdc, head_hidden: 32, head_out: "
     "16, "
     "sc: {weight: 0}}, {weight: 0.25, name: cvrl}]}"},
    {"joint",
     "{name: joint, parts: [{name: hdc, head_hidden: 32, head_out: 16, weights: measured}, {weight: 0.5, name: cvrl}, "
     "{name: supervised}]}"},
    {"joint", "{name: joint, parts: [{name: cvrl}, {weight: 0.1, name: sts}]}"},
    {"sts", "{name: sts}"},
    {"sts", "{name: sts, motion: {p2: false, global: false}, appearance: {weight: 0}, flow: {field_past_clip: true}}"},
    {"sts", "{name: sts, motion: {weight: 0}, appearance: {weight: 1}, targets: standard}"},
    {"sts", "{name: sts, loss: cross_entropy}"},
    {"supervised", "{name: supervised}"},
    {"supervised", "{name: supervised, freeze: true, norm_affine: false}"},
};

inline void expect_a_case_of_every_objective() {
  for (const ObjectiveRow& row : objectives()) {
    EXPECT_TRUE(std::any_of(std::begin(kObjectiveCases), std::end(kObjectiveCases),
                            [&row](const ObjectiveCase& c) { return std::string(c.objective) == row.name; }))
        << "add a configuration of " << row.name;
  }
}

}  // namespace cstp
