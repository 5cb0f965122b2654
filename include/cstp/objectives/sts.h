/// STS: regression of spatio-temporal statistics. Open to those who show its labels and answers.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "cstp/objectives/objective.h"
#include "cstp/objectives/sts_patterns.h"

namespace cstp {

/// One question, one label from 1 to `classes` (0: nothing moves, where patterns P1 is asked for motion).
struct StsSlot {
  enum class Kind { location, orientation, color, time };
  std::string name;  ///< "motion.p1.u.location", "appearance.p2.diverse.color", "motion.global.v", ...
  Kind kind = Kind::location;
  bool motion = true;   ///< of the motion head; else of the appearance head
  int64_t pattern = 0;  ///< 0, 1, 2: P1, P2, P3; 3: the whole clip
  int64_t classes = 0;
};

class StsObjective : public Objective {
 public:
  /// What the columns of ViewBatch::targets and of predict() are: those of motion before those of appearance; questions
  /// that are switched off have none.
  virtual const std::vector<StsSlot>& slots() const = 0;
  virtual const StsPatterns& patterns() const = 0;
  /// The labels it would answer, not rounded: [V*B,3,T,S,S] -> [V*B,W].
  virtual at::Tensor predict(const at::Tensor& views) = 0;
};

}  // namespace cstp
