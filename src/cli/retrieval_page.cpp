#include "retrieval_page.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>

#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "optional_json.h"
#include "page_text.h"

namespace cstp {
namespace {

namespace fs = std::filesystem;

std::string shown_name(const std::string& path, const std::string& root) {
  const fs::path whole = fs::path(path).lexically_normal();
  const fs::path inner = root.empty() ? fs::path() : whole.lexically_relative(fs::path(root).lexically_normal());
  const bool below = !inner.empty() && *inner.begin() != ".." && *inner.begin() != ".";
  return display_text((below ? inner : whole.filename()).string());
}

/// Bytes of the UTF-8 character at the front of `text`; 0 if there is none (overlong forms and surrogates are none).
size_t character_size(std::string_view text) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<uint8_t>(text[i]) : uint8_t{0}; };
  const auto follows = [&](size_t i) { return (byte(i) & 0xc0) == 0x80; };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return follows(1) ? 2 : 0;
  if (lead >= 0xe0 && lead <= 0xef) {
    const bool allowed = !(lead == 0xe0 && byte(1) < 0xa0) && !(lead == 0xed && byte(1) > 0x9f);
    return allowed && follows(1) && follows(2) ? 3 : 0;
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    const bool allowed = !(lead == 0xf0 && byte(1) < 0x90) && !(lead == 0xf4 && byte(1) > 0x8f);
    return allowed && follows(1) && follows(2) && follows(3) ? 4 : 0;
  }
  return 0;
}

nlohmann::ordered_json label_json(int64_t label) {
  return label >= 0 ? nlohmann::ordered_json(label) : nlohmann::ordered_json(nullptr);
}

nlohmann::ordered_json classes_json(const RetrievalReport& report) {
  nlohmann::ordered_json classes = nlohmann::ordered_json::array();
  int64_t count = std::ssize(report.classes);
  for (const auto* videos : {&report.queries, &report.gallery}) {
    for (const VideoRecord& video : *videos) count = std::max(count, video.label + 1);
  }
  for (int64_t label = 0; label < count; ++label) {
    const bool named = label < std::ssize(report.classes);
    classes.push_back(named ? display_text(report.classes[static_cast<size_t>(label)]) : cat("class ", label));
  }
  return classes;
}

}  // namespace

std::string display_text(std::string_view bytes) {
  std::string text;
  while (!bytes.empty()) {
    const size_t size = character_size(bytes);
    const auto first = static_cast<uint8_t>(bytes[0]);
    if (size == 0 || first < 0x20 || first == 0x7f) {
      std::array<char, 8> escaped{};
      std::snprintf(escaped.data(), escaped.size(), "\\x%02x", first);
      text += escaped.data();
      bytes.remove_prefix(1);
    } else {
      text += bytes.substr(0, size);
      bytes.remove_prefix(size);
    }
  }
  return text;
}

PageCards page_cards(const RetrievalReport& report, const PageOptions& options) {
  PageCards page;
  std::map<std::pair<std::string, int64_t>, int64_t> known;
  const auto video_of = [&](const VideoRecord& record) {
    const auto [place, added] = known.try_emplace({record.path, record.label}, std::ssize(page.videos));
    if (added) page.videos.push_back({record.path, record.label, "", ""});
    return place->second;
  };
  for (const int64_t query : choose_queries(report.queries, options.queries, report.seed)) {
    PageCards::Card card{query, video_of(report.queries[static_cast<size_t>(query)]), {}};
    for (const auto& neighbour : report.nearest[static_cast<size_t>(query)]) {
      if (std::ssize(card.neighbours) == options.neighbours) break;
      card.neighbours.push_back(video_of(report.gallery[static_cast<size_t>(neighbour.row)]));
    }
    page.cards.push_back(std::move(card));
  }
  return page;
}

nlohmann::ordered_json page_data(const RetrievalReport& report, const PageCards& cards) {
  using nlohmann::ordered_json;
  ordered_json recall = ordered_json::array();
  for (const auto& [k, value] : report.recall) {
    recall.push_back({{"k", k}, {"value", to_json(value)}, {"chance", to_json(chance_recall(report, k))}});
  }
  ordered_json rows = ordered_json::array();
  for (const ClassRow& row : class_rows(report)) {
    ordered_json shares = ordered_json::array();
    for (const auto& share : row.recall) shares.push_back(to_json(share));
    rows.push_back({{"class", row.label},
                    {"queries", row.queries},
                    {"gallery", row.gallery},
                    {"recall", shares},
                    {"map", row.map},
                    {"mistaken_for", label_json(row.mistaken_for)},
                    {"mistaken", row.mistaken}});
  }
  ordered_json videos = ordered_json::array();
  for (const PageVideo& video : cards.videos) {
    videos.push_back({{"name", shown_name(video.path, report.root)},
                      {"class", label_json(video.label)},
                      {"clip", video.clip.empty() ? ordered_json(nullptr) : ordered_json(video.clip)}});
    if (video.clip.empty()) videos.back()["problem"] = display_text(video.problem);
  }
  ordered_json shown = ordered_json::array();
  for (const auto& card : cards.cards) {
    ordered_json near = ordered_json::array();
    const auto& nearest = report.nearest[static_cast<size_t>(card.query)];
    for (size_t i = 0; i < card.neighbours.size(); ++i) {
      near.push_back({card.neighbours[i], std::round(nearest[i].cosine * 1e6) / 1e6});
    }
    shown.push_back({{"row", card.query},
                     {"video", card.video},
                     {"first", report.first_hit[static_cast<size_t>(card.query)]},
                     {"near", near}});
  }
  return {
      {"weights", display_text(report.weights)},
      {"model", report.model},
      {"build", report.build},
      {"seed", report.seed},
      {"clips", report.clips},
      {"queries", {{"set", report.query_set}, {"decoded", report.queries.size()}, {"total", report.query_total}}},
      {"gallery", {{"set", report.gallery_set}, {"decoded", report.gallery.size()}, {"total", report.gallery_total}}},
      {"recall", recall},
      {"map", to_json(report.map)},
      {"classes", classes_json(report)},
      {"rows", rows},
      {"videos", videos},
      {"cards", shown}};
}

std::string page_html(const nlohmann::ordered_json& data) {
  std::string text;
  for (const char c : data.dump(-1, ' ', /*ensure_ascii=*/true)) {  // ASCII: no charset can change it
    if (c == '<' || c == '>' || c == '&') {
      text += c == '<' ? "\\u003c" : c == '>' ? "\\u003e" : "\\u0026";
    } else {
      text += c;
    }
  }
  std::string page(retrieval_page_text());
  const size_t place = page.find(kPageDataMark);
  check(place != std::string::npos && page.find(kPageGenerator) != std::string::npos,
        "the text of the retrieval page lacks its marks");
  page.replace(place, kPageDataMark.size(), text);
  return page;
}

void write_retrieval_page(const RetrievalReport& report, const PageOptions& options) {
  prepare_page_folder(options.folder);
  PageCards cards = page_cards(report, options);
  write_clips(cards.videos, options.folder, options.preview, options.workers);
  write_file_atomically((fs::path(options.folder) / "index.html").string(), page_html(page_data(report, cards)));
  remove_other_clips(options.folder, cards.videos);
}

}  // namespace cstp
