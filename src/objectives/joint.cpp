// src/objectives/joint.cpp: a weighted sum of objectives that learn from the same views, through one pass of one
// backbone.
//
// The first part leads: its plan() draws the views, its way runs the backbone, and its start is the backbone's. Every
// other part says from its options alone whether it can learn from such views (shared_views.h), so that a sum that
// cannot work is refused while the configuration is read. Heads, momentum twins and queues stay with their part and are
// registered under its name; the backbone is registered once, as of any objective. No paper has this: our decision.
#include <ATen/ATen.h>

#include <algorithm>

#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "cstp/objectives/objective.h"
#include "objective_row.h"

namespace cstp {
namespace {

struct JointPart {
  double weight = 1;
  ConfigNode section;  ///< name and keys of the objective; resolved by JointOptions::resolve()
  void bind(Fields& f) {
    f.number("weight", weight, {.min = 0},
             "of its loss in the sum; 0: nothing is learnt from it, and the first still draws the views");
    f.rest(section, "name of another objective, and that objective's own keys");
  }
  std::string name() const { return section.find("name")->text(); }
};

struct JointOptions {
  std::vector<JointPart> parts;
  void bind(Fields& f) {
    f.list("parts", parts, "objectives that share views and backbone; the first draws the views");
  }
  /// Reads the sections of the parts strictly, and refuses parts that do not go together. @throws ConfigError
  void resolve(const ConfigNode& section, const std::string& path);
};

std::string path_of(const std::string& path, size_t part) { return cat(path, ".parts.", part); }

/// The node at "a.b" of a section that has it.
const ConfigNode* node_at(const ConfigNode& section, const std::string& keys) {
  const ConfigNode* node = &section;
  for (const std::string& key : split(keys, '.')) node = node == nullptr ? nullptr : node->find(key);
  return node;
}

/// A part that does not draw must not be told how to: an option that does nothing would be believed.
void refuse_idle_keys(const ConfigNode& given, const ConfigNode& resolved, const ObjectiveRow& row,
                      const ViewNeeds& needs, const std::string& path, const std::string& leader) {
  ConfigNode bare = ConfigNode::map();
  bare["name"] = ConfigNode::scalar(row.name);
  const ConfigNode defaults = row.resolve(bare, path);
  for (const std::string& key : needs.drawing_keys) {
    const ConfigNode *now = node_at(resolved, key), *usual = node_at(defaults, key);
    check(now != nullptr && usual != nullptr, cat("objective ", row.name, " has no key ", key));
    if (now->yaml() == usual->yaml()) continue;
    const ConfigNode* place = node_at(given, key);
    throw ConfigError(cat(place == nullptr ? given.where() : place->where(), ": ", path, ".", key, ": ", leader,
                          " draws the views, so this would do nothing; leave it out, or give ", row.name,
                          " the first place, so that it draws"));
  }
}

std::string way_of(const std::string& name, const SharedViews& part) {
  const char* how = !part.passing.gradient      ? " freezes it"
                    : part.passing.view_by_view ? " runs it on one view at a time"
                                                : " trains it on all views at once";
  return cat(name, how, part.passing_option.empty() ? "" : cat(" (by its option ", part.passing_option, ")"));
}

/// Whether a part can learn from the views of the first, and from its way through the backbone.
void require_shared(const std::string& leader, const SharedViews& first, const std::string& name,
                    const SharedViews& part, const std::string& where) {
  if (!part.needs.accepts(first.draws)) {
    const std::string way_out = part.needs.way_out.empty() ? "" : cat(part.needs.way_out, ", or ");
    throw ConfigError(cat(where, ": ", name, " cannot learn from the views of ", leader, ": ", leader, " draws ",
                          first.draws.text, ", ", name, " wants ", part.needs.text, "; ", way_out, "give ", name,
                          " the first place, so that it draws, or train them apart"));
  }
  if (part.passing != first.passing) {
    throw ConfigError(cat(where, ": ", name, " cannot share a pass of the backbone with ", leader, ": ",
                          way_of(leader, first), ", ", way_of(name, part),
                          "; let both do the same, or train them apart"));
  }
}

void JointOptions::resolve(const ConfigNode& section, const std::string& path) {
  if (parts.empty()) {
    throw ConfigError(cat(section.where(), ": ", path,
                          ".parts: joint sums no objectives; give it a list, for example "
                          "[{name: cstp, contrast: none}, {weight: 0.5, name: cvrl}]"));
  }
  std::string leader;
  SharedViews first;
  double sum = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    JointPart& part = parts[i];
    const std::string here = path_of(path, i);
    const ObjectiveRow& row = find_objective(part.section, here);
    const std::string where = cat(part.section.where(), ": ", here);
    if (row.shared_views == nullptr) {
      throw ConfigError(cat(where, ": ", row.name, " cannot be part of a joint objective",
                            row.name == section.find("name")->text()
                                ? "; list its parts beside the others, their weights multiplied by its own"
                                : ", because it does not say what views it needs; train it alone"));
    }
    const auto same = [&](const JointPart& other) { return other.name() == row.name; };
    if (std::any_of(parts.begin(), parts.begin() + static_cast<std::ptrdiff_t>(i), same)) {
      throw ConfigError(cat(where, ": ", row.name,
                            " stands twice; logs and checkpoints know a part by its name, so "
                            "give each objective once"));
    }
    const ConfigNode given = part.section;
    part.section = row.resolve(given, here);
    sum += part.weight;
    const SharedViews shared = row.shared_views(part.section);
    if (i == 0) {
      leader = row.name;
      first = shared;
    } else if (part.weight > 0) {
      require_shared(leader, first, row.name, shared, where);
      refuse_idle_keys(given, part.section, row, shared.needs, here, leader);
    }
  }
  if (sum == 0) {
    throw ConfigError(cat(section.where(), ": ", path,
                          ".parts: every part has weight 0, so nothing would be learnt; give one a weight above 0"));
  }
}

JointOptions read_joint(const ConfigNode& section, const std::string& path) {
  auto options = section.read<NamedOptions<JointOptions>>(path).options;
  options.resolve(section, path);
  return options;
}

class Joint final : public Objective {
 public:
  Joint(const JointOptions& options, const ObjectiveParts& parts) : backbone_(take_backbone(parts)) {
    ObjectiveParts own = parts;
    own.shared = backbone_;
    for (const JointPart& part : options.parts) {
      own.leads = parts_.empty();
      if (part.weight == 0 && !own.leads) continue;  // every parameter that is registered must have a gradient
      const SharedViews shared = find_objective(part.section).shared_views(part.section);
      flow_ = flow_ || (shared.needs.flow && part.weight > 0);
      raw_bytes_ = raw_bytes_ || (shared.needs.raw_bytes && part.weight > 0);
      parts_.push_back({part.name(), part.weight, make_objective(part.section, own)});
      if (part.weight == 0) continue;
      const std::shared_ptr<Objective>& objective = parts_.back().objective;
      register_module(part.name(), objective);
      if (objective->target_width() == 0) continue;
      check(!annotator_, "joint: two parts measure targets, and a view has room for those of one");
      annotator_ = objective;
    }
  }

