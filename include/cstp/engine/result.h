/// A result as one JSON document: the numbers first, then what they were measured on and by what.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "cstp/engine/downstream.h"
#include "cstp/engine/pretext.h"
#include "cstp/engine/provenance.h"

namespace cstp {

using Document = nlohmann::ordered_json;

/// `protocol top1 top5 clip_top1 clip_top5 classes decoded total ...`: fractions, null where undefined.
Document result_document(const ProtocolResult& result, int64_t classes, const Provenance& provenance);
/// `protocol loss accuracy_spatial ... samples decoded total ...`: the mean of every term that the objective reports.
Document pretext_document(const PretextResult& result, const Provenance& provenance);
/// `protocol recall{"1": ...} map queries gallery decoded total ...`: videos of both sides are counted in the last two.
Document retrieval_document(const Retrieval& result, const FeatureSet& gallery, const FeatureSet& queries,
                            const Provenance& provenance);

/// The metrics of a document, in its order: {"top1", 0.5}, {"R@1", ...}; absent where it says null.
std::vector<std::pair<std::string, std::optional<double>>> metrics_of(const Document& document);

/// Results of several splits as one: every metric is the mean (null if one is), NAME_std its sample standard deviation;
/// videos are summed; `per_split` holds the documents. Requires documents that differ in their split only.
Document mean_of_splits(const std::vector<Document>& documents);

struct MeanAndStd {
  double mean = 0;
  std::optional<double> std;  ///< with n-1; absent for one value
};
/// Requires at least one value.
MeanAndStd mean_and_std(const std::vector<double>& values);

}  // namespace cstp
