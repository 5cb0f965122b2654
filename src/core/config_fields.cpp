// src/core/config_fields.cpp: the three kinds of Fields: one reads a tree, one writes one, one describes the keys.
#include <algorithm>
#include <charconv>
#include <optional>

#include "cstp/core/config.h"
#include "cstp/core/error.h"
#include "cstp/core/text.h"

namespace cstp {
namespace {

std::optional<int64_t> integer_of(const std::string& text) {
  int64_t value = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  if (read.ec != std::errc() || read.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<double> number_of(const std::string& text) {
  if (text == ".inf" || text == "inf") return std::numeric_limits<double>::infinity();
  double value = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  if (read.ec != std::errc() || read.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

/// A string that YAML would read as something else, or not at all, must be quoted.
bool needs_quotes(const std::string& text) {
  if (text.empty() || text == "true" || text == "false" || text == "null" || text == "~") return true;
  if (number_of(text).has_value()) return true;
  if (std::string_view("-?:,[]{}#&*!|>'\"%@` ").find(text.front()) != std::string_view::npos || text.back() == ' ')
    return true;
  return text.find(": ") != std::string::npos || text.find(" #") != std::string::npos || text.back() == ':' ||
         std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; });
}

const char* kind_name(ConfigNode::Kind kind) {
  switch (kind) {
    case ConfigNode::Kind::null: return "nothing";
    case ConfigNode::Kind::scalar: return "a single value";
    case ConfigNode::Kind::list: return "a list";
    case ConfigNode::Kind::map: return "a map";
  }
  return "?";
}

template <class T>
std::string range_text(T min, T max, T lowest, T highest) {
  if (min == lowest && max == highest) return "";
  if (max == highest) return cat(" >= ", number_text(static_cast<double>(min)));
  if (min == lowest) return cat(" <= ", number_text(static_cast<double>(max)));
  return cat(" from ", number_text(static_cast<double>(min)), " to ", number_text(static_cast<double>(max)));
}
std::string text_of(NumberRange r) {
  return range_text(r.min, r.max, -std::numeric_limits<double>::infinity(), std::numeric_limits<double>::infinity());
}
std::string text_of(IntegerRange r) {
  return range_text(r.min, r.max, std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max());
}

/// Reads a map into a struct and remembers which keys were named.
class FieldReader final : public Fields {
 public:
  FieldReader(const ConfigNode& node, std::string path) : node_(node), path_(std::move(path)) {
    if (!node.is_null() && node.kind() != ConfigNode::Kind::map) {
      throw ConfigError(cat(node.where(), ": ", path_.empty() ? "the configuration" : path_,
                            ": wanted a map of keys, found ", kind_name(node.kind())));
    }
  }

  void number(const std::string& key, double& value, NumberRange range, const std::string&) override {
    if (const ConfigNode* node = known(key)) value = to_number(*node, key, range);
  }
  void integer(const std::string& key, int64_t& value, IntegerRange range, const std::string&) override {
    if (const ConfigNode* node = known(key)) value = to_integer(*node, key, range);
  }
  void flag(const std::string& key, bool& value, const std::string&) override {
    const ConfigNode* node = known(key);
    if (node == nullptr) return;
    const std::string& word = node->text();
    if (node->kind() == ConfigNode::Kind::scalar && !node->quoted() && (word == "true" || word == "false")) {
      value = word == "true";
    } else {
      fail(*node, key, "true or false");
    }
  }
  void text(const std::string& key, std::string& value, const std::string&) override {
    if (const ConfigNode* node = known(key)) value = word(*node, key);
  }
  void choice(const std::string& key, std::string& value, const std::vector<std::string>& choices,
              const std::string&) override {
    const ConfigNode* node = known(key);
    if (node == nullptr) return;
    const std::string found = word(*node, key);
    if (std::find(choices.begin(), choices.end(), found) == choices.end()) {
      const std::string near = closest(found, choices);
      throw ConfigError(cat(node->where(), ": ", full(key), ": '", found, "' is none of ", join(choices, ", "),
                            near.empty() ? "" : cat("; did you mean '", near, "'?")));
    }
    value = found;
  }
  void numbers(const std::string& key, std::vector<double>& values, NumberRange range, const std::string&) override {
    const ConfigNode* node = known(key);
    if (node == nullptr) return;
    values.clear();
    for (const ConfigNode& item : list_items(*node, key)) values.push_back(to_number(item, key, range));
  }
  void integers(const std::string& key, std::vector<int64_t>& values, IntegerRange range, const std::string&) override {
    const ConfigNode* node = known(key);
    if (node == nullptr) return;
    values.clear();
    for (const ConfigNode& item : list_items(*node, key)) values.push_back(to_integer(item, key, range));
  }
  void node(const std::string& key, ConfigNode& value, const std::string&) override {
    if (const ConfigNode* found = known(key)) value = *found;
  }
  void rest(ConfigNode& value, const std::string&) override {
    value = node_;
    for (const std::string& name : names_) value.erase(name);
    for (const auto& [key, unread] : value.entries()) names_.push_back(key);
  }

  /// After bind(): a key that nobody named is an error.
  void finish() const {
    for (const auto& [key, value] : node_.entries()) {
      if (std::find(names_.begin(), names_.end(), key) != names_.end()) continue;
      const std::string near = closest(key, names_);
      throw ConfigError(
          cat(value.where(), ": ", full(key), ": unknown key; ",
              near.empty() ? cat("known here: ", join(names_, ", ")) : cat("did you mean '", near, "'?")));
    }
  }

 protected:
  void enter(const std::string& key, const std::string&, const std::function<void(Fields&)>& body) override {
    const ConfigNode* node = known(key);
    if (node == nullptr) return;
    FieldReader inner(*node, full(key));
    body(inner);
    inner.finish();
  }
  void enter_list(const std::string& key, const std::string&, size_t, const std::function<void(size_t)>& resize,
                  const std::function<void(size_t, Fields&)>& item) override {
    const ConfigNode* node = known(key);
    if (node == nullptr) return;
    if (node->kind() != ConfigNode::Kind::list) fail(*node, key, "a list of maps");
    resize(node->items().size());
    for (size_t i = 0; i < node->items().size(); ++i) {
      FieldReader inner(node->items()[i], cat(full(key), ".", i));
      item(i, inner);
      inner.finish();
    }
  }

 private:
  const ConfigNode* known(const std::string& key) {
    names_.push_back(key);
    return node_.find(key);
  }
  std::string full(const std::string& key) const { return path_.empty() ? key : cat(path_, ".", key); }
  [[noreturn]] void fail(const ConfigNode& node, const std::string& key, const std::string& wanted) const {
    const std::string found =
        node.kind() == ConfigNode::Kind::scalar ? cat("'", node.text(), "'") : kind_name(node.kind());
    throw ConfigError(cat(node.where(), ": ", full(key), ": wanted ", wanted, ", found ", found));
  }
  std::string word(const ConfigNode& node, const std::string& key) const {
    if (!node.is_null() && node.kind() != ConfigNode::Kind::scalar) fail(node, key, "text");
    return node.text();
  }
  double to_number(const ConfigNode& node, const std::string& key, NumberRange range) const {
    const auto value =
        node.kind() == ConfigNode::Kind::scalar && !node.quoted() ? number_of(node.text()) : std::nullopt;
    if (!value || !(*value >= range.min && *value <= range.max)) fail(node, key, cat("a number", text_of(range)));
    return *value;
  }
  int64_t to_integer(const ConfigNode& node, const std::string& key, IntegerRange range) const {
    const auto value =
        node.kind() == ConfigNode::Kind::scalar && !node.quoted() ? integer_of(node.text()) : std::nullopt;
    if (!value || *value < range.min || *value > range.max) fail(node, key, cat("a whole number", text_of(range)));
    return *value;
  }
  std::vector<ConfigNode> list_items(const ConfigNode& node, const std::string& key) const {
    if (node.kind() == ConfigNode::Kind::scalar) return {node};  // a single value is a list of one
    if (node.kind() != ConfigNode::Kind::list) fail(node, key, "a list");
    return node.items();
  }

  const ConfigNode& node_;
  std::string path_;
  std::vector<std::string> names_;
};

class FieldWriter final : public Fields {
 public:
  ConfigNode tree = ConfigNode::map();

  void number(const std::string& key, double& value, NumberRange, const std::string&) override {
    tree[key] = ConfigNode::scalar(number_text(value));
  }
  void integer(const std::string& key, int64_t& value, IntegerRange, const std::string&) override {
    tree[key] = ConfigNode::scalar(std::to_string(value));
  }
  void flag(const std::string& key, bool& value, const std::string&) override {
    tree[key] = ConfigNode::scalar(value ? "true" : "false");
  }
  void text(const std::string& key, std::string& value, const std::string&) override {
    tree[key] = ConfigNode::scalar(value, needs_quotes(value));
  }
  void choice(const std::string& key, std::string& value, const std::vector<std::string>&,
              const std::string& help) override {
    text(key, value, help);
  }
  void numbers(const std::string& key, std::vector<double>& values, NumberRange, const std::string&) override {
    tree[key] = ConfigNode::list();
    for (const double value : values) tree[key].push_back(ConfigNode::scalar(number_text(value)));
  }
  void integers(const std::string& key, std::vector<int64_t>& values, IntegerRange, const std::string&) override {
    tree[key] = ConfigNode::list();
    for (const int64_t value : values) tree[key].push_back(ConfigNode::scalar(std::to_string(value)));
  }
  void node(const std::string& key, ConfigNode& value, const std::string&) override { tree[key] = value; }
  void rest(ConfigNode& value, const std::string&) override {
    for (const auto& [key, inner] : value.entries()) tree[key] = inner;
  }

 protected:
  void enter(const std::string& key, const std::string&, const std::function<void(Fields&)>& body) override {
    FieldWriter inner;
    body(inner);
    tree[key] = std::move(inner.tree);
  }
  void enter_list(const std::string& key, const std::string&, size_t count, const std::function<void(size_t)>&,
                  const std::function<void(size_t, Fields&)>& item) override {
    tree[key] = ConfigNode::list();
    for (size_t i = 0; i < count; ++i) {
      FieldWriter inner;
      item(i, inner);
      tree[key].push_back(std::move(inner.tree));
    }
  }
};

class FieldDescriber final : public Fields {
 public:
  explicit FieldDescriber(std::string path) : path_(std::move(path)) {}
  std::string lines;

  void number(const std::string& key, double& value, NumberRange range, const std::string& help) override {
    line(key, cat("number", text_of(range)), number_text(value), help);
  }
  void integer(const std::string& key, int64_t& value, IntegerRange range, const std::string& help) override {
    line(key, cat("integer", text_of(range)), std::to_string(value), help);
  }
  void flag(const std::string& key, bool& value, const std::string& help) override {
    line(key, "true|false", value ? "true" : "false", help);
  }
  void text(const std::string& key, std::string& value, const std::string& help) override {
    line(key, "text", value.empty() ? "\"\"" : value, help);
  }
  void choice(const std::string& key, std::string& value, const std::vector<std::string>& choices,
              const std::string& help) override {
    line(key, join(choices, "|"), value, help);
  }
  void numbers(const std::string& key, std::vector<double>& values, NumberRange range,
               const std::string& help) override {
    std::vector<std::string> texts;
    for (const double value : values) texts.push_back(number_text(value));
    line(key, cat("numbers", text_of(range)), cat("[", join(texts, ", "), "]"), help);
  }
  void integers(const std::string& key, std::vector<int64_t>& values, IntegerRange range,
                const std::string& help) override {
    line(key, cat("integers", text_of(range)), cat("[", join(values, ", "), "]"), help);
  }
  void node(const std::string& key, ConfigNode&, const std::string& help) override { line(key, "map", "", help); }
  void rest(ConfigNode&, const std::string& help) override { line("<keys>", "any", "", help); }

 protected:
  void enter(const std::string& key, const std::string& help, const std::function<void(Fields&)>& body) override {
    FieldDescriber inner(full(key));
    body(inner);
    lines += cat("\n# ", help, "\n", inner.lines);
  }
  void enter_list(const std::string& key, const std::string& help, size_t count,
                  const std::function<void(size_t)>& resize,
                  const std::function<void(size_t, Fields&)>& item) override {
    FieldDescriber inner(cat(full(key), "[]"));
    if (count == 0) resize(1);  // an item by its defaults
    item(0, inner);
    if (count == 0) resize(0);
    lines += cat("\n# ", help, " (a list)\n", inner.lines);
  }

 private:
  std::string full(const std::string& key) const { return path_.empty() ? key : cat(path_, ".", key); }
  void line(const std::string& key, const std::string& type, const std::string& value, const std::string& help) {
    lines += cat(full(key), ": ", value, "   # ", type, ". ", help, "\n");
  }
  std::string path_;
};

}  // namespace

void read_fields(const ConfigNode& node, const std::string& path, const std::function<void(Fields&)>& bind) {
  FieldReader reader(node, path);
  bind(reader);
  reader.finish();
}

ConfigNode write_fields(const std::function<void(Fields&)>& bind) {
  FieldWriter writer;
  bind(writer);
  return std::move(writer.tree);
}

std::string describe_fields(const std::string& path, const std::function<void(Fields&)>& bind) {
  FieldDescriber describer(path);
  bind(describer);
  return describer.lines;
}

}  // namespace cstp
