// XML of files that describe machines: src/base/xml.h, with the error of a topology file.
#pragma once

#include <string_view>

#include "src/base/errors.h"
#include "src/base/xml.h"

namespace tutti::topology {

using base::kMostXmlBytes;
using base::kMostXmlDepth;
using base::kMostXmlElements;
using base::XmlAttribute;
using base::XmlElement;
using base::xmlEscaped;

// As base::parseXml.
inline base::Result<XmlElement> parseXml(std::string_view text, std::string_view file) {
  return base::parseXml(text, file, base::kErrTopologyFile);
}

// As base::errorAt.
inline base::Status errorAt(std::string_view file, int line, std::string_view text) {
  return base::errorAt(file, line, text, base::kErrTopologyFile);
}

}  // namespace tutti::topology
