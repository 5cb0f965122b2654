/// A retrieval in plain numbers, and what a page says of it: per class, against chance, and which queries it shows.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cstp/data/dataset.h"

namespace cstp {

/// Q queries against a gallery of G. Videos that did not decode are not among them.
struct RetrievalReport {
  std::string weights, model, query_set, gallery_set, build;
  std::string root;  ///< data.root: file names are shown relative to it
  int64_t seed = 1, clips = 0;
  std::vector<std::string> classes;                               ///< K; empty if nothing is labelled
  std::vector<VideoRecord> queries, gallery;                      ///< Q, G
  int64_t query_total = 0, gallery_total = 0;                     ///< videos tried
  std::vector<std::pair<int64_t, std::optional<double>>> recall;  ///< k -> share of the labelled queries
  std::optional<double> map;
  std::vector<int64_t> first_hit;  ///< [Q] rank of the first hit, from 1; 0: none, or no label
  std::vector<double> precision;   ///< [Q] average precision
  struct Neighbour {
    int64_t row = 0;  ///< in the gallery
    double cosine = 0;
  };
  std::vector<std::vector<Neighbour>> nearest;  ///< [Q], nearest first
};

/// One class of the queries. Fractions are absent where k is larger than the gallery.
struct ClassRow {
  int64_t label = 0;
  int64_t queries = 0, gallery = 0;
  std::vector<std::optional<double>> recall;  ///< in the order of RetrievalReport::recall
  double map = 0;
  int64_t mistaken_for = -1;  ///< the wrong class that is nearest most often (the first of equal ones); -1: none
  int64_t mistaken = 0;       ///< how often
};
/// Classes that have queries, in label order.
std::vector<ClassRow> class_rows(const RetrievalReport& report);

/// R@k of a ranking drawn at random: the mean over labelled queries of the chance that k of the G gallery videos hold
/// one of its class. Absent where no query has a label or k > G.
std::optional<double> chance_recall(const RetrievalReport& report, int64_t k);

/// `count` rows out of all (0, or more than there are: all), spread over the classes as the queries are, every class
/// with at least one where there is room. A function of (labels, seed) alone; a smaller count gives a prefix.
/// @return rows in the order drawn, in which the classes are mixed
std::vector<int64_t> choose_queries(const std::vector<VideoRecord>& queries, int64_t count, int64_t seed);

}  // namespace cstp
