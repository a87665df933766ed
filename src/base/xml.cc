#include "src/base/xml.h"

#include <expat.h>
#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <memory>
#include <optional>

#include "src/base/errors.h"

namespace tutti::base {
namespace {

constexpr bool isXmlControl(char c) { return (c >= 0 && c < 0x20) || c == 0x7f; }

// Collects the tree while expat calls back. No exception may pass through expat, which is C: the
// first failure is kept, and the parser is stopped.
class TreeBuilder {
 public:
  explicit TreeBuilder(XML_Parser parser) : parser_(parser) {
    XML_SetUserData(parser, this);
    XML_SetElementHandler(parser, &TreeBuilder::onStart, &TreeBuilder::onEnd);
    XML_SetStartDoctypeDeclHandler(parser, &TreeBuilder::onDoctype);
    XML_SetEntityDeclHandler(parser, &TreeBuilder::onEntity);
  }

  const std::string& failure() const { return failure_; }
  XmlElement takeRoot() { return std::move(*root_); }

 private:
  static void XMLCALL onStart(void* self, const XML_Char* name, const XML_Char** attributes) {
    static_cast<TreeBuilder*>(self)->guarded([&](TreeBuilder& b) { b.start(name, attributes); });
  }

  static void XMLCALL onEnd(void* self, const XML_Char*) {
    auto& open = static_cast<TreeBuilder*>(self)->open_;
    if (!open.empty()) open.pop_back();
  }

  static void XMLCALL onDoctype(void* self, const XML_Char*, const XML_Char*, const XML_Char*,
                                int hasSubset) {
    if (hasSubset == 0) return;
    static_cast<TreeBuilder*>(self)->guarded([](TreeBuilder& b) {
      b.stop("the document type declares entities or attributes: remove the part between [ and ]");
    });
  }

  static void XMLCALL onEntity(void* self, const XML_Char*, int, const XML_Char*, int,
                               const XML_Char*, const XML_Char*, const XML_Char*, const XML_Char*) {
    static_cast<TreeBuilder*>(self)->guarded(
        [](TreeBuilder& b) { b.stop("entities may not be declared: write their text instead"); });
  }

  template <typename Action>
  void guarded(Action action) {
    try {
      action(*this);
    } catch (const std::exception&) {
      failure_ = "memory ran out";
      XML_StopParser(parser_, XML_FALSE);
    }
  }

  void stop(std::string text) {
    if (failure_.empty()) failure_ = std::move(text);
    XML_StopParser(parser_, XML_FALSE);
  }

  void start(const XML_Char* name, const XML_Char** attributes) {
    if (!failure_.empty()) return;
    if (open_.size() == kMostXmlDepth) {
      return stop(fmt::format("more than {} elements inside each other", kMostXmlDepth));
    }
    if (++count_ > kMostXmlElements) {
      return stop(fmt::format("more than {} elements", kMostXmlElements));
    }
    XmlElement element;
    element.name = name;
    element.line = static_cast<int>(XML_GetCurrentLineNumber(parser_));
    for (; *attributes != nullptr; attributes += 2) {
      auto& value =
          element.attributes.emplace_back(XmlAttribute{attributes[0], attributes[1]}).value;
      std::replace_if(value.begin(), value.end(), isXmlControl, '?');
    }
    // An element moves only while its parent grows, and then it is closed: pointers to open ones
    // stay good.
    if (open_.empty()) {
      open_.push_back(&root_.emplace(std::move(element)));
    } else {
      open_.push_back(&open_.back()->children.emplace_back(std::move(element)));
    }
  }

  XML_Parser parser_;
  std::optional<XmlElement> root_;
  std::vector<XmlElement*> open_;
  size_t count_ = 0;
  std::string failure_;
};

}  // namespace

const std::string* XmlElement::find(std::string_view attribute) const {
  const auto found = std::find_if(attributes.begin(), attributes.end(),
                                  [&](const XmlAttribute& a) { return a.name == attribute; });
  return found == attributes.end() ? nullptr : &found->value;
}

std::string_view XmlElement::get(std::string_view attribute) const {
  const std::string* value = find(attribute);
  return value == nullptr ? std::string_view() : *value;
}

Result<XmlElement> parseXml(std::string_view text, std::string_view file, int errorId) {
  if (text.size() > kMostXmlBytes) {
    return errorAt(file, 0, fmt::format("larger than {} MiB", kMostXmlBytes >> 20), errorId);
  }
  const std::unique_ptr<XML_ParserStruct, decltype(&XML_ParserFree)> parser(
      XML_ParserCreate(nullptr), &XML_ParserFree);
  if (parser == nullptr) {
    return Status(Code::kSystemError, kErrOutOfMemory, "no memory to read XML");
  }
  TreeBuilder builder(parser.get());
  const XML_Status status =
      XML_Parse(parser.get(), text.data(), static_cast<int>(text.size()), XML_TRUE);
  const int line = static_cast<int>(XML_GetCurrentLineNumber(parser.get()));
  if (!builder.failure().empty()) return errorAt(file, line, builder.failure(), errorId);
  if (status != XML_STATUS_OK) {
    const XML_Error code = XML_GetErrorCode(parser.get());
    return errorAt(file, line, fmt::format("not well-formed XML: {}", XML_ErrorString(code)),
                   errorId);
  }
  return builder.takeRoot();
}

std::string xmlEscaped(std::string_view text) {
  std::string escaped;
  escaped.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&': escaped += "&amp;"; break;
      case '<': escaped += "&lt;"; break;
      case '>': escaped += "&gt;"; break;
      case '"': escaped += "&quot;"; break;
      default: escaped += isXmlControl(c) ? '?' : c;
    }
  }
  return escaped;
}

Status errorAt(std::string_view file, int line, std::string_view text, int errorId) {
  return {
      Code::kInvalidArgument, errorId,
      line == 0 ? fmt::format("{}: {}", file, text) : fmt::format("{}:{}: {}", file, line, text)};
}

}  // namespace tutti::base
