// MSCCL XML: what is written is read back and proved; others' ways of writing; and what is wrong.
#include "src/schedule/msccl_xml.h"

#include <fmt/format.h>

#include <functional>

#include "src/base/errors.h"
#include "tests/support/sanitized.h"
#include "tests/unit/schedule/scenario.h"

namespace tutti::schedule {
namespace {

using ir::Collective;

constexpr Collective kCollectives[] = {Collective::kAllReduce,     Collective::kAllGather,
                                       Collective::kReduceScatter, Collective::kAllToAll,
                                       Collective::kBroadcast,     Collective::kReduce};

std::string complaint(const base::Status& status) { return status.isOk() ? "" : status.toString(); }

testing::AssertionResult says(const std::string& text, std::string_view part) {
  if (text.find(part) != std::string::npos) return testing::AssertionSuccess();
  return testing::AssertionFailure() << '"' << text << "\" does not say \"" << part << '"';
}

// ---- what is written is read back -------------------------------------------------------------

struct Case {
  Collective collective;
  std::string algorithm;
};

std::vector<Case> messageAlgorithms() {
  std::vector<Case> cases;
  for (const Collective collective : kCollectives) {
    for (const std::string_view algorithm : loweredAlgorithms(collective, 4)) {
      if (algorithm == "direct") continue;
      // Posts only, where the blocks are not one vector.
      if (algorithm == "one_shot" && !isVectorCollective(collective)) continue;
      cases.push_back({collective, std::string(algorithm)});
    }
  }
  return cases;
}

class RoundTrip : public testing::TestWithParam<Case> {};

TEST_P(RoundTrip, isProvedAgain) {
  const auto& [collective, algorithm] = GetParam();
  for (const int size : {2, 3, 4, 5, 8}) {
    const auto known = loweredAlgorithms(collective, size);
    if (std::find(known.begin(), known.end(), algorithm) == known.end()) continue;
    const ir::Rank root = ir::hasRoot(collective) ? size - 1 : 0;
    const auto schedules = lowerAll(makeScenario(collective, algorithm, size, root, 1));
    const auto text = writeMscclXml(schedules, algorithm);
    ASSERT_TRUE(text.isOk()) << text.status().toString();
    const auto read = readMscclXml(*text, "it.xml");
    ASSERT_TRUE(read.isOk()) << "among " << size << ": " << read.status().toString() << "\n"
                             << ir::toString(schedules.back()) << *text;
    EXPECT_EQ(read->name, algorithm);
    EXPECT_TRUE(read->isInPlaceSafe);
    ASSERT_EQ(read->ranks.size(), schedules.size());
    EXPECT_EQ(read->ranks[0].root, root);
    // What was read is again something that can be written and read.
    const auto again = writeMscclXml(read->ranks, algorithm);
    ASSERT_TRUE(again.isOk()) << again.status().toString();
    const auto last = readMscclXml(*again, "it.xml");
    EXPECT_TRUE(last.isOk()) << last.status().toString() << "\n" << *again;
  }
}

INSTANTIATE_TEST_SUITE_P(All, RoundTrip, testing::ValuesIn(messageAlgorithms()),
                         [](const auto& tested) {
                           return std::string(ir::name(tested.param.collective)) + "_" +
                                  tested.param.algorithm;
                         });

// Weights become numbers of chunks.
TEST(Written, treesWithWeights) {
  Scenario scenario = makeScenario(Collective::kAllReduce, "trees", 4, 0, 3, 1024);
  scenario.plan.trees = {{.root = 1, .weight = 3, .parents = {1, -1, 1, 0}},
                         {.root = 3, .weight = 1, .parents = {2, 3, 3, -1}},
                         {.root = 0, .weight = 2, .parents = {-1, 0, 1, 2}}};
  const auto text = writeMscclXml(lowerAll(scenario), "a <tree> & more");
  ASSERT_TRUE(text.isOk()) << text.status().toString();
  EXPECT_TRUE(says(*text, "nchunksperloop=\"6\""));
  const auto read = readMscclXml(*text, "trees.xml");
  ASSERT_TRUE(read.isOk()) << read.status().toString() << *text;
  EXPECT_EQ(read->name, "a <tree> & more");
  EXPECT_TRUE(read->ranks[0].narrowBytes.empty());  // no two ranks are neighbours in all three
}

TEST(Written, forestsWithWeights) {
  for (const Collective collective : {Collective::kAllGather, Collective::kReduceScatter}) {
    Scenario scenario = makeScenario(collective, "forest", 3, 0, 3, 1024);
    for (ir::Rank root = 0; root < 3; ++root) {
      const ir::Rank next = (root + 1) % 3;
      const ir::Rank last = (root + 2) % 3;
      ir::Tree star{.root = root, .weight = 1 + root, .parents = {root, root, root}};
      ir::Tree chain{.root = root, .weight = 3 - root, .parents = {next, next, next}};
      star.parents[static_cast<size_t>(root)] = chain.parents[static_cast<size_t>(root)] = -1;
      chain.parents[static_cast<size_t>(next)] = root;
      ASSERT_EQ(chain.parents[static_cast<size_t>(last)], next);
      scenario.plan.trees.push_back(star);
      scenario.plan.trees.push_back(chain);
    }
    const auto text = writeMscclXml(lowerAll(scenario), "forest");
    ASSERT_TRUE(text.isOk()) << text.status().toString();
    const auto read = readMscclXml(*text, "forest.xml");
    ASSERT_TRUE(read.isOk()) << read.status().toString() << *text;
    EXPECT_EQ(read->ranks[0].sliceWeights, (std::vector<int32_t>{1, 1, 1, 1}));
  }
}

TEST(Written, whatHasNoWordsIsRefused) {
  const auto refusal = [](Collective collective, std::string_view algorithm,
                          const std::function<void(Scenario&)>& change = {}) {
    Scenario scenario = makeScenario(collective, algorithm, 4, 0, 1);
    if (change) change(scenario);
    return complaint(writeMscclXml(lowerAll(scenario), "it").status());
  };
  EXPECT_TRUE(says(refusal(Collective::kAllReduce, "direct"), "peers' memory"));
  EXPECT_TRUE(says(refusal(Collective::kAllReduce, "one_shot",
                           [](Scenario& scenario) { scenario.plan.usesBoard = true; }),
                   "posts"));
  EXPECT_TRUE(says(refusal(Collective::kGather, "binomial"), "gather"));
  EXPECT_TRUE(says(refusal(Collective::kAllGatherV, "ring"), "all_gather_v"));
  EXPECT_TRUE(says(refusal(Collective::kAllReduce, "trees",
                           [](Scenario& scenario) {
                             scenario.plan.trees = {
                                 {.root = 0, .weight = 5000, .parents = {-1, 0, 0, 0}},
                                 {.root = 0, .weight = 4999, .parents = {-1, 0, 0, 0}}};
                           }),
                   "more than 4096 chunks"));
}

// ---- what others write ------------------------------------------------------------------------

// Steps with their attributes in the order that people read them in.
std::string step(int number, std::string_view type, std::string_view from, std::string_view to,
                 int count = 1, int afterBlock = -1, int afterStep = -1) {
  return fmt::format(
      "<step s=\"{}\" type=\"{}\" srcbuf=\"{}\" srcoff=\"{}\" dstbuf=\"{}\" dstoff=\"{}\" "
      "cnt=\"{}\" depid=\"{}\" deps=\"{}\" hasdep=\"0\"/>\n",
      number, type, from.substr(0, 1), from.substr(1), to.substr(0, 1), to.substr(1), count,
      afterBlock, afterStep);
}
std::string nop(int number, int afterBlock, int afterStep) {
  return step(number, "nop", "i-1", "o-1", 0, afterBlock, afterStep);
}
std::string block(int id, int send, int receive, const std::string& steps, int channel = 0) {
  return fmt::format("<tb id=\"{}\" send=\"{}\" recv=\"{}\" chan=\"{}\">\n{}</tb>\n", id, send,
                     receive, channel, steps);
}
std::string gpu(int id, const std::string& blocks, int scratch = 0) {
  return fmt::format("<gpu id=\"{}\" i_chunks=\"0\" o_chunks=\"0\" s_chunks=\"{}\">\n{}</gpu>\n",
                     id, scratch, blocks);
}
std::string algo(std::string_view collective, int size, int chunks, const std::string& gpus,
                 std::string_view use = "inplace=\"1\" outofplace=\"0\"") {
  return fmt::format(
      "<!-- a comment -->\n<algo name=\"it\" proto=\"LL\" nchannels=\"1\" nchunksperloop=\"{}\" "
      "ngpus=\"{}\" coll=\"{}\" {} minBytes=\"7\" maxBytes=\"99\">\n{}</algo>\n",
      chunks, size, collective, use, gpus);
}

// Everyone sends all it has to scratch of all others, adds up its chunk in place and sends it
// round: one writes to its input, combines from scratch, and waits for several blocks.
std::string allPairs() {
  constexpr int kSize = 3;
  std::string gpus;
  for (int self = 0; self < kSize; ++self) {
    std::string blocks;
    int others = 0;
    for (int peer = 0; peer < kSize; ++peer) {
      if (peer == self) continue;
      const int other = others++;
      std::string steps = step(0, "s", fmt::format("i{}", peer), "s0");
      steps += step(1, "r", "i0", fmt::format("s{}", other));
      steps += step(2, "s", fmt::format("i{}", self), "i0", 1, 2, 2);
      steps += step(3, "r", "i0", fmt::format("i{}", peer));
      blocks += block(other, peer, peer, steps);
    }
    std::string sum = nop(0, 0, 1) + step(1, "re", "s0", fmt::format("i{}", self), 1, 1, 1) +
                      step(2, "re", "s1", fmt::format("i{}", self));
    gpus += gpu(self, blocks + block(2, -1, -1, sum), 2);
  }
  return algo("allreduce", kSize, kSize, gpus);
}

TEST(Others, allPairsInPlace) {
  const auto read = readMscclXml(allPairs(), "pairs.xml");
  ASSERT_TRUE(read.isOk()) << read.status().toString();
  EXPECT_EQ(read->minBytes, 7u);
  EXPECT_EQ(read->maxBytes, 99u);
  EXPECT_TRUE(read->isInPlaceSafe);
  // Blocks that share scratch are one lane, and the two additions are one step.
  ASSERT_EQ(read->ranks[1].lanes.size(), 1u);
  int reductions = 0;
  for (const ir::Step& each : read->ranks[1].lanes[0].steps) {
    if (each.kind != ir::StepKind::kReduce) continue;
    ++reductions;
    EXPECT_EQ(each.sources.size(), 3u);
    EXPECT_TRUE(each.isFinal);
  }
  EXPECT_EQ(reductions, 1);
}

// Two chunks for each rank, read from the output where the rank's own are.
TEST(Others, allGatherInPlace) {
  std::string gpus;
  for (int self = 0; self < 2; ++self) {
    const int peer = 1 - self;
    gpus += gpu(self, block(0, peer, peer,
                            step(0, "s", fmt::format("o{}", 2 * self), "o0", 2) +
                                step(1, "r", "o0", fmt::format("o{}", 2 * peer), 2)));
  }
  const auto read = readMscclXml(algo("allgather", 2, 4, gpus), "gather.xml");
  ASSERT_TRUE(read.isOk()) << read.status().toString();
  EXPECT_TRUE(read->isInPlaceSafe);
}

// The same out of place: without a copy of the own block it is wrong.
TEST(Others, allGatherOutOfPlace) {
  const auto made = [](bool copies) {
    std::string gpus;
    for (int self = 0; self < 2; ++self) {
      const int peer = 1 - self;
      const std::string copy =
          copies ? block(1, -1, -1, step(0, "cpy", "i0", fmt::format("o{}", 2 * self), 2)) : "";
      gpus += gpu(self, block(0, peer, peer,
                              step(0, "s", "i0", "o0", 2) +
                                  step(1, "r", "i0", fmt::format("o{}", 2 * peer), 2)) +
                            copy);
    }
    return algo("allgather", 2, 4, gpus, "inplace=\"0\" outofplace=\"1\"");
  };
  EXPECT_TRUE(readMscclXml(made(true), "gather.xml").isOk());
  EXPECT_TRUE(
      says(complaint(readMscclXml(made(false), "gather.xml").status()), "is no right all_gather"));
}

// Messages of two chunks that are put to different places: chunks travel one by one.
TEST(Others, messagesThatDoNotStayWhole) {
  std::string gpus;
  for (int self = 0; self < 2; ++self) {
    const int peer = 1 - self;
    // Sent as chunks 0 and 1 of the output, in the order that a ring of two has them.
    std::string steps = step(0, "s", "i0", "s0", 4) + step(1, "rrc", "i0", "s0", 4) +
                        step(2, "cpy", "s0", "o0", 1) + step(3, "cpy", "s1", "o1", 3);
    gpus += gpu(self, block(0, peer, peer, steps), 4);
  }
  const auto read =
      readMscclXml(algo("allreduce", 2, 4, gpus, "inplace=\"0\" outofplace=\"1\""), "pieces.xml");
  ASSERT_TRUE(read.isOk()) << read.status().toString();
}

// Many channels of one pair.
TEST(Others, channels) {
  const auto made = [](int channels) {
    std::string gpus;
    for (int self = 0; self < 2; ++self) {
      const int peer = 1 - self;
      std::string blocks;
      for (int each = 0; each < channels; ++each) {
        const std::string chunk = std::to_string(each);
        blocks +=
            block(each, peer, peer,
                  step(0, "s", "i" + chunk, "o" + chunk) + step(1, "rrc", "i" + chunk, "o" + chunk),
                  3 * each);
      }
      gpus += gpu(self, blocks);
    }
    return readMscclXml(algo("allreduce", 2, channels, gpus, "inplace=\"0\" outofplace=\"1\""),
                        "channels.xml");
  };
  EXPECT_TRUE(made(2)->ranks[0].narrowBytes.empty());
  EXPECT_EQ(made(3)->ranks[0].narrowBytes.size(), 3u);
  EXPECT_EQ(made(32)->ranks[0].narrowBytes.size(), 32u);
  EXPECT_TRUE(says(complaint(made(33).status()), "33 channels"));
}

// ---- what is wrong ----------------------------------------------------------------------------

// Errors of allPairs() with one change.
std::string afterChange(std::string_view what, std::string_view by) {
  std::string text = allPairs();
  const size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  if (at != std::string::npos) text.replace(at, what.size(), by);
  const auto read = readMscclXml(text, "bad.xml");
  EXPECT_TRUE(read.isOk() || read.status().errorId() == base::kErrScheduleFile)
      << read.status().toString();
  return complaint(read.status());
}

TEST(Wrong, filesAreRefusedWithTheirLine) {
  const auto expect = [](std::string_view what, std::string_view by, std::string_view text) {
    EXPECT_TRUE(says(afterChange(what, by), text)) << what << " -> " << by;
  };
  expect("<algo", "<alg", "bad.xml:");
  expect("</algo>", "", "not well-formed");
  expect("coll=\"allreduce\"", "coll=\"custom\"", "bad.xml:2: the collective \"custom\"");
  expect("coll=\"allreduce\" ", "", "the collective \"\"");
  expect("ngpus=\"3\"", "ngpus=\"4\"", "gpu 3 of 4 is not there");
  expect("ngpus=\"3\"", "ngpus=\"1\"", "from 2 to 1024");
  expect("ngpus=\"3\"", "ngpus=\"2\"", "from -1 to 1");
  expect("ngpus=\"3\"", "ngpus=\"x\"", "ngpus=\"x\"");
  expect("nchunksperloop=\"3\"", "", "no nchunksperloop");
  expect("nchunksperloop=\"3\"", "nchunksperloop=\"2\"", "chunks 2 to 2 of 2 \"i\"");
  expect("inplace=\"1\"", "inplace=\"0\"", "neither inplace nor outofplace");
  expect("<gpu id=\"1\"", "<gpu id=\"0\"", "gpu 0 is there twice");
  expect("<tb id=\"1\"", "<tb id=\"5\"", "not numbered 0, 1, 2");
  expect("send=\"1\"", "send=\"0\"", "itself");
  expect("send=\"1\"", "send=\"-1\"", "without a peer to send to");
  expect("type=\"r\"", "type=\"fly\"", "\"fly\" is not one of");
  expect("srcbuf=\"i\"", "srcbuf=\"q\"", "\"q\" is not one of i, o, s");
  expect("s=\"1\" type", "s=\"2\" type", "not numbered 0, 1, 2 ..., or step 1");
  expect("dstoff=\"0\" cnt=\"1\"", "dstoff=\"0\" cnt=\"0\"", "cnt=\"0\"");
  expect("s_chunks=\"2\"", "s_chunks=\"1\"", "chunks 1 to 1 of 1 \"s\"");
  expect("depid=\"2\" deps=\"2\"", "depid=\"2\" deps=\"9\"", "step 9 of thread block 2");
}

TEST(Wrong, algorithmsThatWaitForEverAreNamed) {
  // Waits for itself.
  EXPECT_TRUE(says(afterChange("depid=\"2\" deps=\"2\"", "depid=\"0\" deps=\"3\""),
                   "waits for ever in thread block 0 at step 2"));
  EXPECT_TRUE(says(afterChange("s=\"2\" type=\"s\"", "s=\"2\" type=\"nop\""), "waits for ever"));
  EXPECT_TRUE(says(afterChange("chan=\"0\"", "chan=\"1\""), "waits for ever"));
}

TEST(Wrong, algorithmsThatComputeSomethingElse) {
  // The second addition takes the first one's operand again, or a place where nothing is.
  EXPECT_TRUE(says(afterChange("srcbuf=\"s\" srcoff=\"1\"", "srcbuf=\"s\" srcoff=\"0\""),
                   "is no right all_reduce"));
  EXPECT_TRUE(says(afterChange("srcbuf=\"s\" srcoff=\"1\"", "srcbuf=\"o\" srcoff=\"1\""),
                   "combines chunks of different places"));
  EXPECT_TRUE(
      says(afterChange("cnt=\"1\" depid=\"2\" deps=\"2\"", "cnt=\"1\" depid=\"-1\" deps=\"-1\""),
           "bad.xml"));
}

// Neither too long nor too deep nor too many.
TEST(Wrong, filesThatAreTooLarge) {
  std::string many =
      "<algo ngpus=\"1024\" nchunksperloop=\"65536\" coll=\"allreduce\" inplace=\"1\">";
  for (int id = 0; id < 1024; ++id) many += fmt::format("<gpu id=\"{}\"/>", id);
  EXPECT_TRUE(says(complaint(readMscclXml(many + "</algo>", "large.xml").status()),
                   "more than can be read"));
  EXPECT_TRUE(says(complaint(readMscclXml(std::string(20 << 20, ' '), "large.xml").status()),
                   "larger than"));
}

// Anything between is an error, not a crash.
TEST(Wrong, anyByteElsewhere) {
  const std::string right = allPairs();
  for (size_t at = 0; at < right.size(); at += test::kIsSanitized ? 31 : 7) {
    for (const char byte : {'\0', '9', '"', '<', '-'}) {
      std::string text = right;
      text[at] = byte;
      const auto read = readMscclXml(text, "any.xml");
      EXPECT_TRUE(read.isOk() || read.status().errorId() == base::kErrScheduleFile)
          << read.status().toString();
    }
    (void)readMscclXml(right.substr(0, at), "cut.xml");
  }
}

}  // namespace
}  // namespace tutti::schedule
