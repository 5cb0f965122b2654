/// Strict configuration: a YAML tree that remembers where every value stands, and Fields, through which an options
/// struct names its keys once and is then read, written and described by the same function.
///
/// @code
/// struct ProbeOptions {
///   double lr = 0.1;
///   int64_t epochs = 100;
///   void bind(Fields& f) {
///     f.number("lr", lr, {.min = 0}, "peak learning rate");
///     f.integer("epochs", epochs, {.min = 1}, "passes over the training set");
///   }
/// };
/// auto options = ConfigNode::parse("{lr: 0.01}", "here").read<ProbeOptions>();
/// @endcode
/// An unknown key, a wrong type or a value out of range is a ConfigError that starts with file:line:column (or the
/// --set flag) and names the nearest known key. This is the only door to yaml-cpp.
#pragma once
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cstp {

/// One node of a YAML document: nothing, a scalar, a list or a map whose keys keep their order. A plain value.
class ConfigNode {
 public:
  enum class Kind { null, scalar, list, map };
  using Entry = std::pair<std::string, ConfigNode>;

  ConfigNode() = default;
  /// @throws ConfigError naming the file if it cannot be read, with line and column if it is no YAML.
  static ConfigNode load(const std::string& path);
  static ConfigNode parse(std::string_view yaml, std::string_view origin);
  static ConfigNode map() { return of_kind(Kind::map); }
  static ConfigNode list() { return of_kind(Kind::list); }
  static ConfigNode scalar(std::string text, bool quoted = false);

  Kind kind() const { return kind_; }
  bool is_null() const { return kind_ == Kind::null; }
  const std::string& text() const { return text_; }  ///< of a scalar
  bool quoted() const { return quoted_; }            ///< a quoted scalar is always text
  const std::vector<ConfigNode>& items() const { return items_; }
  const std::vector<Entry>& entries() const { return entries_; }
  const ConfigNode* find(std::string_view key) const;  ///< nullptr if this is no map or has no such key
  /// Where it stands: "file:line:column" or "--set a.b=c".
  const std::string& where() const { return where_; }

  ConfigNode& operator[](std::string_view key);  ///< of a map; inserts null
  void push_back(ConfigNode item);
  void erase(std::string_view key);  ///< of a map

  /// Applies "a.b=value"; the value is YAML; `views.0.flip=1` reaches into lists. Missing maps are created.
  /// @throws UsageError if the flag has no '=' or goes through something that is no map.
  void set(const std::string& assignment);

  /// The tree as block-style YAML that parses back to itself.
  std::string yaml() const;

  /// Reads a struct with a bind(Fields&) member, strictly. `path` is the name shown in errors ("objective").
  template <class Options>
  Options read(const std::string& path = "") const;

 private:
  static ConfigNode of_kind(Kind kind) {
    ConfigNode node;
    node.kind_ = kind;
    return node;
  }
  friend struct YamlImport;
  Kind kind_ = Kind::null;
  bool quoted_ = false;
  std::string text_;
  std::vector<ConfigNode> items_;
  std::vector<Entry> entries_;
  std::string where_;
};

struct NumberRange {
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
};
struct IntegerRange {
  int64_t min = std::numeric_limits<int64_t>::min();
  int64_t max = std::numeric_limits<int64_t>::max();
};

/// The keys of one options struct, visited by its bind(). Three kinds exist: one reads YAML into the struct, one writes
/// the struct as YAML, one describes it.
class Fields {
 public:
  virtual ~Fields() = default;
  virtual void number(const std::string& key, double& value, NumberRange range, const std::string& help) = 0;
  virtual void integer(const std::string& key, int64_t& value, IntegerRange range, const std::string& help) = 0;
  virtual void flag(const std::string& key, bool& value, const std::string& help) = 0;
  virtual void text(const std::string& key, std::string& value, const std::string& help) = 0;
  virtual void choice(const std::string& key, std::string& value, const std::vector<std::string>& choices,
                      const std::string& help) = 0;
  virtual void numbers(const std::string& key, std::vector<double>& values, NumberRange range,
                       const std::string& help) = 0;
  virtual void integers(const std::string& key, std::vector<int64_t>& values, IntegerRange range,
                        const std::string& help) = 0;
  /// Raw subtree, for sections whose keys depend on a name in them (model, objective).
  virtual void node(const std::string& key, ConfigNode& value, const std::string& help) = 0;
  /// All keys that were not named before, as a map, unread: where the rest of a section depends on a name in it.
  virtual void rest(ConfigNode& value, const std::string& help) = 0;

  /// A nested struct.
  template <class Options>
  void section(const std::string& key, Options& options, const std::string& help) {
    enter(key, help, [&options](Fields& inner) { options.bind(inner); });
  }
  /// A list of structs; reading replaces the default list.
  template <class Options>
  void list(const std::string& key, std::vector<Options>& items, const std::string& help) {
    enter_list(
        key, help, items.size(), [&items](size_t count) { items.assign(count, Options{}); },
        [&items](size_t i, Fields& inner) { items[i].bind(inner); });
  }

 protected:
  virtual void enter(const std::string& key, const std::string& help, const std::function<void(Fields&)>& body) = 0;
  virtual void enter_list(const std::string& key, const std::string& help, size_t count,
                          const std::function<void(size_t)>& resize,
                          const std::function<void(size_t, Fields&)>& item) = 0;
};

/// Runs `bind` over a tree; keys that nobody named are errors.
void read_fields(const ConfigNode& node, const std::string& path, const std::function<void(Fields&)>& bind);
/// The struct as a tree, every key with its value.
ConfigNode write_fields(const std::function<void(Fields&)>& bind);
/// One line per key: path, type, range or choices, default, help.
std::string describe_fields(const std::string& path, const std::function<void(Fields&)>& bind);

template <class Options>
Options ConfigNode::read(const std::string& path) const {
  Options options;
  read_fields(*this, path, [&options](Fields& f) { options.bind(f); });
  return options;
}
template <class Options>
ConfigNode to_config(Options options) {
  return write_fields([&options](Fields& f) { options.bind(f); });
}

}  // namespace cstp
