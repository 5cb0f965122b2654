#include <CLI/CLI.hpp>
#include <iostream>
#include <nlohmann/json.hpp>

#include "commands.h"
#include "cstp/core/log.h"
#include "cstp/core/text.h"
#include "cstp/engine/compare.h"

namespace cstp {
namespace {

class CompareCommand final : public Command {
 public:
  explicit CompareCommand(CLI::App& parent) {
    app = parent.add_subcommand("compare", "results side by side; refuses to mix results of unlike protocols or data");
    app->add_option("results", paths_, "result.json files, or folders that hold some")->required();
    app->add_option("--protocol", protocol_, "only results of this kind (linear) or name (ucf101-linear-v1)");
    app->add_flag("--group", group_, "one row for results that differ by seed only: mean +- standard deviation");
    app->add_flag("--allow-unlike", allow_unlike_, "set unlike results side by side, and say what differs");
    const auto json = app->add_flag("--json", json_, "one JSON document on stdout");
    const auto csv = app->add_flag("--csv", csv_, "comma-separated values: fractions, not per cent");
    const auto markdown = app->add_flag("--markdown", markdown_, "a table for a Markdown file");
    csv->excludes(json);
    markdown->excludes(json)->excludes(csv);
  }

  ExitCode run() override {
    const std::vector<StoredResult> results = read_results(paths_, protocol_);
    const std::vector<std::string> unlike = unlike_results(results);
    if (!unlike.empty() && !allow_unlike_) {
      throw UsageError(cat(unlike[0],
                           unlike.size() > 1 ? cat(" (and ", unlike.size() - 1, " more unlike results)") : "",
                           "; compare like with like (--protocol picks one of several), or give --allow-unlike"));
    }
    for (const std::string& sentence : unlike) log::warning("unlike: ", sentence);
    const std::vector<ComparedRow> rows = compared_rows(results, group_);
    if (json_) {
      std::cout << comparison_json(rows).dump() << std::endl;
      return ExitCode::done;
    }
    const bool text = !csv_ && !markdown_;
    if (text && unlike.empty()) std::cout << common_line(results[0].document, rows[0]);
    const TableStyle style = csv_ ? TableStyle::csv : markdown_ ? TableStyle::markdown : TableStyle::text;
    std::cout << comparison_table(rows, style, csv_ || !unlike.empty());
    return ExitCode::done;
  }

 private:
  /// What all rows share.
  static std::string common_line(const Document& document, const ComparedRow& row) {
    return cat(row.protocol, " (settings ", document["provenance"]["settings_hash"].get<std::string>(), ")",
               row.splits.empty() ? "" : cat(", splits ", row.splits), ", ", document["decoded"].dump(),
               " videos, all decoded\n\n");
  }

  std::vector<std::string> paths_;
  std::string protocol_;
  bool group_ = false, allow_unlike_ = false, json_ = false, csv_ = false, markdown_ = false;
};

}  // namespace

std::unique_ptr<Command> make_compare_command(CLI::App& app) { return std::make_unique<CompareCommand>(app); }

}  // namespace cstp
