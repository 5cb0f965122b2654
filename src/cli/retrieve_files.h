/// `cstp retrieve --gallery a.npy --queries b.npy`: the search alone, on embeddings that `cstp embed` wrote.
#pragma once
#include <string>

#include "commands.h"
#include "index_search.h"

namespace cstp {

/// Searches, and prints the result; nothing is stored. With one file for both its training rows are the gallery and its
/// test rows the queries. @param common --config may be missing: then its defaults say which k are reported
/// @throws DataError, UsageError
ExitCode retrieve_from_files(const std::string& gallery, const std::string& queries, const IndexRequest& index,
                             const CommonOptions& common);

}  // namespace cstp
