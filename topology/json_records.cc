#include "topology/json_records.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <iterator>
#include <nlohmann/json.hpp>
#include <span>
#include <vector>

#include "src/base/errors.h"
#include "src/base/words.h"

namespace tutti::topology {
namespace {

using base::Status;

enum class Type { kText, kNumber, kTruth, kList };

struct Key {
  std::string_view name;
  Type type = Type::kText;
  bool isNeeded = false;
  JsonSection items = JsonSection::kTop;  // of a list
};

constexpr Key kTopKeys[] = {{"nodes", Type::kList, true, JsonSection::kNode},
                            {"links", Type::kList, false, JsonSection::kLink},
                            {"resources", Type::kList, false, JsonSection::kResource},
                            {"name"},
                            {"comment"}};
constexpr Key kNodeKeys[] = {{"id", Type::kText, true},
                             {"kind", Type::kText, true},
                             {"host"},
                             {"site"},
                             {"vendor"},
                             {"model"},
                             {"address"},
                             {"comment"}};
constexpr Key kLinkKeys[] = {{"a", Type::kText, true},
                             {"b", Type::kText, true},
                             {"gb_per_s", Type::kNumber, true},
                             {"latency_us", Type::kNumber},
                             {"duplex", Type::kTruth},
                             {"kind"},
                             {"provenance"},
                             {"comment"}};
constexpr Key kResourceKeys[] = {{"id", Type::kText, true},
                                 {"gb_per_s", Type::kNumber, true},
                                 {"charges", Type::kList, true, JsonSection::kCharge},
                                 {"comment"}};
constexpr Key kChargeKeys[] = {{"a", Type::kText, true},
                               {"b", Type::kText, true},
                               {"units", Type::kNumber},
                               {"nth", Type::kNumber},
                               {"comment"}};

std::span<const Key> keysOf(JsonSection section) {
  switch (section) {
    case JsonSection::kTop: return kTopKeys;
    case JsonSection::kNode: return kNodeKeys;
    case JsonSection::kLink: return kLinkKeys;
    case JsonSection::kResource: return kResourceKeys;
    case JsonSection::kCharge: return kChargeKeys;
  }
  return {};
}

std::string_view nameOf(JsonSection section) {
  constexpr std::string_view kNames[] = {"a topology", "a node", "a link", "a resource",
                                         "a charge"};
  return kNames[static_cast<size_t>(section)];
}

std::string_view nameOf(Type type) {
  constexpr std::string_view kNames[] = {"a text", "a number", "true or false", "a list"};
  return kNames[static_cast<size_t>(type)];
}

constexpr bool isNumberChar(char c) {
  return (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '+' || c == 'e' || c == 'E';
}

constexpr bool isControl(char c) { return (c >= 0 && c < 0x20) || c == 0x7f; }

// Where the string whose closing quote is at `close` begins. A quote inside of it has an odd number
// of backslashes in front; in front of a string there are none.
size_t openingQuote(std::string_view text, size_t close) {
  for (size_t i = close; i-- > 0;) {
    if (text[i] != '"') continue;
    const size_t before = i == 0 ? std::string_view::npos : text.find_last_not_of('\\', i - 1);
    const size_t slashes = i - (before == std::string_view::npos ? 0 : before + 1);
    if (slashes % 2 == 0) return i;
  }
  return 0;
}

size_t tokenStart(std::string_view text, size_t end) {
  if (end == 0) return 0;
  size_t start = end - 1;
  if (text[start] == '"') return openingQuote(text, start);
  const auto isWord = [](char c) {
    return isNumberChar(c) || std::isalpha(static_cast<unsigned char>(c)) != 0;
  };
  while (start > 0 && isWord(text[start]) && isWord(text[start - 1])) --start;
  return start;
}

// Hands the text to the parser and knows how far it has read.
class Cursor {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  Cursor(const char* at, const char** shared) : at_(at), shared_(shared) {}
  reference operator*() const { return *at_; }
  Cursor& operator++() {
    *shared_ = ++at_;
    return *this;
  }
  Cursor operator++(int) {
    const Cursor before = *this;
    ++*this;
    return before;
  }
  bool operator==(const Cursor& other) const { return at_ == other.at_; }

 private:
  const char* at_;
  const char** shared_;
};

// The parser's events. What it has read ends with the value of the event, but for numbers, which
// end one character earlier unless the text ends with them.
class Handler : public nlohmann::json_sax<nlohmann::json> {
 public:
  Handler(const JsonSource& source, const std::function<Status(const JsonRecord&)>& take)
      : source_(source), take_(take), at_(source.text().data()) {}

  Status run();

  bool null() override;
  bool boolean(bool value) override {
    return scalar(Type::kTruth, value ? "true" : "false", read());
  }
  bool number_integer(number_integer_t) override { return number(); }
  bool number_unsigned(number_unsigned_t) override { return number(); }
  bool number_float(number_float_t, const string_t&) override { return number(); }
  bool string(string_t& value) override;
  bool binary(binary_t&) override { return false; }
  bool start_object(size_t) override;
  bool key(string_t& name) override;
  bool end_object() override;
  bool start_array(size_t) override;
  bool end_array() override;
  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception& error) override;

 private:
  struct Frame {
    bool isList = false;
    JsonSection items = JsonSection::kTop;  // of a list
    JsonRecord record;                      // of an object
    uint32_t seen = 0;                      // keys, as bits
    size_t key = 0;                         // whose value comes next
  };

  size_t read() const { return static_cast<size_t>(at_ - source_.text().data()); }
  bool fail(size_t end, std::string_view cause) {
    status_ = source_.failure(end, cause);
    return false;
  }
  bool number();
  bool scalar(Type type, std::string_view text, size_t end);
  bool expect(bool isObject, std::string_view found, size_t end);

  const JsonSource& source_;
  const std::function<Status(const JsonRecord&)>& take_;
  const char* at_;
  std::vector<Frame> frames_;
  Status status_;
};

Status Handler::run() {
  const char* begin = source_.text().data();
  const char* end = begin + source_.text().size();
  const bool isWhole = nlohmann::json::sax_parse(Cursor(begin, &at_), Cursor(end, &at_), this);
  if (!isWhole && status_.isOk()) return source_.failure(read(), "this is no JSON text");
  return status_;
}

bool Handler::null() {
  const bool hasKey = !frames_.empty() && !frames_.back().isList;
  return hasKey || expect(false, "null", read());
}

bool Handler::string(string_t& value) {
  if (std::any_of(value.begin(), value.end(), isControl)) {
    return fail(read(), "a text must not hold control characters");
  }
  return scalar(Type::kText, value, read());
}

bool Handler::number() {
  size_t end = read();
  if (end > 0 && !isNumberChar(source_.text()[end - 1])) --end;
  size_t start = end;
  while (start > 0 && isNumberChar(source_.text()[start - 1])) --start;
  return scalar(Type::kNumber, source_.text().substr(start, end - start), end);
}

// Is a value allowed here that is an object, or else one that no key asks for?
bool Handler::expect(bool isObject, std::string_view found, size_t end) {
  if (frames_.empty()) {
    return isObject || fail(end, fmt::format("a topology is an object, {{\"nodes\": [...], "
                                             "\"links\": [...]}}, and this is {}",
                                             found));
  }
  const Frame& top = frames_.back();
  if (top.isList) {
    return isObject || fail(end, fmt::format("{} is an object, {{...}}, and this is {}",
                                             nameOf(top.items), found));
  }
  const Key& key = keysOf(top.record.section)[top.key];
  return fail(end,
              fmt::format("\"{}\" must be {}, and this is {}", key.name, nameOf(key.type), found));
}

bool Handler::scalar(Type type, std::string_view text, size_t end) {
  const bool hasKey = !frames_.empty() && !frames_.back().isList;
  if (!hasKey || keysOf(frames_.back().record.section)[frames_.back().key].type != type) {
    return expect(false, nameOf(type), end);
  }
  JsonValue& value = frames_.back().record.values[frames_.back().key];
  value.isSet = true;
  value.text = text;
  value.end = end;
  return true;
}

bool Handler::start_object(size_t) {
  if (!expect(true, "an object", read())) return false;
  Frame frame;
  frame.record.section = frames_.empty() ? JsonSection::kTop : frames_.back().items;
  frame.record.start = read();
  frames_.push_back(std::move(frame));
  return true;
}

bool Handler::start_array(size_t) {
  const bool hasKey = !frames_.empty() && !frames_.back().isList;
  if (!hasKey) return expect(false, "a list", read());
  Frame& top = frames_.back();
  const Key& key = keysOf(top.record.section)[top.key];
  if (key.type != Type::kList) return expect(false, "a list", read());
  top.record.values[top.key].isSet = true;
  Frame frame;
  frame.isList = true;
  frame.items = key.items;
  frames_.push_back(std::move(frame));
  return true;
}

bool Handler::end_array() {
  frames_.pop_back();
  return true;
}

bool Handler::key(string_t& name) {
  Frame& top = frames_.back();
  const auto keys = keysOf(top.record.section);
  const auto found =
      std::find_if(keys.begin(), keys.end(), [&](const Key& each) { return each.name == name; });
  if (found == keys.end()) {
    std::vector<std::string_view> names;
    for (const Key& each : keys) names.push_back(each.name);
    const std::string_view meant = base::nearestWord(name, names);
    const std::string remedy = meant.empty()
                                   ? fmt::format("its keys are {}", fmt::join(names, ", "))
                                   : fmt::format("did you mean \"{}\"?", meant);
    return fail(read(), fmt::format("{} has no key \"{:.100}\": {}", nameOf(top.record.section),
                                    name, remedy));
  }
  top.key = static_cast<size_t>(found - keys.begin());
  const uint32_t bit = uint32_t{1} << top.key;
  if ((top.seen & bit) != 0) {
    return fail(read(), fmt::format("\"{}\" stands twice in {}: leave one out", name,
                                    nameOf(top.record.section)));
  }
  top.seen |= bit;
  return true;
}

bool Handler::end_object() {
  const JsonRecord& record = frames_.back().record;
  const auto keys = keysOf(record.section);
  for (size_t i = 0; i < keys.size(); ++i) {
    if (!keys[i].isNeeded || record.values[i].isSet) continue;
    return fail(record.start,
                fmt::format("{} needs \"{}\", {}, and here it is missing", nameOf(record.section),
                            keys[i].name, nameOf(keys[i].type)));
  }
  status_ = take_(record);
  frames_.pop_back();
  return status_.isOk();
}

// What the parser says begins with its own name for the failure and place.
bool Handler::parse_error(size_t, const std::string&, const nlohmann::detail::exception& error) {
  std::string_view cause = error.what();
  for (const std::string_view prefix : {"] ", "parse error", ": "}) {
    const size_t found = cause.find(prefix);
    if (found != std::string_view::npos && found < 80) cause.remove_prefix(found + prefix.size());
  }
  if (source_.text().find_first_not_of(" \t\r\n") == std::string_view::npos) {
    return fail(read(), "the file is empty");
  }
  constexpr int kNumberOverflow = 406;
  const size_t end = error.id == kNumberOverflow && read() > 0 ? read() - 1 : read();
  return fail(end, fmt::format("{:.200}", cause));
}

}  // namespace

std::string JsonSource::place(size_t end) const {
  const std::string_view before = text_.substr(0, tokenStart(text_, std::min(end, text_.size())));
  const auto lines = std::count(before.begin(), before.end(), '\n');
  const size_t lineStart = before.rfind('\n') + 1;  // npos + 1 is 0
  // Columns count characters: bytes that go on with one do not count.
  const auto column = std::count_if(before.begin() + static_cast<std::ptrdiff_t>(lineStart),
                                    before.end(), [](char c) { return (c & 0xC0) != 0x80; });
  return fmt::format("{}:{}:{}", fileName_, lines + 1, column + 1);
}

Status JsonSource::failure(size_t end, std::string_view cause) const {
  std::string text = fmt::format("{}: {}", place(end), cause);
  std::replace_if(text.begin(), text.end(), isControl, '?');  // a file does not steer a terminal
  return {base::Code::kInvalidArgument, base::kErrTopologyFile, std::move(text)};
}

const JsonValue& JsonRecord::operator[](std::string_view key) const {
  const auto keys = keysOf(section);
  const auto found =
      std::find_if(keys.begin(), keys.end(), [key](const Key& each) { return each.name == key; });
  return values[static_cast<size_t>(found - keys.begin())];
}

Status readJsonRecords(const JsonSource& source,
                       const std::function<Status(const JsonRecord&)>& take) {
  return Handler(source, take).run();
}

}  // namespace tutti::topology
