/// What `cstp inspect model` prints: a table, or one JSON document.
#pragma once
#include <string>

#include "cstp/engine/run_config.h"
#include "cstp/models/model_profile.h"

namespace cstp {

std::string profile_text(const RunConfig& config, const ModelProfile& profile);
std::string profile_json(const RunConfig& config, const ModelProfile& profile);

}  // namespace cstp
