#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <iostream>
#include <nlohmann/json.hpp>

#include "commands.h"
#include "cstp/core/log.h"
#include "cstp/core/text.h"
#include "cstp/distributed/collectives.h"
#include "cstp/engine/checkpoint.h"
#include "cstp/engine/device.h"
#include "cstp/engine/downstream.h"
#include "cstp/engine/pretext.h"
#include "cstp/engine/result.h"
#include "cstp/engine/result_folder.h"
#include "cstp/models/tensor_file.h"
#include "optional_json.h"

namespace cstp {
namespace {

/// One split's result, new or from the disk.
struct SplitResult {
  Document document;
  std::optional<Confusion> confusion;
  std::string file;  ///< its result.json; "" where nothing was measured
};

/// A metric of a document, with its spread over splits where there is one.
std::string metric_text(const Document& document, const std::string& name) {
  const auto number = [&document](const std::string& key) {
    return document.contains(key) && document[key].is_number() ? std::optional(document[key].get<double>())
                                                               : std::nullopt;
  };
  const std::string spread = number(name + "_std") ? cat(" +- ", percent(number(name + "_std"))) : "";
  return percent(number(name)) + spread;
}

std::string accuracy_line(const Document& document) {
  return cat("top-1 ", metric_text(document, "top1"), "  top-5 ", metric_text(document, "top5"), "  clip top-1 ",
             metric_text(document, "clip_top1"), "  clip top-5 ", metric_text(document, "clip_top5"));
}

/// "1,2,3" -> numbers. @throws UsageError
std::vector<int64_t> parse_splits(const std::string& text, const std::string& format) {
  if (!has_splits(format)) {
    throw UsageError(cat("--splits ", text, ": data.format ", format,
                         " has no official splits (ucf101 and hmdb51 have 1, 2 and 3); leave --splits out"));
  }
  std::vector<int64_t> splits;
  for (const std::string& part : split(text, ',')) {
    const std::string_view digits = trim(part);
    int64_t number = 0;
    const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    const bool whole = read.ec == std::errc() && read.ptr == digits.data() + digits.size();
    if (!whole || number < 1 || number > 3) {
      throw UsageError(cat("--splits ", text, ": '", digits, "' is no split; wanted some of 1,2,3"));
    }
    if (std::find(splits.begin(), splits.end(), number) != splits.end()) {
      throw UsageError(cat("--splits ", text, ": ", number, " stands twice"));
    }
    splits.push_back(number);
  }
  return splits;
}

class EvalCommand final : public Command {
 public:
  explicit EvalCommand(CLI::App& parent) {
    app = parent.add_subcommand(
        "eval",
        "accuracy of a backbone (linear probe, fine-tuning, k-NN), or of the heads on held-out plans (pretext)");
    add_common_options(*app, options_, true);
    add_launch_options(*app, options_);
    app->add_option("--protocol", protocol_,
                    "linear | finetune | knn | pretext, with the config's settings (default: its eval.protocol), or "
                    "the name of a protocol, with that protocol's");
    app->add_option("--splits", splits_, "official splits, each evaluated in turn: 1,2,3 (default: data.split)");
    app->add_flag("--fresh", fresh_, "compute anew what is already on the disk");
    app->add_flag("--list-protocols", list_, "list the named protocols with their settings and leave");
  }

  ExitCode run() override {
    if (list_) {
      list_protocols();
      return ExitCode::done;
    }
    choose_protocol();
    const RunConfig config = options_.load();
    std::vector<int64_t> splits = {config.data.split};
    if (!splits_.empty()) splits = parse_splits(splits_, config.data.format);
    const std::string& kind = config.eval.protocol;
    if (options_.dry_run) {
      std::cout << cat("protocol    ", name_protocol(config, kind), " (settings ",
                       settings_hash(protocol_settings(config, kind)), ")\n", dry_run_text(config, "eval"));
      return ExitCode::done;
    }
    return on_ranks(options_, config, [&](const World& world) { return evaluate_on(config, splits, world); });
  }

 private:
  ExitCode evaluate_on(const RunConfig& config, const std::vector<int64_t>& splits, const World& world) const {
    const bool pretext = config.eval.protocol == "pretext";
    if (pretext && world.size > 1) {
      throw UsageError("--protocol pretext runs on one rank: its loss depends on which videos share a batch");
    }
    const std::vector<SplitResult> results = pretext ? run_pretext(config, splits) : run_splits(config, splits, world);
    if (!world.is_first()) return ExitCode::done;
    const SplitResult whole = results.size() == 1 ? results[0] : summary(results, config.output);
    print(whole, results);
    const bool measured = std::all_of(results.begin(), results.end(),
                                      [](const SplitResult& result) { return result.document["decoded"] > 0; });
    if (!measured) log::error("no test video could be decoded; nothing was measured");
    return measured && !whole.file.empty() ? ExitCode::done : ExitCode::data;
  }

