/// Builds an objective's row of the table from its options struct, so that reading, resolving and describing a section
/// cannot disagree.
#pragma once
#include <memory>
#include <string>
#include <utility>

#include "cstp/core/config.h"
#include "cstp/objectives/objective.h"

namespace cstp {

/// The section is flat: the objective's name beside the objective's own keys.
template <class Options>
struct NamedOptions {
  std::string name;
  Options options;
  void bind(Fields& f) {
    f.text("name", name, "objective");
    options.bind(f);
  }
};

template <class Options>
Options read_objective_options(const ConfigNode& section) {
  Options options = section.read<NamedOptions<Options>>("objective").options;
  options.validate();
  return options;
}

template <class Options>
ObjectiveRow objective_row(const char* name,
                           std::shared_ptr<Objective> (*make)(const ConfigNode&, const ObjectiveParts&),
                           const char* description) {
  const auto resolve = [](const ConfigNode& section) {
    auto named = section.read<NamedOptions<Options>>("objective");
    named.options.validate();
    return to_config(std::move(named));
  };
  const auto describe = [] {
    NamedOptions<Options> named;
    return describe_fields("objective", [&named](Fields& f) { named.bind(f); });
  };
  return {name, make, resolve, describe, description};
}

}  // namespace cstp
