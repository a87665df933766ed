// Too few file descriptors: the text says so, on the process that lacks them and on its peers.
#include "src/base/descriptors.h"

#include <fcntl.h>
#include <sys/resource.h>

#include <array>
#include <atomic>
#include <cerrno>

#include "src/base/errors.h"
#include "src/bootstrap/launch_file.h"
#include "tests/unit/bootstrap/ranks.h"

namespace tutti::bootstrap::test {
namespace {

// Leaves this process `count` descriptors.
bool leaveDescriptors(int count) {
  std::vector<int> files;
  for (int i = 0; i <= count; ++i) files.push_back(fcntl(0, F_DUPFD, 0));
  const rlimit limit{static_cast<rlim_t>(files.back()), static_cast<rlim_t>(files.back())};
  for (const int file : files) close(file);
  return files.back() > 0 && setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

int expectAdvice(const base::Status& status) {
  const std::string text = status.toString();
  const bool isGood = status.errorId() == base::kErrSocket &&
                      text.find("ulimit -n") != std::string::npos &&
                      text.find("one more for each rank") != std::string::npos;
  if (!isGood) fprintf(stderr, "%s\n", text.c_str());
  return isGood ? 0 : 1;
}

struct Meeting {
  std::array<UniqueId, 1> id;
  std::atomic<bool> isReady{false};
  std::atomic<int> told{0};
};

// 200 connections can not be had: neither this process nor its peer waits for the timeout.
TEST(Descriptors, RendezvousOfTooManyRanksFailsAtOnce) {
  Shared<Meeting> meeting;
  Processes processes;
  const int64_t start = base::nowMs();
  for (int rank = 0; rank < 2; ++rank) {
    processes.start([&, rank] {
      if (rank == 0) {
        meeting->id[0] = newId();
        if (!leaveDescriptors(100)) return 2;
        meeting->isReady = true;
      }
      while (!meeting->isReady) std::this_thread::sleep_for(milliseconds(1));
      const int code = expectAdvice(joinAs(meeting->id[0], rank, 200).status());
      ++meeting->told;
      while (meeting->told < 2)
        std::this_thread::sleep_for(milliseconds(1));  // it serves the other
      return code;
    });
  }
  EXPECT_EQ(processes.wait(0), 0);
  EXPECT_EQ(processes.wait(1), 0);
  EXPECT_LT(base::nowMs() - start, kPatience.count());
}

// At none, in the middle of a handshake, shortly before the end.
TEST(Descriptors, EveryShortageNamesItself) {
  constexpr size_t kMost = 12;
  Processes processes;
  for (size_t left = 0; left <= kMost; ++left) {
    processes.start([left] {
      const UniqueId id = newId();
      if (!leaveDescriptors(static_cast<int>(left))) return 2;
      std::array<int, 2> codes{};
      runThreads(2, [&](int rank) {
        const auto plane = joinAs(id, rank, 2, milliseconds(3000));
        codes[static_cast<size_t>(rank)] = plane ? 0 : expectAdvice(plane.status());
        if (plane) (*plane)->announceLeave();
      });
      return codes[0] + codes[1];
    });
  }
  for (size_t left = 0; left <= kMost; ++left) EXPECT_EQ(processes.wait(left), 0) << left;
}

TEST(Descriptors, BeforeAnythingStarts) {
  Processes processes;
  const auto none = [](const std::function<base::Status()>& body) {
    return [body] { return leaveDescriptors(0) ? expectAdvice(body()) : 2; };
  };
  EXPECT_EQ(processes.wait(processes.start(none([] { return createUniqueId().status(); }))), 0);
  EXPECT_EQ(processes.wait(processes.start(none([] {
    return awaitLaunchFile("/tmp/tutti-none", kPatience, "is there").status();
  }))),
            0);
  EXPECT_EQ(processes.wait(processes.start(
                none([] { return writeLaunchFile("/tmp/tutti-none", UniqueId{}); }))),
            0);
}

TEST(Descriptors, OtherErrorsStayShort) {
  EXPECT_EQ(base::describeErrno(ECONNREFUSED), "Connection refused");
  EXPECT_NE(base::describeErrno(ENFILE).find("fs.file-max"), std::string::npos);
}

}  // namespace
}  // namespace tutti::bootstrap::test