  /// A kind is set behind the other assignments, a named protocol's settings before them: what departs is then said.
  void choose_protocol() {
    if (protocol_.empty()) return;
    std::vector<std::string> known = {"linear", "finetune", "knn", "pretext"};
    if (std::find(known.begin(), known.end(), protocol_) != known.end()) {
      options_.assignments.push_back(cat("eval.protocol=", protocol_));
      return;
    }
    for (const ProtocolRow& row : protocols()) known.emplace_back(row.name);
    const ProtocolRow* row = find_protocol(protocol_);
    if (row == nullptr) {
      const std::string near = closest(protocol_, known);
      throw UsageError(cat("--protocol ", protocol_, ": there is no such protocol; ",
                           near.empty() ? cat("known: ", join(known, ", ")) : cat("did you mean '", near, "'?")));
    }
    if (std::string_view(row->kind) == "retrieve") {
      throw UsageError(cat("--protocol ", protocol_, ": this is a protocol of `cstp retrieve`, not of `cstp eval`"));
    }
    const std::vector<std::string> settings = protocol_assignments(*row);
    options_.assignments.insert(options_.assignments.begin(), settings.begin(), settings.end());
  }

  static void list_protocols() {
    for (const ProtocolRow& row : protocols()) {
      std::cout << cat(row.name, ": ", row.description, "\n");
      for (const std::string& setting : protocol_assignments(row)) std::cout << cat("  ", setting, "\n");
    }
  }

  /// On several ranks all share the work, and the results are rank 0's alone.
  std::vector<SplitResult> run_splits(const RunConfig& config, const std::vector<int64_t>& splits,
                                      const World& world) const {
    LoadedBackbone backbone =
        load_backbone_for(config, options_.checkpoint, options_.allow_partial, world, options_.inflate);
    const int64_t parameters = parameter_count(*backbone.network);
    std::vector<SplitResult> results;
    for (const int64_t split : splits) {
      backbone.config.data.split = split;
      const LabelledPair data = open_labelled(backbone.config);
      const Provenance provenance = make_provenance(backbone.config, config.eval.protocol, data.train, data.test,
                                                    backbone.note, parameters, backbone.device);
      const ResultFolder folder(config.output, provenance,
                                result_key(backbone.config, provenance, data.train, data.test));
      auto stored = world.is_first() ? reused(folder) : std::nullopt;
      if (take_from_first(stored ? 1 : 0, world) == 1) {
        if (stored) results.push_back(std::move(*stored));
        continue;
      }
      const bool cached = config.eval.protocol == "linear" && config.eval.linear.features == "cached";
      const bool trains = config.eval.protocol != "knn" && !cached;
      const bool start_over =
          take_from_first(trains && world.is_first() && folder.begin_training() ? 1 : 0, world) == 1;
      const ProtocolResult result =
          run_protocol(backbone, data, config.eval.protocol, folder.path(), start_over || fresh_);
      if (!world.is_first()) continue;
      SplitResult& done = results.emplace_back();
      done.document = result_document(result, data.classes, provenance);
      if (result.decoded == 0) continue;
      done.confusion = count_confusion(data.test.classes, result.labels, result.accuracy.predicted);
      store(done, folder);
    }
    return results;
  }

  /// The objective on its own task, test split: what the checkpoint was trained on, with the checkpoint's objective.
  std::vector<SplitResult> run_pretext(RunConfig config, const std::vector<int64_t>& splits) const {
    if (options_.inflate) throw UsageError("--inflate: the pretext wants a whole checkpoint, not an image network's");
    WeightsNote note;
    if (!options_.checkpoint.empty()) {
      note.file = checkpoint_path(options_.checkpoint);
      const CheckpointNote checkpoint = read_checkpoint_note(note.file);
      const RunConfig trained = parse_run_config(checkpoint.config_yaml, note.file);
      describe_training(note, trained, checkpoint.step);
      config.model = trained.model;
      config.objective = trained.objective;
      config.clip = trained.clip;
      config.input = trained.input;
    } else {
      log::warning("no --checkpoint was given: the weights are untrained (the baseline)");
    }
    set_compute_threads(config.train.threads);
    const auto objective = load_objective(config, options_.checkpoint);
    note.hash = content_hash(module_tensors(*objective));
    std::vector<SplitResult> results;
    for (const int64_t split : splits) {
      config.data.split = split;
      const Dataset train = open_dataset(config.data, Split::train);
      const Dataset test = open_and_report(config, Split::test);
      const Provenance provenance =
          make_provenance(config, "pretext", train, test, note, parameter_count(*objective->backbone()),
                          select_device(config.train.device));
      const ResultFolder folder(config.output, provenance, result_key(config, provenance, train, test));
      if (auto stored = reused(folder)) {
        results.push_back(std::move(*stored));
        continue;
      }
      const PretextResult result = score_pretext(config, test, *objective, config.eval.draws);
      if (!result.labels.empty()) log::info("labels drawn: ", result.labels);
      SplitResult& done = results.emplace_back();
      done.document = pretext_document(result, provenance);
      if (result.decoded == 0) continue;
      store(done, folder);
    }
    return results;
  }

