#include "src/base/shared_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <string>

#include "src/base/errors.h"

namespace tutti::base {
namespace {

constexpr size_t kBytes = 3 << 20;

off_t lengthOf(const UniqueFd& file) {
  struct stat info {};
  return fstat(file.get(), &info) == 0 ? info.st_size : -1;
}

// Writes through one mapping and reads through another, opened as a peer does.
void expectShared(const UniqueFd& file) {
  auto* mine =
      static_cast<char*>(mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0));
  ASSERT_NE(mine, MAP_FAILED);
  EXPECT_EQ(mine[kBytes - 1], 0);
  std::strcpy(mine + kBytes - 8, "shared");
  const auto path = "/proc/self/fd/" + std::to_string(file.get());
  const UniqueFd again(open(path.c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_TRUE(again.isOpen());
  const auto* theirs =
      static_cast<const char*>(mmap(nullptr, kBytes, PROT_READ, MAP_SHARED, again.get(), 0));
  ASSERT_NE(theirs, MAP_FAILED);
  EXPECT_STREQ(theirs + kBytes - 8, "shared");
  munmap(mine, kBytes);
  munmap(const_cast<char*>(theirs), kBytes);
}

TEST(SharedFile, AnonymousMemoryNeedsNoDirectory) {
  const auto file = openSharedFile(kBytes, "");
  ASSERT_TRUE(file.isOk()) << file.status().toString();
  EXPECT_EQ(lengthOf(*file), static_cast<off_t>(kBytes));
  expectShared(*file);
  // Nobody can take the bytes away from a peer that maps them.
  EXPECT_NE(ftruncate(file->get(), 0), 0);
}

TEST(SharedFile, InADirectoryItHasNoName) {
  const auto directory = std::filesystem::path(testing::TempDir()) / "tutti_shared_file";
  std::filesystem::create_directories(directory);
  {
    const auto file = openSharedFile(kBytes, directory.string());
    if (!file.isOk()) GTEST_SKIP() << "no O_TMPFILE here: " << file.status().toString();
    EXPECT_EQ(lengthOf(*file), static_cast<off_t>(kBytes));
    expectShared(*file);
    EXPECT_TRUE(std::filesystem::is_empty(directory));
  }
  std::filesystem::remove_all(directory);
}

TEST(SharedFile, ADirectoryThatIsNoneSaysSo) {
  const auto file = openSharedFile(kBytes, "/no/such/directory");
  ASSERT_FALSE(file.isOk());
  EXPECT_EQ(file.status().errorId(), kErrShmFailed);
  EXPECT_THAT(std::string(file.status().text()), testing::HasSubstr("/no/such/directory"));
}

constexpr int kSkipped = 77;

// In a process and a mount namespace of its own. 0: as expected.
int tryOneMebibyte(const std::string& directory) {
  if (unshare(CLONE_NEWNS) != 0) return kSkipped;
  if (mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return kSkipped;
  if (mount("tmpfs", directory.c_str(), "tmpfs", 0, "size=1m") != 0) return kSkipped;
  const auto file = openSharedFile(kBytes, directory);
  if (file.isOk() || file.status().errorId() != kErrShmTooSmall) return 1;
  const std::string text(file.status().text());
  const bool isClear = text.find(directory + " has 1 MiB") != std::string::npos &&
                       text.find("3.0 MiB are needed") != std::string::npos &&
                       text.find("--shm-size") != std::string::npos;
  return isClear ? 0 : 2;
}

TEST(SharedFile, ASmallDirectoryIsAnErrorWithTheSizes) {
  const auto directory = std::filesystem::path(testing::TempDir()) / "tutti_small_shm";
  std::filesystem::create_directories(directory);
  const pid_t child = fork();
  if (child == 0) _exit(tryOneMebibyte(directory.string()));
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  std::filesystem::remove_all(directory);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == kSkipped) GTEST_SKIP() << "may not mount a small tmpfs";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace tutti::base
