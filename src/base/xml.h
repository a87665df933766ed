// A small XML reader over expat, for files that describe machines or algorithms: a tree of elements
// with their attributes and lines. Text between elements, comments and processing instructions are
// not kept.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/status.h"

namespace tutti::base {

// A file beyond these is refused: the largest real ones have some thousand elements, 20 deep.
inline constexpr size_t kMostXmlBytes = size_t{16} << 20;
inline constexpr size_t kMostXmlDepth = 64;
inline constexpr size_t kMostXmlElements = size_t{1} << 17;

struct XmlAttribute {
  std::string name;
  std::string value;  // UTF-8, '?' for control characters
};

struct XmlElement {
  std::string name;
  int line = 0;
  std::vector<XmlAttribute> attributes;
  std::vector<XmlElement> children;

  // The value of an attribute, or null where there is none.
  const std::string* find(std::string_view attribute) const;
  // The same, but empty where there is none.
  std::string_view get(std::string_view attribute) const;
};

// The root of a document. A document type may be named, but it must declare nothing: no entities
// (so there is nothing to expand) and no defaults; nothing outside of `text` is ever read. `file`
// is what errors name, `errorId` their number (errors.h). Any thread.
Result<XmlElement> parseXml(std::string_view text, std::string_view file, int errorId);

// `text` as the value of an attribute, without the quotes; control characters become '?'.
std::string xmlEscaped(std::string_view text);

// "file:line: text" as an invalid argument; without a line where that is 0.
Status errorAt(std::string_view file, int line, std::string_view text, int errorId);

}  // namespace tutti::base