  /// A full disk must not cost the numbers: they are printed all the same.
  static void store(SplitResult& result, const ResultFolder& folder) {
    try {
      folder.save(result.document, result.confusion);
      result.file = cat(folder.path(), "/result.json");
    } catch (const DataError& error) {
      log::error(error.what(), "; the result is printed all the same");
    }
  }

  std::optional<SplitResult> reused(const ResultFolder& folder) const {
    if (fresh_) return std::nullopt;
    const auto document = folder.current();
    if (!document) return std::nullopt;
    SplitResult result{*document, folder.confusion(), cat(folder.path(), "/result.json")};
    log::info(result.file, ": taken as it is; nothing it depends on changed since (--fresh computes it anew)");
    if (document->contains("undecoded")) {
      for (const Document& path : (*document)["undecoded"]) {
        log::warning(path.get<std::string>(), ": could not be decoded; the video is left out of the result");
      }
    }
    return result;
  }

  static SplitResult summary(const std::vector<SplitResult>& results, const std::string& output) {
    SplitResult whole;
    std::vector<Document> documents;
    for (const SplitResult& result : results) documents.push_back(result.document);
    whole.document = mean_of_splits(documents);
    if (std::any_of(results.begin(), results.end(), [](const SplitResult& result) { return result.file.empty(); })) {
      return whole;
    }
    for (const SplitResult& result : results) {
      if (!result.confusion) break;
      if (whole.confusion) {
        whole.confusion->add(*result.confusion);
      } else {
        whole.confusion = result.confusion;
      }
    }
    try {
      whole.file = cat(save_result(output, whole.document, whole.confusion), "/result.json");
    } catch (const DataError& error) {
      log::error(error.what(), "; the mean is printed all the same");
    }
    return whole;
  }

  void print(const SplitResult& whole, const std::vector<SplitResult>& results) const {
    const Document& document = whole.document;
    if (options_.json) {
      Document shown = document;
      shown["result"] = whole.file.empty() ? Document(nullptr) : Document(whole.file);
      std::cout << shown.dump() << std::endl;
      return;
    }
    const std::string kind = document["protocol"];
    const std::string weights = document["weights"];
    if (kind == "pretext") {
      std::string line = cat("pretext, ", document["samples"].dump(), " held-out samples:");
      for (const auto& [name, value] : metrics_of(document)) line += cat("  ", name, " ", value ? cat(*value) : "-");
      std::cout << cat(line, "  (", weights, ")\n");
    } else {
      if (results.size() > 1) {
        for (const SplitResult& result : results) {
          std::cout << cat("split ", result.document["provenance"]["splits"][0].dump(), ": ",
                           accuracy_line(result.document), "\n");
        }
      }
      std::cout << cat(kind, results.size() > 1 ? " (mean of the splits)" : "", ": ", accuracy_line(document), "  (",
                       document["classes"].dump(), " classes, ", document["decoded"].dump(), " of ",
                       document["total"].dump(), " test videos decoded, ", weights, ")\n");
      if (whole.confusion) std::cout << "\n" << class_accuracy_table(*whole.confusion) << "\n";
    }
    const Document& from = document["provenance"];
    std::cout << cat("protocol ", from["protocol"].get<std::string>(), " (settings ",
                     from["settings_hash"].get<std::string>(), "), seed ", from["seed"].dump(), "\n");
    if (!whole.file.empty()) std::cout << whole.file << "\n";
  }

  CommonOptions options_;
  std::string protocol_, splits_;
  bool fresh_ = false;
  bool list_ = false;
};

}  // namespace

std::unique_ptr<Command> make_eval_command(CLI::App& app) { return std::make_unique<EvalCommand>(app); }

}  // namespace cstp