  SamplePlan plan(const VideoInfo& video, Rng& rng) const override {
    SamplePlan plan = parts_.front().objective->plan(video, rng);
    plan.flow = plan.flow || flow_;
    plan.raw_bytes = plan.raw_bytes || raw_bytes_;
    return plan;
  }

  void annotate(Sample& sample) const override {
    if (annotator_) annotator_->annotate(sample);
  }
  int64_t target_width() const override { return annotator_ ? annotator_->target_width() : 0; }
  std::vector<std::string> annotated_labels() const override {
    return annotator_ ? annotator_->annotated_labels() : std::vector<std::string>();
  }

  LossTerms loss_of(const ViewBatch& batch, BackbonePass& pass) override {
    LossTerms terms;
    for (const Part& part : learning()) {
      const LossTerms own = part.objective->loss_of(batch, pass);
      const at::Tensor weighted = part.weight * own.total;
      terms.total = terms.total.defined() ? terms.total + weighted : weighted;
      const auto name = [&part](const std::string& term) { return cat(part.name, ".", term); };
      terms.parts.emplace_back(name("loss"), own.total.detach());  // before its weight
      for (const auto& [term, value] : own.parts) terms.parts.emplace_back(name(term), value);
      for (const auto& [term, value] : own.constants) terms.constants.emplace_back(name(term), value);
    }
    terms.embeddings = pass.pooled().detach();
    return terms;
  }

  Passing passing() const override { return parts_.front().objective->passing(); }

  void after_step() override {
    for (const Part& part : learning()) part.objective->after_step();
  }
  void set_train_mode() override {
    train();
    for (const Part& part : learning()) part.objective->set_train_mode();
  }
  bool can_collapse() const override {
    const std::vector<Part> parts = learning();
    return std::any_of(parts.begin(), parts.end(), [](const Part& part) { return part.objective->can_collapse(); });
  }
  std::shared_ptr<Backbone> backbone() const override { return backbone_; }

 private:
  struct Part {
    std::string name;
    double weight = 1;
    std::shared_ptr<Objective> objective;
  };

  /// All but a first part of weight 0, which draws and does nothing else.
  std::vector<Part> learning() const {
    std::vector<Part> found;
    std::copy_if(parts_.begin(), parts_.end(), std::back_inserter(found), [](const Part& p) { return p.weight > 0; });
    return found;
  }

  std::shared_ptr<Backbone> backbone_;
  std::vector<Part> parts_;
  std::shared_ptr<Objective> annotator_;   ///< the part that measures targets, if one does
  bool flow_ = false, raw_bytes_ = false;  ///< asked for by a part
};

std::shared_ptr<Objective> make_joint(const ConfigNode& section, const ObjectiveParts& parts) {
  return std::make_shared<Joint>(read_joint(section, "objective"), parts);
}

}  // namespace

ObjectiveRow joint_row() {
  const auto resolve = [](const ConfigNode& section, const std::string& path) {
    return to_config(NamedOptions<JointOptions>{section.find("name")->text(), read_joint(section, path)});
  };
  const auto describe = [] {
    NamedOptions<JointOptions> named;
    return describe_fields("objective", [&named](Fields& f) { named.bind(f); });
  };
  return {"joint", make_joint, resolve, describe, "a weighted sum of objectives over shared views, one backbone pass"};
}

}  // namespace cstp
