#include "cstp/core/config.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>

#include "cstp/core/error.h"
#include "cstp/core/text.h"

namespace cstp {

/// Turns yaml-cpp's shared nodes into plain values with positions.
struct YamlImport {
  std::string origin;

  ConfigNode convert(const YAML::Node& yaml) const {
    ConfigNode node;
    node.where_ = where(yaml);
    if (yaml.IsScalar()) {
      node.kind_ = ConfigNode::Kind::scalar;
      node.text_ = yaml.Scalar();
      node.quoted_ = yaml.Tag() == "!";
    } else if (yaml.IsSequence()) {
      node.kind_ = ConfigNode::Kind::list;
      for (const YAML::Node& item : yaml) node.items_.push_back(convert(item));
    } else if (yaml.IsMap()) {
      node.kind_ = ConfigNode::Kind::map;
      for (const auto& entry : yaml) {
        const std::string key = entry.first.Scalar();
        if (node.find(key) != nullptr) throw ConfigError(cat(where(entry.first), ": the key '", key, "' stands twice"));
        ConfigNode value = convert(entry.second);
        value.where_ = where(entry.first);  // errors point at the key, where the eye looks first
        node.entries_.emplace_back(key, std::move(value));
      }
    }
    return node;
  }

  std::string where(const YAML::Node& yaml) const {
    const YAML::Mark mark = yaml.Mark();
    return mark.is_null() ? origin : cat(origin, ":", mark.line + 1, ":", mark.column + 1);
  }
  static void place(ConfigNode& node, const std::string& where) {
    node.where_ = where;
    for (ConfigNode& item : node.items_) place(item, where);
    for (auto& [key, value] : node.entries_) place(value, where);
  }
};

ConfigNode ConfigNode::parse(std::string_view yaml, std::string_view origin) {
  try {
    return YamlImport{std::string(origin)}.convert(YAML::Load(std::string(yaml)));
  } catch (const YAML::Exception& error) {
    throw ConfigError(
        cat(origin, ":", error.mark.line + 1, ":", error.mark.column + 1, ": this is no YAML: ", error.msg));
  }
}

ConfigNode ConfigNode::load(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw ConfigError(cat(path, ": the configuration cannot be read; check the path"));
  std::ostringstream text;
  text << file.rdbuf();
  return parse(text.str(), path);
}

ConfigNode ConfigNode::scalar(std::string text, bool quoted) {
  ConfigNode node = of_kind(Kind::scalar);
  node.text_ = std::move(text);
  node.quoted_ = quoted;
  return node;
}

const ConfigNode* ConfigNode::find(std::string_view key) const {
  for (const Entry& entry : entries_) {
    if (entry.first == key) return &entry.second;
  }
  return nullptr;
}

ConfigNode& ConfigNode::operator[](std::string_view key) {
  if (kind_ == Kind::null) kind_ = Kind::map;
  check(kind_ == Kind::map, "ConfigNode: a key of something that is no map");
  for (Entry& entry : entries_) {
    if (entry.first == key) return entry.second;
  }
  entries_.emplace_back(std::string(key), ConfigNode());
  return entries_.back().second;
}

void ConfigNode::push_back(ConfigNode item) {
  if (kind_ == Kind::null) kind_ = Kind::list;
  check(kind_ == Kind::list, "ConfigNode: an item for something that is no list");
  items_.push_back(std::move(item));
}

void ConfigNode::erase(std::string_view key) {
  std::erase_if(entries_, [key](const Entry& entry) { return entry.first == key; });
}

void ConfigNode::set(const std::string& assignment) {
  const std::string flag = cat("--set ", assignment);
  const auto equals = assignment.find('=');
  if (equals == std::string::npos || equals == 0) {
    throw UsageError(cat(flag, ": wanted KEY=VALUE, for example --set train.batch=8"));
  }
  ConfigNode* node = this;
  std::string walked;
  for (const std::string& key : split(assignment.substr(0, equals), '.')) {
    if (key.empty()) throw UsageError(cat(flag, ": the key has an empty part"));
    if (node->kind_ == Kind::list) {
      size_t index = 0;
      const auto read = std::from_chars(key.data(), key.data() + key.size(), index);
      if (read.ptr != key.data() + key.size() || index >= node->items_.size()) {
        throw UsageError(
            cat(flag, ": ", walked, " is a list of ", node->items_.size(), " items; wanted an index from 0"));
      }
      node = &node->items_[index];
    } else if (node->kind_ == Kind::map || node->kind_ == Kind::null) {
      node = &(*node)[key];
      if (node->where_.empty()) node->where_ = flag;
    } else {
      throw UsageError(cat(flag, ": ", walked, " is a single value, it has no key '", key, "'"));
    }
    walked += walked.empty() ? key : cat(".", key);
  }
  *node = parse(assignment.substr(equals + 1), flag);
  YamlImport::place(*node, flag);
}

namespace {

std::string scalar_yaml(const ConfigNode& node) {
  if (!node.quoted() && !(node.kind() == ConfigNode::Kind::scalar && node.text().empty())) return node.text();
  std::string out = "\"";
  for (const char c : node.text()) {
    if (c == '"' || c == '\\') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else {
      out += c;
    }
  }
  return out + "\"";
}

void emit(const ConfigNode& node, int depth, std::ostream& out) {
  const std::string indent(static_cast<size_t>(depth) * 2, ' ');
  switch (node.kind()) {
    case ConfigNode::Kind::null: out << " null\n"; return;
    case ConfigNode::Kind::scalar: out << ' ' << scalar_yaml(node) << '\n'; return;
    case ConfigNode::Kind::list: {
      const auto& items = node.items();
      if (std::all_of(items.begin(), items.end(),
                      [](const ConfigNode& i) { return i.kind() == ConfigNode::Kind::scalar; })) {
        std::vector<std::string> texts;
        for (const ConfigNode& item : items) texts.push_back(scalar_yaml(item));
        out << " [" << join(texts, ", ") << "]\n";
        return;
      }
      out << '\n';
      for (const ConfigNode& item : items) {
        out << indent << "-";
        if (item.kind() == ConfigNode::Kind::map) {
          out << '\n';
          for (const auto& [key, value] : item.entries()) {
            out << indent << "  " << key << ':';
            emit(value, depth + 2, out);
          }
        } else {
          emit(item, depth + 1, out);
        }
      }
      return;
    }
    case ConfigNode::Kind::map:
      if (node.entries().empty()) {
        out << " {}\n";
        return;
      }
      if (depth > 0) out << '\n';
      for (const auto& [key, value] : node.entries()) {
        out << indent << key << ':';
        emit(value, depth + 1, out);
      }
      return;
  }
}

}  // namespace

std::string ConfigNode::yaml() const {
  std::ostringstream out;
  emit(*this, 0, out);
  return out.str();
}

}  // namespace cstp
