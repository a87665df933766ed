// The objects of a topology file in JSON, checked against what may stand in them. Private to
// json.cc.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "src/base/status.h"

namespace tutti::topology {

// A file's text, and where in it something is. A place is the offset after its last byte.
class JsonSource {
 public:
  JsonSource(std::string_view text, std::string_view fileName) : text_(text), fileName_(fileName) {}

  std::string_view text() const { return text_; }
  // "file:line:column" of the first character of the string, number, word or bracket that ends at
  // `end`. Linear in the text.
  std::string place(size_t end) const;
  base::Status failure(size_t end, std::string_view cause) const;

 private:
  std::string_view text_;
  std::string_view fileName_;
};

enum class JsonSection { kTop, kNode, kLink, kResource, kCharge };

struct JsonValue {
  bool isSet = false;
  std::string text;  // a string's content; else as in the file
  size_t end = 0;
};

// One object. Its keys are known, stand once, have values of the right type, and those that must
// stand do. Lists are not part of it: their objects come as records of their own.
struct JsonRecord {
  JsonSection section = JsonSection::kTop;
  size_t start = 0;  // place of its opening brace
  std::array<JsonValue, 9> values;

  // `key` must be one of the section's.
  const JsonValue& operator[](std::string_view key) const;
};

// Calls `take` with each object when it ends: those inside of another come first. Stops at the
// first failure, of the file or of `take`, and returns it.
base::Status readJsonRecords(const JsonSource& source,
                             const std::function<base::Status(const JsonRecord&)>& take);

}  // namespace tutti::topology
