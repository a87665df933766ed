// Communicators that do not come to be. A program of its own: it leaves the last error of its
// thread, and rendezvous that nobody comes to, which a forked rank would inherit.
#include <gtest/gtest.h>
#include <tutti/tutti.h>

#include <string>

namespace tutti::test {
namespace {

// One rank's cause, not the others' waiting for it; without a timeout they would wait for ever.
TEST(Init, ABadDeviceIsTheError) {
  tuttiConfig_t config = TUTTI_CONFIG_INITIALIZER;
  config.timeoutMs = 0;
  const char* devices[] = {"host", "nosuch:0", "host"};
  tuttiComm_t comms[3] = {};
  EXPECT_EQ(tuttiCommInitAllConfig(comms, 3, devices, &config), tuttiInvalidArgument);
  EXPECT_NE(std::string(tuttiGetLastError(nullptr)).find("nosuch:0"), std::string::npos);
}

TEST(Init, DestroyEndsIt) {
  tuttiConfig_t config = TUTTI_CONFIG_INITIALIZER;
  config.timeoutMs = 0;
  config.blocking = 0;
  tuttiUniqueId id;
  ASSERT_EQ(tuttiGetUniqueId(&id), tuttiSuccess);
  tuttiComm_t comm = nullptr;
  ASSERT_EQ(tuttiCommInitRankConfig(&comm, 2, id, 0, &config), tuttiInProgress);
  EXPECT_EQ(tuttiCommDestroy(comm), tuttiSuccess);  // the other one never comes
}

TEST(Init, AFailureInAGroupIsTheGroups) {
  tuttiConfig_t config = TUTTI_CONFIG_INITIALIZER;
  config.timeoutMs = 200;
  tuttiUniqueId id;
  ASSERT_EQ(tuttiGetUniqueId(&id), tuttiSuccess);
  tuttiComm_t comm = nullptr;
  ASSERT_EQ(tuttiGroupStart(), tuttiSuccess);
  EXPECT_EQ(tuttiCommInitRankConfig(&comm, 2, id, 0, &config), tuttiSuccess);
  EXPECT_NE(tuttiGroupEnd(), tuttiSuccess);
  EXPECT_EQ(tuttiCommDestroy(comm), tuttiSuccess);
}

}  // namespace
}  // namespace tutti::test
