/// A retrieval as a page that opens from the disk: queries beside their neighbours, as playing clips.
///
/// FOLDER/index.html holds everything but the clips (FOLDER/media/NAME.mp4 and .jpg); nothing is fetched from a network
/// and the folder may be moved. The clips are written first and index.html last, so a page never points at what is not
/// there; a clip that an earlier run finished is kept, so a killed run goes on where it stopped.
#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "page_clips.h"
#include "retrieval_report.h"

namespace cstp {

struct PageOptions {
  std::string folder;
  int64_t queries = 200;   ///< shown; 0: all
  int64_t neighbours = 5;  ///< of each
  int64_t workers = 0;     ///< threads that make clips; 0: one per core
  PreviewOptions preview;
};

/// Writes clips and page. A video that cannot be shown gets a placeholder with its name.
/// @throws as prepare_page_folder(), and DataError if the disk is full; an earlier page then still stands
void write_retrieval_page(const RetrievalReport& report, const PageOptions& options);

// The parts, for tests.

/// The cards of a page: each video stands once in `videos`, however many cards show it.
struct PageCards {
  struct Card {
    int64_t query = 0;                ///< row of the report
    int64_t video = 0;                ///< index into `videos`
    std::vector<int64_t> neighbours;  ///< the same, nearest first
  };
  std::vector<PageVideo> videos;
  std::vector<Card> cards;
};
PageCards page_cards(const RetrievalReport& report, const PageOptions& options);

/// Everything that the page's script shows.
nlohmann::ordered_json page_data(const RetrievalReport& report, const PageCards& cards);

/// The page around the data: nothing in the data can end the element that holds it.
std::string page_html(const nlohmann::ordered_json& data);

/// File names for people: valid UTF-8 as it is; bytes that are none, and control characters, as \xNN.
std::string display_text(std::string_view bytes);

}  // namespace cstp
