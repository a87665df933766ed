#include "topology/xml.h"

#include <gtest/gtest.h>

#include "src/base/errors.h"

namespace tutti::topology {
namespace {

std::string failureOf(const std::string& text) {
  const auto root = parseXml(text, "a.xml");
  EXPECT_FALSE(root.isOk());
  EXPECT_EQ(root.status().errorId(), base::kErrTopologyFile);
  return std::string(root.status().text());
}

TEST(Xml, TreeWithLines) {
  const auto root = parseXml(
      "<?xml version=\"1.0\"?>\n<!-- c -->\n<a x='1' y=\"&lt;&amp;&#65;\">\n text <b/>\n<b z=''/>"
      "</a>\n",
      "a.xml");
  ASSERT_TRUE(root.isOk()) << root.status().toString();
  EXPECT_EQ(root->name, "a");
  EXPECT_EQ(root->line, 3);
  EXPECT_EQ(root->get("x"), "1");
  EXPECT_EQ(root->get("y"), "<&A");
  EXPECT_EQ(root->find("z"), nullptr);
  ASSERT_EQ(root->children.size(), 2u);
  EXPECT_EQ(root->children[0].line, 4);
  EXPECT_EQ(root->children[1].line, 5);
  ASSERT_NE(root->children[1].find("z"), nullptr);
}

TEST(Xml, DoctypeThatDeclaresNothing) {
  EXPECT_TRUE(parseXml("<!DOCTYPE t SYSTEM \"hwloc2.dtd\">\n<t/>", "a.xml").isOk());
}

TEST(Xml, NothingIsExpanded) {
  const std::string laughs =
      "<?xml version=\"1.0\"?>\n<!DOCTYPE l [\n<!ENTITY a \"ha\">\n<!ENTITY b \"&a;&a;&a;&a;\">\n"
      "]>\n<l x=\"&b;\"/>";
  EXPECT_EQ(failureOf(laughs).substr(0, 8), "a.xml:2:");
  EXPECT_NE(failureOf(laughs).find("declares entities"), std::string::npos);
  failureOf("<!DOCTYPE l [<!ENTITY % p SYSTEM \"file:///etc/passwd\"> %p;]><l/>");
  failureOf("<!DOCTYPE l [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><l>&x;</l>");
  failureOf("<!DOCTYPE l [<!ATTLIST l d CDATA \"much\">]><l/>");
}

TEST(Xml, MistakesHaveTheirLine) {
  EXPECT_EQ(failureOf("<a>\n<b>\n</a>"), "a.xml:3: not well-formed XML: mismatched tag");
  EXPECT_EQ(failureOf("<a>\n<b>\n"), "a.xml:3: not well-formed XML: no element found");
  EXPECT_EQ(failureOf("<a x='1' x='2'/>"), "a.xml:1: not well-formed XML: duplicate attribute");
  failureOf("");
  failureOf("<a/><a/>");
  failureOf(std::string("<a x='\0'/>", 10));
}

TEST(Xml, Bounded) {
  std::string deep, closing;
  for (size_t i = 0; i < kMostXmlDepth; ++i) {
    deep += "<a>";
    closing += "</a>";
  }
  EXPECT_TRUE(parseXml(deep + closing, "a.xml").isOk());
  EXPECT_NE(failureOf(deep + "<a>" + closing).find("64 elements inside"), std::string::npos);
  std::string wide = "<a>";
  for (size_t i = 0; i < kMostXmlElements; ++i) wide += "<b/>";
  EXPECT_NE(failureOf(wide + "</a>").find("131072 elements"), std::string::npos);
  EXPECT_NE(failureOf(std::string(kMostXmlBytes + 1, ' ')).find("16 MiB"), std::string::npos);
}

TEST(Xml, NoControlCharacters) {
  const auto root = parseXml("<a x='a&#10;b\x7f' y='\t'/>", "a.xml");
  ASSERT_TRUE(root.isOk()) << root.status().toString();
  EXPECT_EQ(root->get("x"), "a?b?");
  EXPECT_EQ(root->get("y"), " ");
}

TEST(Xml, EscapedComesBack) {
  const std::string text = "a<b>&\"c\xC3\xA9";
  const auto root = parseXml("<a x=\"" + xmlEscaped(text) + "\"/>", "a.xml");
  ASSERT_TRUE(root.isOk());
  EXPECT_EQ(root->get("x"), text);
  EXPECT_EQ(xmlEscaped("a\nb"), "a?b");
}

}  // namespace
}  // namespace tutti::topology
