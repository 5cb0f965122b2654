/// Builds an objective's row of the table from its options struct, so that reading, resolving and describing a section
/// cannot disagree.
#pragma once
#include <memory>
#include <string>
#include <utility>

#include "cstp/core/config.h"
#include "cstp/core/error.h"
#include "cstp/core/text.h"
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

/// An objective whose options say by a method shared_views() what they draw and need can be part of a joint one.
template <class Options>
ObjectiveRow objective_row(const char* name,
                           std::shared_ptr<Objective> (*make)(const ConfigNode&, const ObjectiveParts&),
                           const char* description) {
  const auto resolve = [](const ConfigNode& section, const std::string& path) {
    auto named = section.read<NamedOptions<Options>>(path);
    try {
      named.options.validate();
    } catch (const ConfigError& error) {  // it speaks of "objective", which a part of a joint one is not
      if (path == "objective") throw;
      throw ConfigError(cat(section.where(), ": ", path, " (", named.name, "): ", error.what()));
    }
    return to_config(std::move(named));
  };
  const auto describe = [] {
    NamedOptions<Options> named;
    return describe_fields("objective", [&named](Fields& f) { named.bind(f); });
  };
  ObjectiveRow row{name, make, resolve, describe, description};
  if constexpr (requires(const Options& options) { options.shared_views(); }) {
    row.shared_views = [](const ConfigNode& section) {
      return read_objective_options<Options>(section).shared_views();
    };
  }
  return row;
}

}  // namespace cstp
