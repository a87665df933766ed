// Communicators that do not come to be, and several of one thread. A program of its own: it leaves
// the last error of its thread, and rendezvous that nobody comes to, which a forked rank would
// inherit.
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

// One thread, several ranks: a split needs all of them, so none may block before the group's end.
TEST(Split, OfSeveralRanksOfAThread) {
  constexpr int kSize = 3;
  tuttiComm_t comms[kSize] = {}, children[kSize] = {};
  ASSERT_EQ(tuttiCommInitAll(comms, kSize, nullptr), tuttiSuccess);
  ASSERT_EQ(tuttiGroupStart(), tuttiSuccess);
  for (int rank = 0; rank < kSize; ++rank) {
    const int color = rank == 1 ? TUTTI_SPLIT_NOCOLOR : 4;
    EXPECT_EQ(tuttiCommSplit(comms[rank], color, -rank, &children[rank], nullptr), tuttiSuccess);
  }
  ASSERT_EQ(tuttiGroupEnd(), tuttiSuccess);
  EXPECT_EQ(children[1], nullptr);
  int values[kSize] = {1, 2, 4};
  ASSERT_EQ(tuttiGroupStart(), tuttiSuccess);
  for (int rank = 0; rank < kSize; rank += 2) {
    int newRank = -1;
    EXPECT_EQ(tuttiCommUserRank(children[rank], &newRank), tuttiSuccess);
    EXPECT_EQ(newRank, rank == 2 ? 0 : 1);
    EXPECT_EQ(tuttiAllReduce(&values[rank], &values[rank], 1, tuttiInt, tuttiSum, children[rank],
                             nullptr),
              tuttiSuccess);
  }
  ASSERT_EQ(tuttiGroupEnd(), tuttiSuccess);
  EXPECT_EQ(values[0], 5);
  EXPECT_EQ(values[2], 5);
  for (auto* comm : children) EXPECT_EQ(tuttiCommDestroy(comm), tuttiSuccess);
  for (auto* comm : comms) EXPECT_EQ(tuttiCommDestroy(comm), tuttiSuccess);
}

}  // namespace
}  // namespace tutti::test
