// Short ways to load a description of a machine and to look at what came of it.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "topology/load.h"
#include "topology/machine.h"
#include "topology/nccl_xml.h"

namespace tutti::topology {

// Must be good; texts name it "box.xml".
inline Loaded loadText(const std::string& text) {
  auto loaded = parseTopology(text, "box.xml");
  EXPECT_TRUE(loaded.isOk()) << loaded.status().toString();
  return loaded ? loaded.take() : Loaded();
}

// What is said of a text that must be refused.
inline std::string refusal(const std::string& text) {
  const auto loaded = parseTopology(text, "box.xml");
  EXPECT_FALSE(loaded.isOk()) << "should be refused:\n" << text.substr(0, 400);
  return loaded.status().toString();
}

// The sum over all links from one to the other, in kB/s.
inline int64_t capacity(const Topology& topology, std::string_view from, std::string_view to) {
  int64_t sum = 0;
  for (const Link& link : topology.links) {
    const bool goes = link.from == topology.find(from) && link.to == topology.find(to);
    if (goes) sum += link.capacity;
  }
  return sum;
}

// The only link from one to the other.
inline Link onlyLink(const Topology& topology, std::string_view from, std::string_view to) {
  std::vector<Link> found;
  for (const Link& link : topology.links) {
    const bool goes = link.from == topology.find(from) && link.to == topology.find(to);
    if (goes) found.push_back(link);
  }
  EXPECT_EQ(found.size(), 1u) << from << " -> " << to << "\n" << toString(topology);
  return found.empty() ? Link() : found[0];
}

inline int countKind(const Topology& topology, NodeKind kind) {
  return static_cast<int>(std::count_if(topology.nodes.begin(), topology.nodes.end(),
                                        [&](const Node& node) { return node.kind == kind; }));
}

inline int countKind(const Topology& topology, LinkKind kind) {
  return static_cast<int>(std::count_if(topology.links.begin(), topology.links.end(),
                                        [&](const Link& link) { return link.kind == kind; }));
}

// Whether some note has all of these words.
inline bool hasNote(const Loaded& loaded, const std::vector<std::string>& words) {
  return std::any_of(loaded.notes.begin(), loaded.notes.end(), [&](const std::string& note) {
    return std::all_of(words.begin(), words.end(), [&](const std::string& word) {
      return note.find(word) != std::string::npos;
    });
  });
}

inline std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

// Written as NCCL's XML and read again it is the same.
inline void expectRoundTrip(const Topology& topology) {
  const auto xml = toNcclXml(topology);
  ASSERT_TRUE(xml.isOk()) << xml.status().toString();
  EXPECT_TRUE(xml->notes.empty()) << joined(xml->notes) << xml->text;
  const auto again = parseTopology(xml->text, "again.xml");
  ASSERT_TRUE(again.isOk()) << again.status().toString();
  EXPECT_EQ(again->topology.digest(), topology.digest())
      << toString(topology) << toString(again->topology);
}

// A function with a device in it, as NCCL writes it.
inline std::string gpu(const std::string& address, int number, const std::string& links = "",
                       const std::string& sm = "80") {
  const std::string text = std::to_string(number);
  return "<pci busid=\"" + address +
         "\" class=\"0x030200\" link_speed=\"16.0 GT/s PCIe\" link_width=\"16\">"
         "<gpu dev=\"" +
         text + "\" sm=\"" + sm + "\" rank=\"" + text + "\" gdr=\"1\">" + links + "</gpu></pci>\n";
}

inline std::string nic(
    const std::string& address, const std::string& name, int64_t speed,
    const std::string& link = "link_speed=\"16.0 GT/s PCIe\" link_width=\"16\"") {
  return "<pci busid=\"" + address + "\" class=\"0x020700\" " + link + "><nic><net name=\"" + name +
         "\" dev=\"0\" speed=\"" + std::to_string(speed) + "\"/></nic></pci>\n";
}

inline std::string cpu(int numa, const std::string& inside, const std::string& hash = "") {
  return "<cpu numaid=\"" + std::to_string(numa) + "\"" +
         (hash.empty() ? "" : " host_hash=\"" + hash + "\"") +
         " arch=\"x86_64\" vendor=\"AuthenticAMD\" familyid=\"175\" modelid=\"1\">\n" + inside +
         "</cpu>\n";
}

inline std::string machine(const std::string& inside) {
  return "<system version=\"1\">\n" + inside + "</system>\n";
}

}  // namespace tutti::topology
