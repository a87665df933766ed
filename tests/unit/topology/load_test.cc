#include "topology/load.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fmt/format.h>

#include <chrono>

#include "src/base/errors.h"
#include "tests/support/sanitized.h"
#include "tests/unit/topology/fake_root.h"
#include "tests/unit/topology/machines.h"

namespace tutti::topology {
namespace {

TEST(Load, TellsFormsApart) {
  const FakeRoot root;
  root.write("/a.json",
             "\xEF\xBB\xBF\n {\"nodes\": [{\"id\": \"a\", \"kind\": \"rank\"}], \"links\": []}");
  root.write("/b.dat", machine(cpu(0, gpu("0000:01:00.0", 0))));
  root.write("/c.xml",
             "<?xml version=\"1.0\"?><!DOCTYPE topology SYSTEM \"hwloc2.dtd\"><topology "
             "version=\"2.0\"><object type=\"Machine\" nodeset=\"0x1\"><object type=\"PCIDev\" "
             "pci_busid=\"0000:01:00.0\" pci_type=\"1200 [1002:74a1] [1002:74a1] 00\" "
             "pci_link_speed=\"63.0\"/></object></topology>");
  for (const char* name : {"a.json", "b.dat", "c.xml"}) {
    const auto loaded = loadTopology(root.path() + "/" + name);
    ASSERT_TRUE(loaded.isOk()) << loaded.status().toString();
    EXPECT_EQ(loaded->topology.ranks().size(), 1u) << name;
    EXPECT_EQ(loaded->topology.name, std::string(name, 1));
  }
}

TEST(Load, BadFilesHaveFileLineAndCause) {
  const std::pair<std::string, std::string> cases[] = {
      {"", "box.xml:1: empty"},
      {"\n  \n", "box.xml:1: neither XML"},
      {"hello", "box.xml:1: neither XML"},
      {std::string("\0\0\0", 3), "box.xml:1: neither XML"},
      {"<", "box.xml:1: not well-formed"},
      {"<system version=\"1\">\n<cpu>\n<pci", "box.xml:3: not well-formed"},
      {"<system version=\"1\">\n<cpu>\n</system>", "box.xml:3: not well-formed"},
      {"\n<system version=\"3\"/>", "box.xml:2: version \"3\""},
      {"<system version=\"\"/>", "box.xml:1: version \"\""},
      {"<system version=\"1\"/>", "no devices, so no ranks"},
      {"<system version=\"1\"><cpu/></system>", "no devices, so no ranks"},
      {machine(cpu(0, nic("0000:01:00.0", "a", 1'000))), "no devices, so no ranks"},
      {"<!-- c -->\n<graphs version=\"1\"/>", "box.xml:2: <graphs> holds channels"},
      {"<algo/>", "box.xml:1: <algo> is an algorithm"},
      {"<html/>", "box.xml:1: <html> is no topology"},
      {"<topology version=\"2.0\"/>", "no devices, so no ranks"},
      {"<!DOCTYPE s [<!ENTITY a \"b\">]>\n<system version=\"1\"/>", "box.xml:1: the document type"},
      {"{\"nodes\": []}", "box.xml"},
      {"{\"nodes\": [{\"id\": \"a\", \"kind\": \"rank\"},\n {\"id\": \"b\", \"kind\": \"rank\"}]}",
       "no way"},
  };
  for (const auto& [text, expected] : cases) {
    const std::string told = refusal(text);
    EXPECT_NE(told.find(expected), std::string::npos) << text << "\n" << told;
    EXPECT_NE(told.find("box.xml"), std::string::npos) << told;
  }
}

// Cut anywhere, a file is refused or good, and nothing else.
TEST(Load, Truncated) {
  const std::string whole = machine(cpu(0, gpu("0000:01:00.0", 0)));
  for (size_t length = 0; length + 1 < whole.size(); ++length) {
    const auto loaded = parseTopology(whole.substr(0, length), "box.xml");
    ASSERT_FALSE(loaded.isOk()) << length;
    ASSERT_EQ(loaded.status().errorId(), base::kErrTopologyFile);
    ASSERT_TRUE(loaded.status().text().starts_with("box.xml:")) << loaded.status().toString();
  }
}

TEST(Load, DeepNestingIsRefused) {
  std::string text = "<system version=\"1\"><cpu>";
  for (int i = 0; i < 100'000; ++i) text += "<pci>";
  EXPECT_NE(refusal(text).find("box.xml:1: more than 64 elements inside each other"),
            std::string::npos);
}

std::string addressOf(int number) {
  return fmt::format("{:04x}:{:02x}:{:02x}.0", number / 8'192, number / 32 % 256, number % 32);
}

// Whatever there is much of, time grows with it and not with its square: for what takes
// milliseconds there are seconds.
class Many : public testing::Test {
 protected:
  ~Many() override {
    EXPECT_LT(std::chrono::steady_clock::now() - start_,
              std::chrono::seconds(tutti::test::kIsSanitized ? 100 : 20));
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

TEST_F(Many, DevicesInARing) {
  constexpr int kCount = test::kIsSanitized ? 1'001 : 10'000;
  std::string devices;
  for (int i = 0; i < kCount; ++i) {
    const std::string next = addressOf((i + 1) % kCount);
    const std::string before = addressOf((i + kCount - 1) % kCount);
    devices += gpu(addressOf(i), i,
                   "<nvlink target=\"" + next + "\"/><nvlink target=\"" + before + "\"/>");
  }
  const Loaded loaded = loadText(machine(cpu(0, devices)));
  EXPECT_EQ(countKind(loaded.topology, LinkKind::kDevice), 2 * kCount);
  expectRoundTrip(loaded.topology);
}

TEST_F(Many, OfOneName) {
  std::string devices = gpu("0000:00:00.0", 0);
  for (int i = 0; i < 20'000; ++i) devices += "<net name=\"a\" speed=\"1000\"/>";
  EXPECT_EQ(loadText(machine(cpu(0, devices))).topology.nodes.size(), 20'002u);
}

TEST_F(Many, Bridges) {
  constexpr int kCount = test::kIsSanitized ? 2'001 : 20'000;
  std::string bridges;
  for (int i = 0; i < kCount; ++i) {
    bridges += "<pci busid=\"" + addressOf(40'000 + i) + "\">" + gpu(addressOf(i), i) + "</pci>";
  }
  const Loaded loaded = loadText(machine(cpu(0, bridges)));
  EXPECT_EQ(countKind(loaded.topology, NodeKind::kBridge), kCount);
  EXPECT_TRUE(toNcclXml(loaded.topology).isOk());
}

TEST_F(Many, Processors) {
  std::string text;
  for (int i = 0; i < 30'000; ++i) text += "<cpu/>";
  EXPECT_NE(refusal(machine(text)).find("more than 1024 processors"), std::string::npos);
}

TEST_F(Many, Hosts) {
  std::string text;
  for (int i = 0; i < 1'000; ++i) {
    text += cpu(0, gpu("0000:01:00.0", i) + nic("0000:02:00.0", "a", 100'000), std::to_string(i));
  }
  const Loaded loaded = loadText(machine(text));
  EXPECT_EQ(capacity(loaded.topology, "host999/nic a", "network"), 12'500'000);
}

TEST(Load, WhatIsNoFile) {
  const FakeRoot root;
  const std::pair<std::string, std::string> cases[] = {
      {root.path() + "/missing.xml", "cannot be opened"},
      {root.path(), "not a file"},
      {"/dev/null", "not a file"},
  };
  for (const auto& [path, expected] : cases) {
    const auto loaded = loadTopology(path);
    ASSERT_FALSE(loaded.isOk()) << path;
    EXPECT_EQ(loaded.status().errorId(), base::kErrTopologyFile);
    EXPECT_TRUE(loaded.status().text().starts_with(path)) << loaded.status().toString();
    EXPECT_NE(loaded.status().text().find(expected), std::string::npos)
        << loaded.status().toString();
  }
  ASSERT_EQ(mkfifo((root.path() + "/pipe").c_str(), 0600), 0);
  EXPECT_FALSE(loadTopology(root.path() + "/pipe").isOk());
}

}  // namespace
}  // namespace tutti::topology
