#include "cstp/objectives/objective.h"

#include "cstp/core/error.h"
#include "cstp/core/text.h"

namespace cstp {

// Each defined in its own file.
ObjectiveRow cstp_row();
ObjectiveRow cvrl_row();
ObjectiveRow hdc_row();
ObjectiveRow joint_row();
ObjectiveRow sts_row();
ObjectiveRow supervised_row();

std::span<const ObjectiveRow> objectives() {
  static const ObjectiveRow table[] = {cstp_row(), cvrl_row(), hdc_row(), joint_row(), sts_row(), supervised_row()};
  return table;
}

const ObjectiveRow& find_objective(const ConfigNode& section, const std::string& path) {
  const ConfigNode* name = section.find("name");
  std::vector<std::string> known;
  for (const ObjectiveRow& row : objectives()) {
    if (name != nullptr && name->text() == row.name) return row;
    known.emplace_back(row.name);
  }
  if (name == nullptr || name->text().empty()) {
    throw ConfigError(
        cat(section.where(), ": ", path, ": it has no name; add `name:` with one of ", join(known, ", ")));
  }
  const std::string near = closest(name->text(), known);
  throw ConfigError(cat(name->where(), ": ", path, ".name: '", name->text(), "' is none of ", join(known, ", "),
                        near.empty() ? "" : cat("; did you mean '", near, "'?")));
}

std::shared_ptr<Objective> make_objective(const ConfigNode& section, const ObjectiveParts& parts) {
  const ObjectiveRow& row = find_objective(section);
  ObjectiveParts checked = parts;
  checked.make_backbone = [&row, &parts] {
    auto backbone = parts.make_backbone();
    if (row.trains_backbone && !has_weights(backbone->form())) {
      throw ConfigError(cat("model.name: ", backbone->form(), " has no weights, so ", row.name,
                            " has nothing to train; evaluate it without --checkpoint, or choose another backbone"));
    }
    backbone->require_clip(parts.clip.frames, parts.clip.size, parts.clip.size);
    return backbone;
  };
  return row.make(section, checked);
}

ConfigNode resolve_objective(const ConfigNode& section) {
  return find_objective(section).resolve(section, "objective");
}

void ClipOptions::bind(Fields& f) {
  f.integer("frames", frames, {.min = 1, .max = 512}, "frames of a clip");
  f.integer("stride", stride, {.min = 1, .max = 512},
            "source frames per step, where the objective does not draw its own");
  f.integer("size", size, {.min = 16, .max = 1024}, "pixels of a view's side");
  f.flag("square", square, "squeeze whole frames to a square before cropping, so that their shape tells nothing");
}

at::Tensor Objective::plan_labels(const ViewBatch&) const { return {}; }

LossTerms Objective::loss(const ViewBatch& batch) {
  const std::shared_ptr<Backbone> network = backbone();
  BackbonePass pass(*network, batch.views, batch.videos(), passing());
  return loss_of(batch, pass);
}

std::shared_ptr<Backbone> Objective::take_backbone(const ObjectiveParts& parts) {
  return parts.shared ? parts.shared : register_module("backbone", parts.make_backbone());
}

void Objective::annotate(Sample&) const {}

std::vector<std::pair<std::string, at::Tensor>> Objective::trainable() const {
  std::vector<std::pair<std::string, at::Tensor>> result;
  for (const auto& item : named_parameters()) {
    if (item.value().requires_grad()) result.emplace_back(item.key(), item.value());
  }
  return result;
}

}  // namespace cstp
