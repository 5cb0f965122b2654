/// Named, versioned evaluation protocols: a name stands for every setting that a number depends on, so that a number
/// under a name can be compared. docs/protocols.md lists them with their sources.
///
/// A name's settings never change: what must change gets a new version. The table is in protocol.cpp; a test keeps a
/// hash of each row.
#pragma once
#include <array>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "cstp/engine/run_config.h"

namespace cstp {

/// Key -> value, in one stated order. Keys are those of the configuration; `rule.*` are decisions of the code.
using Settings = std::vector<std::pair<std::string, std::string>>;

/// Every setting that decides what a result of this kind means, and none that does not (threads, batch of the forward
/// pass, paths, weights, seed). @param kind linear | finetune | knn | retrieve | pretext
Settings protocol_settings(const RunConfig& config, const std::string& kind);
/// 16 hexadecimal digits over all of them.
std::string settings_hash(const Settings& settings);

struct ProtocolRow {
  const char* name;
  const char* kind;
  const char* format;                   ///< the data.format it is meant for; "" = any
  std::array<const char*, 3> settings;  ///< parts of KEY=VALUE, separated by blanks; the rest nullptr
  const char* description;
};
std::span<const ProtocolRow> protocols();
/// nullptr if there is none.
const ProtocolRow* find_protocol(const std::string& name);
/// The row as --set assignments, eval.protocol and eval.protocol_name among them.
std::vector<std::string> protocol_assignments(const ProtocolRow& row);

/// The name that the config's settings deserve. Where eval.protocol_name names a protocol of this kind, that one with
/// what departs from it, "ucf101-linear-v1 + {eval.clips=5}"; else the protocol whose settings are exactly these; else
/// "custom-KIND".
std::string name_protocol(const RunConfig& config, const std::string& kind);

}  // namespace cstp
