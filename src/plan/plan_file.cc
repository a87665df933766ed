#include "src/plan/plan_file.h"

#include <fmt/format.h>

#include <charconv>
#include <iterator>
#include <limits>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "src/base/errors.h"
#include "src/base/hash.h"

namespace tutti::plan {
namespace {

constexpr std::string_view kFormat = "tutti-plan 1 ";

base::Status unreadable(std::string text) {
  return {base::Code::kInvalidArgument, base::kErrInvalidArgument, std::move(text)};
}

uint32_t checksum(std::string_view text) {
  return base::crc32c(std::as_bytes(std::span(text.data(), text.size())));
}

class Writer {
 public:
  explicit Writer(std::string_view key) : text_(key) { text_ += '\n'; }

  void word(std::string_view text) { text_ += text; }
  void number(int64_t value) { fmt::format_to(std::back_inserter(text_), " {}", value); }
  void list(const std::vector<int32_t>& values) {
    number(static_cast<int64_t>(values.size()));
    for (const int32_t value : values) number(value);
  }
  void endLine() { text_ += '\n'; }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

// The first defect stands; everything after it reads as nothing.
class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  void expect(std::string_view text) {
    if (rest_.starts_with(text)) {
      rest_.remove_prefix(text.size());
    } else {
      isBad_ = true;
    }
  }
  int32_t number(int32_t least, int32_t most) {
    if (!rest_.starts_with(' ')) isBad_ = true;
    int32_t value = 0;
    const char* end = rest_.data() + rest_.size();
    const auto read = std::from_chars(rest_.data() + (isBad_ ? 0 : 1), end, value);
    isBad_ |= read.ec != std::errc() || value < least || value > most;
    if (isBad_) return 0;
    rest_.remove_prefix(static_cast<size_t>(read.ptr - rest_.data()));
    return value;
  }
  // Of things that take two characters each at least: no more than there is text for.
  int32_t length() {
    const size_t most = std::min<size_t>(rest_.size() / 2, std::numeric_limits<int32_t>::max());
    return number(0, static_cast<int32_t>(most));
  }
  std::vector<int32_t> list() {
    std::vector<int32_t> values(static_cast<size_t>(length()));
    for (int32_t& value : values) {
      value = number(std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max());
    }
    return values;
  }
  bool isBad() const { return isBad_; }
  bool isAtEnd() const { return rest_.empty(); }

 private:
  std::string_view rest_;
  bool isBad_ = false;
};

void writeTree(const RoutedTree& routed, Writer& writer) {
  writer.number(routed.tree.root);
  writer.number(routed.tree.weight);
  writer.endLine();
  for (size_t rank = 0; rank < routed.tree.parents.size(); ++rank) {
    writer.number(routed.tree.parents[rank]);
    writer.list(routed.down[rank]);
    writer.list(routed.up[rank]);
    writer.endLine();
  }
}

RoutedTree readTree(int32_t ranks, Reader& reader) {
  constexpr int32_t kMost = std::numeric_limits<int32_t>::max();
  RoutedTree routed;
  routed.tree.root = reader.number(0, kMost);
  routed.tree.weight = reader.number(1, kMost);
  reader.expect("\n");
  for (int32_t rank = 0; rank < ranks && !reader.isBad(); ++rank) {
    routed.tree.parents.push_back(reader.number(-1, kMost));
    routed.down.push_back(reader.list());
    routed.up.push_back(reader.list());
    reader.expect("\n");
  }
  return routed;
}

// The text behind the first line, if that describes it.
base::Result<std::string_view> bodyOf(std::string_view text) {
  if (!text.starts_with(kFormat)) return unreadable("it is no plan of this format");
  const size_t end = text.find('\n');
  if (end == std::string_view::npos) return unreadable("its first line has no end");
  const std::string_view body = text.substr(end + 1);
  const std::string first = fmt::format("{}{:08x} {}", kFormat, checksum(body), body.size());
  if (text.substr(0, end) != first) return unreadable("it is damaged or cut: the checksum differs");
  return body;
}

}  // namespace

std::string toPlanFile(std::string_view key, const Searched& searched) {
  Writer writer(key);
  writer.word("order");
  writer.list(searched.order);
  writer.endLine();
  const Packing& packing = searched.packing;
  const size_t ranks = packing.trees.empty() ? 0 : packing.trees[0].tree.parents.size();
  writer.word("trees");
  writer.number(packing.isFlooding ? 1 : 0);
  writer.number(static_cast<int64_t>(packing.trees.size()));
  writer.number(static_cast<int64_t>(ranks));
  writer.endLine();
  for (const RoutedTree& routed : packing.trees) writeTree(routed, writer);
  const std::string& body = writer.text();
  return fmt::format("{}{:08x} {}\n{}", kFormat, checksum(body), body.size(), body);
}

base::Result<Searched> parsePlanFile(std::string_view text, std::string_view key,
                                     ir::Collective collective) {
  TUTTI_ASSIGN_OR_RETURN(const std::string_view body, bodyOf(text));
  const std::string_view found = body.substr(0, body.find('\n'));
  if (found != key) return unreadable(fmt::format("it is for \"{}\", not \"{}\"", found, key));
  Reader reader(body.substr(std::min(body.size(), key.size())));
  Searched searched;
  reader.expect("\norder");
  searched.order = reader.list();
  reader.expect("\ntrees");
  searched.packing.collective = collective;
  searched.packing.isFlooding = reader.number(0, 1) == 1;
  const int32_t trees = reader.length();
  const int32_t ranks = reader.length();
  reader.expect("\n");
  for (int32_t tree = 0; tree < trees && !reader.isBad(); ++tree) {
    searched.packing.trees.push_back(readTree(ranks, reader));
  }
  if (reader.isBad() || !reader.isAtEnd())
    return unreadable("it has the right checksum, but no plan");
  return searched;
}

}  // namespace tutti::plan
