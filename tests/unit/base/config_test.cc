#include "src/base/config.h"

#include <unistd.h>

#include <fstream>

#include <gtest/gtest.h>

#include "src/base/config_parse.h"

namespace tutti::base {
namespace {

using std::chrono::milliseconds;

// A file that goes away with the test.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& text) {
    close(mkstemp(path_));
    std::ofstream(path_) << text;
  }
  ~TemporaryFile() { unlink(path_); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  std::string path() const { return path_; }

 private:
  char path_[32] = "/tmp/tutti-test-XXXXXX";
};

TEST(Config, Defaults) {
  const Config config = Config::fromMap({});
  EXPECT_EQ(config.get(param::kTimeout), milliseconds(30000));
  EXPECT_EQ(config.get(param::kRank), -1);
  EXPECT_TRUE(config.get(param::kCommBlocking));
  EXPECT_EQ(config.get(param::kAddr), "");
  EXPECT_EQ(config.at(param::kTimeout).origin, "default");
  EXPECT_FALSE(config.isSet(param::kTimeout));
  EXPECT_TRUE(config.warnings().empty());
  EXPECT_EQ(config.values().size(), parameters().size());
}

TEST(Config, EveryDefaultParses) {
  for (const Parameter& parameter : parameters()) {
    EXPECT_TRUE(parseValue(parameter.kind, parameter.defaultText).has_value()) << parameter.name;
    EXPECT_NE(std::string(parameter.help), "") << parameter.name;
  }
}

TEST(Config, OwnNameWinsOverAliasAndFile) {
  const TemporaryFile file("TUTTI_SOCKET_IFNAME=file\nTUTTI_HOSTID=file\nNCCL_COMM_ID = h:1 \n");
  const Config config = Config::from(
      {{"TUTTI_SOCKET_IFNAME", "own"}, {"NCCL_SOCKET_IFNAME", "alias"}, {"NCCL_HOSTID", "alias"}},
      {file.path()});
  EXPECT_EQ(config.get(param::kSocketIfname), "own");
  EXPECT_EQ(config.at(param::kSocketIfname).origin, "environment TUTTI_SOCKET_IFNAME");
  EXPECT_EQ(config.get(param::kHostId), "alias");
  EXPECT_EQ(config.at(param::kHostId).origin, "environment NCCL_HOSTID");
  EXPECT_EQ(config.get(param::kAddr), "h:1");
  EXPECT_EQ(config.at(param::kAddr).origin, file.path() + ":3 NCCL_COMM_ID");
}

TEST(Config, EarlierFileWinsAndCommentsAreSkipped) {
  const TemporaryFile first("# TUTTI_TIMEOUT=1\n\nTUTTI_TIMEOUT=2\nnonsense\n");
  const TemporaryFile second("TUTTI_TIMEOUT=3\nTUTTI_CHUNK=64K\n");
  const Config config = Config::from({}, {"/does/not/exist", first.path(), second.path()});
  EXPECT_EQ(config.get(param::kTimeout), milliseconds(2000));
  EXPECT_EQ(config.get(param::kChunk), 65536u);
}

TEST(Config, EmptyCountsAsNotSet) {
  const Config config = Config::fromMap({{"TUTTI_TIMEOUT", ""}, {"TUTTI_ADDR", ""}});
  EXPECT_FALSE(config.isSet(param::kTimeout));
  EXPECT_TRUE(config.warnings().empty());
}

TEST(Config, UnknownNamesWarnWithTheNearest) {
  const Config config = Config::fromMap({{"TUTTI_TIMEOUTS", "3"},
                                         {"TUTTI_XYZZYPLUGH", "1"},
                                         {"OTHER", "1"},
                                         {"TUTTI_CONF_FILE", "/x"}});
  ASSERT_EQ(config.warnings().size(), 2u);
  EXPECT_NE(config.warnings()[0].find("did you mean TUTTI_TIMEOUT?"), std::string::npos);
  EXPECT_EQ(config.warnings()[1].find("did you mean"), std::string::npos);
}

// What nothing implements is not accepted in silence.
TEST(Config, PlannedSettingsAreUnknown) {
  for (const char* name :
       {"TUTTI_CHECKSUM", "TUTTI_DETERMINISTIC", "TUTTI_CHECK_POINTERS", "TUTTI_PLUGIN_PATH"}) {
    const Config config = Config::fromMap({{name, "1"}});
    ASSERT_EQ(config.warnings().size(), 1u) << name;
    EXPECT_NE(config.warnings()[0].find(name), std::string::npos);
    EXPECT_NE(config.warnings()[0].find("unknown parameter"), std::string::npos);
  }
}

TEST(Config, UnreadableValuesWarnAndFallBack) {
  const Config config = Config::fromMap({{"TUTTI_TIMEOUT", "soon"}, {"TUTTI_RANK", "3x"}});
  EXPECT_EQ(config.get(param::kTimeout), milliseconds(30000));
  EXPECT_EQ(config.get(param::kRank), -1);
  EXPECT_FALSE(config.isSet(param::kRank));
  EXPECT_EQ(config.warnings().size(), 2u);
}

TEST(Config, Kinds) {
  const auto parse = parseValue;
  EXPECT_EQ(parse(ParameterKind::kInt, "0x10"), 16);
  EXPECT_EQ(parse(ParameterKind::kInt, "-2"), -2);
  EXPECT_EQ(parse(ParameterKind::kInt, "9999999999999999999"), std::nullopt);
  EXPECT_EQ(parse(ParameterKind::kBool, "Yes"), 1);
  EXPECT_EQ(parse(ParameterKind::kBool, "off"), 0);
  EXPECT_EQ(parse(ParameterKind::kBool, "2"), std::nullopt);
  EXPECT_EQ(parse(ParameterKind::kDuration, "1.5"), 1500);
  EXPECT_EQ(parse(ParameterKind::kDuration, "200ms"), 200);
  EXPECT_EQ(parse(ParameterKind::kDuration, "2min"), 120000);
  EXPECT_EQ(parse(ParameterKind::kDuration, "0.0001"), 1);  // never rounds to "for ever"
  EXPECT_EQ(parse(ParameterKind::kDuration, "0"), 0);
  EXPECT_EQ(parse(ParameterKind::kDuration, "-1"), std::nullopt);
  EXPECT_EQ(parse(ParameterKind::kDuration, "nan"), std::nullopt);
  EXPECT_EQ(parse(ParameterKind::kBytes, "1MiB"), 1048576);
  EXPECT_EQ(parse(ParameterKind::kBytes, "4k"), 4096);
  EXPECT_EQ(parse(ParameterKind::kBytes, "4x"), std::nullopt);
  EXPECT_EQ(parse(ParameterKind::kBytes, "1e30"), std::nullopt);
}

TEST(Config, SecretsAreNotShown) {
  const Config config = Config::fromMap({{"TUTTI_SECRET", "xyz"}, {"TUTTI_ADDR", "h:1"}});
  EXPECT_EQ(config.get(param::kSecret), "xyz");
  EXPECT_EQ(config.shown(param::kSecretIndex), "(hidden)");
  EXPECT_EQ(config.shown(param::kAddrIndex), "h:1");
  EXPECT_EQ(Config::fromMap({}).shown(param::kSecretIndex), "");
}

TEST(Config, AllowList) {
  EXPECT_TRUE(isAllowedByList("", "shm"));
  EXPECT_TRUE(isAllowedByList("shm,tcp", "SHM"));
  EXPECT_FALSE(isAllowedByList("shm", "tcp"));
  EXPECT_FALSE(isAllowedByList("^shm", "shm"));
  EXPECT_TRUE(isAllowedByList("^shm", "tcp"));
  EXPECT_FALSE(isAllowedByList("sh", "shm"));
}

TEST(Config, DeviceLists) {
  EXPECT_TRUE(isNameChosen("", "eth0"));
  EXPECT_TRUE(isNameChosen("eth", "eth0"));
  EXPECT_TRUE(isNameChosen("ib,eth", "eth0"));
  EXPECT_FALSE(isNameChosen("ib", "eth0"));
  EXPECT_FALSE(isNameChosen("=eth", "eth0"));
  EXPECT_TRUE(isNameChosen("=ib0,eth0", "eth0"));
  EXPECT_FALSE(isNameChosen("^eth", "eth0"));
  EXPECT_TRUE(isNameChosen("^ib,lo", "eth0"));
  EXPECT_TRUE(isNameChosen("^=eth", "eth0"));
  EXPECT_FALSE(isNameChosen("^=ib0,eth0", "eth0"));
  EXPECT_TRUE(isPortChosen("", "mlx5_0", 1));
  EXPECT_TRUE(isPortChosen("hfi,mlx5:1", "mlx5_0", 1));
  EXPECT_FALSE(isPortChosen("hfi,mlx5:1", "mlx5_0", 2));
  EXPECT_FALSE(isPortChosen("hfi,mlx5:1", "mlx5_0", 11));
  EXPECT_FALSE(isPortChosen("=mlx5:1", "mlx5_0", 1));
  EXPECT_FALSE(isPortChosen("^mlx5_0:1", "mlx5_0", 1));
  EXPECT_TRUE(isPortChosen("^mlx5_0:1", "mlx5_0", 2));
}

TEST(Config, EnvironmentOfAnotherProcess) {
  const auto own = environmentOf(getpid());
  ASSERT_TRUE(own.has_value());
  EXPECT_EQ(own->count("PATH"), environmentVariable("PATH").has_value() ? 1u : 0u);
  EXPECT_FALSE(environmentOf(1 << 30).has_value());
}

TEST(Config, ProcessConfigIsReadOnce) {
  EXPECT_EQ(&processConfig(), &processConfig());
  EXPECT_FALSE(environmentVariable("TUTTI_SURELY_NOT_SET").has_value());
}

}  // namespace
}  // namespace tutti::base
