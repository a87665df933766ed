// The states of a handle, and what each allows.
#include "src/comm/handle.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>
#include <vector>

#include "src/base/errors.h"
#include "src/comm/group.h"

namespace tutti::comm {
namespace {

using base::Code;
using base::Status;
using State = Handle::State;
using std::chrono::milliseconds;

InitArgs argsFor(int rank, int size, const bootstrap::UniqueId& id, const CommConfig& config = {}) {
  InitArgs args;
  args.ids = {id};
  args.rank = rank;
  args.size = size;
  args.config = config;
  return args;
}

bootstrap::UniqueId newId() {
  auto id = bootstrap::createUniqueId();
  EXPECT_TRUE(id.isOk()) << id.status().toString();
  return *id;
}

Handle* makeReady() {
  auto* handle = Handle::create({});
  const Status status = handle->initialize(argsFor(0, 1, newId()));
  EXPECT_TRUE(status.isOk()) << status.toString();
  return handle;
}

TEST(Handle, RefusesWhatIsNone) {
  EXPECT_EQ(Handle::from(nullptr).status().code(), Code::kInvalidArgument);
  alignas(64) char memory[256] = {};
  EXPECT_EQ(Handle::from(memory).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(Handle::from(memory + 1).status().code(), Code::kInvalidArgument);
}

TEST(Handle, ReadyAfterInit) {
  auto* handle = makeReady();
  EXPECT_EQ(handle->state(), State::kReady);
  ASSERT_TRUE(Handle::from(handle).isOk());
  ASSERT_TRUE(handle->ready().isOk());
  EXPECT_EQ((*handle->ready())->size(), 1);
  EXPECT_TRUE(handle->asyncStatus().isOk());
  EXPECT_EQ(handle->config().device, "host") << "the device that was found";
  EXPECT_TRUE(handle->destroy().isOk());
}

TEST(Handle, FinalizedAllowsQueriesOnly) {
  auto* handle = makeReady();
  EXPECT_TRUE(handle->finalize().isOk());
  EXPECT_EQ(handle->state(), State::kFinalized);
  EXPECT_EQ(handle->ready().status().errorId(), base::kErrUseAfterFinalize);
  EXPECT_TRUE(handle->queryable().isOk());
  EXPECT_FALSE(handle->finalize().isOk()) << "at most once";
  EXPECT_TRUE(handle->destroy().isOk());
}

TEST(Handle, GoneAfterDestroy) {
  auto* handle = makeReady();
  EXPECT_TRUE(handle->destroy().isOk());
  EXPECT_EQ(handle->state(), State::kGone);
  ASSERT_TRUE(Handle::from(handle).isOk()) << "the handle itself is never freed";
  EXPECT_EQ(handle->ready().status().errorId(), base::kErrUseAfterDestroy);
  EXPECT_EQ(handle->queryable().status().errorId(), base::kErrUseAfterDestroy);
  EXPECT_EQ(handle->destroy().errorId(), base::kErrUseAfterDestroy);
  EXPECT_EQ(handle->abort().errorId(), base::kErrUseAfterDestroy);
  EXPECT_FALSE(handle->asyncStatus().isOk());
}

TEST(Handle, AnInitThatFailsLeavesAReason) {
  CommConfig config;
  config.device = "nothing:7";
  auto* handle = Handle::create(config);
  const Status status = handle->initialize(argsFor(0, 1, newId(), config));
  EXPECT_EQ(status.errorId(), base::kErrUnknownDevice) << status.toString();
  EXPECT_EQ(handle->state(), State::kFailed);
  EXPECT_NE(handle->ready().status().text().find("nothing:7"), std::string_view::npos);
  EXPECT_EQ(handle->asyncStatus().errorId(), base::kErrUnknownDevice);
  EXPECT_TRUE(handle->destroy().isOk());
}

TEST(Handle, NonBlockingInitIsPolled) {
  CommConfig config;
  config.isBlocking = false;
  const auto id = newId();
  auto* first = Handle::create(config);
  EXPECT_EQ(first->initialize(argsFor(0, 2, id, config)).code(), Code::kInProgress);
  EXPECT_EQ(first->state(), State::kInitializing);
  EXPECT_EQ(first->asyncStatus().code(), Code::kInProgress);
  EXPECT_FALSE(first->ready().isOk());
  auto* second = Handle::create(config);
  EXPECT_EQ(second->initialize(argsFor(1, 2, id, config)).code(), Code::kInProgress);
  for (auto* handle : {first, second}) {
    while (handle->asyncStatus().code() == Code::kInProgress) {
      std::this_thread::sleep_for(milliseconds(1));
    }
    EXPECT_TRUE(handle->asyncStatus().isOk()) << handle->asyncStatus().toString();
  }
  std::thread other([&] { EXPECT_TRUE(second->destroy().isOk()); });
  EXPECT_TRUE(first->destroy().isOk());
  other.join();
}

TEST(Handle, AbortEndsAnInitThatWaits) {
  CommConfig config;
  config.isBlocking = false;
  auto* handle = Handle::create(config);
  EXPECT_EQ(handle->initialize(argsFor(0, 2, newId(), config)).code(), Code::kInProgress);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_TRUE(handle->abort().isOk());
  EXPECT_LT(std::chrono::steady_clock::now() - start, milliseconds(5000));
  EXPECT_EQ(handle->state(), State::kGone);
}

Work sumOf(float* value) {
  Work work;
  work.call = {ir::Collective::kAllReduce, ir::DataType::kFloat32, ir::RedOp::kSum, 1, 0};
  work.input = work.output = value;
  return work;
}

// Two ranks that are ready; the caller ends them.
std::vector<Handle*> makePair() {
  const auto id = newId();
  std::vector<Handle*> handles = {Handle::create({}), Handle::create({})};
  std::thread other([&] { EXPECT_TRUE(handles[1]->initialize(argsFor(1, 2, id)).isOk()); });
  EXPECT_TRUE(handles[0]->initialize(argsFor(0, 2, id)).isOk());
  other.join();
  return handles;
}

TEST(Handle, AbortWaitsForACallThatIsInside) {
  const auto handles = makePair();
  std::thread caller([&] {
    float value = 1;
    const Handle::Call inside(*handles[0]);
    const Status status = submit(*handles[0], sumOf(&value));  // its peer never comes
    EXPECT_EQ(status.code(), Code::kInvalidUsage) << status.toString();
  });
  std::this_thread::sleep_for(milliseconds(100));
  EXPECT_TRUE(handles[0]->abort().isOk());
  caller.join();
  // What rank 0 had posted before it was aborted may be all that the first call needs.
  float value = 1;
  (void)submit(*handles[1], sumOf(&value));
  const Status echo = submit(*handles[1], sumOf(&value));
  EXPECT_EQ(echo.code(), Code::kRemoteError) << echo.toString();
  EXPECT_NE(echo.text().find("rank 0"), std::string_view::npos) << echo.toString();
  EXPECT_TRUE(handles[1]->destroy().isOk());
}

TEST(Handle, TheFirstFailureIsRemembered) {
  auto* handle = makeReady();
  handle->remember({});
  handle->remember({Code::kInProgress, 0, "not yet"});
  EXPECT_TRUE(handle->firstFailure().isOk());
  handle->remember({Code::kTimeout, base::kErrCollectiveTimeout, "first"});
  handle->remember({Code::kRemoteError, base::kErrPeerDied, "second"});
  EXPECT_EQ(handle->firstFailure().text(), "first");
  EXPECT_TRUE(handle->destroy().isOk());
}

TEST(Group, EndWithoutStartIsAnError) { EXPECT_EQ(groupEnd().errorId(), base::kErrGroupMisuse); }

TEST(Group, NestsAndRunsAtTheOutermostEnd) {
  const auto handles = makePair();
  float values[2] = {1, 2};
  groupStart();
  groupStart();
  EXPECT_TRUE(isInGroup());
  EXPECT_TRUE(submit(*handles[0], sumOf(&values[0])).isOk());
  EXPECT_TRUE(submit(*handles[1], sumOf(&values[1])).isOk());
  EXPECT_TRUE(groupEnd().isOk());
  EXPECT_EQ(values[0], 1) << "only queued";
  EXPECT_TRUE(groupEnd().isOk());
  EXPECT_FALSE(isInGroup());
  EXPECT_EQ(values[0], 3);
  EXPECT_EQ(values[1], 3);
  std::thread other([&] { EXPECT_TRUE(handles[1]->destroy().isOk()); });
  EXPECT_TRUE(handles[0]->destroy().isOk());
  other.join();
}

TEST(Group, AFailureInsideCancelsAll) {
  auto* handle = makeReady();
  float value = 5;
  groupStart();
  EXPECT_TRUE(submit(*handle, sumOf(&value)).isOk());
  (void)latch({Code::kInvalidArgument, base::kErrInvalidArgument, "bad"});
  const Status status = groupEnd();
  EXPECT_EQ(status.text(), "bad");
  EXPECT_TRUE(handle->destroy().isOk());
}

}  // namespace
}  // namespace tutti::comm
