#include "src/comm/process.h"

#include <gtest/gtest.h>

namespace tutti::comm {
namespace {

std::string wrongAlgorithm(const char* variable, const char* value) {
  return wrongSetting(base::Config::fromMap({{variable, value}}));
}

TEST(Process, UnknownAlgorithmIsNamedWithThoseThatAreKnown) {
  EXPECT_EQ(wrongSetting(base::Config::fromMap({})), "");
  for (const char* known : {"ring", "double_tree", "one_shot", "trees"}) {
    EXPECT_EQ(wrongAlgorithm("TUTTI_ALGO", known), "");
  }
  const std::string text = wrongAlgorithm("TUTTI_ALGO", "rnig");
  EXPECT_NE(text.find("environment TUTTI_ALGO"), std::string::npos) << text;
  EXPECT_NE(text.find("\"rnig\""), std::string::npos) << text;
  EXPECT_NE(text.find("did you mean ring?"), std::string::npos) << text;
  EXPECT_NE(text.find("double_tree"), std::string::npos) << text;
  EXPECT_EQ(wrongAlgorithm("TUTTI_ALGO", "quantum").find("did you mean"), std::string::npos);
  // NCCL's own words, which it writes with capitals.
  EXPECT_NE(wrongAlgorithm("NCCL_ALGO", "Ring").find("did you mean ring?"), std::string::npos);
}

}  // namespace
}  // namespace tutti::comm
