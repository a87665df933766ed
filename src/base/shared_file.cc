#include "src/base/shared_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/statvfs.h>

#include <cerrno>
#include <cstring>

#include "src/base/errors.h"

// Linux 6.3; older headers lack it.
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

namespace tutti::base {
namespace {

constexpr const char* kUsualDirectory = "/dev/shm";

Status refused(std::string_view what, int error) {
  return {Code::kSystemError, kErrShmFailed,
          fmt::format("{} for shared memory: {}", what, std::strerror(error))};
}

// Growing a file beyond RLIMIT_FSIZE would end the process by SIGXFSZ (ftruncate(2)).
Status checkFileSize(size_t bytes) {
  rlimit size;
  if (getrlimit(RLIMIT_FSIZE, &size) != 0 || size.rlim_cur == RLIM_INFINITY ||
      bytes <= size.rlim_cur) {
    return {};
  }
  return {Code::kSystemError, kErrShmFailed,
          fmt::format("{} bytes of shared memory are more than the limit on file sizes, {} bytes; "
                      "raise it (ulimit -f)",
                      bytes, size.rlim_cur)};
}

int openAnonymous() {
  // Without MFD_NOEXEC_SEAL newer kernels warn or, with vm.memfd_noexec=2, refuse; older ones do
  // not know it.
  const int fd = memfd_create("tutti", MFD_CLOEXEC | MFD_NOEXEC_SEAL);
  if (fd >= 0 || errno != EINVAL) return fd;
  return memfd_create("tutti", MFD_CLOEXEC | MFD_ALLOW_SEALING);
}

Status tooSmall(const std::string& directory, size_t bytes) {
  struct statvfs info {};
  statvfs(directory.c_str(), &info);
  constexpr uint64_t kMiB = uint64_t{1} << 20;
  const auto mib = [&](uint64_t blocks) { return blocks * info.f_frsize / kMiB; };
  return {Code::kSystemError, kErrShmTooSmall,
          fmt::format("{} has {} MiB, {} MiB of them free, and {:.1f} MiB are needed; enlarge it "
                      "(docker run --shm-size=1g, mount -o remount,size=1g), or let TUTTI_SHM_DIR "
                      "name a directory in memory that has room",
                      directory, mib(info.f_blocks), mib(info.f_bavail),
                      static_cast<double>(bytes) / static_cast<double>(kMiB))};
}

Result<UniqueFd> openIn(const std::string& directory, size_t bytes) {
  UniqueFd file(open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (!file.isOpen()) return refused("opening a file in " + directory, errno);
  const int error = posix_fallocate(file.get(), 0, static_cast<off_t>(bytes));
  if (error == ENOSPC) return tooSmall(directory, bytes);
  if (error != 0) return refused(fmt::format("reserving {} bytes in {}", bytes, directory), error);
  return file;
}

}  // namespace

Result<UniqueFd> openSharedFile(size_t bytes, const std::string& directory) {
  TUTTI_RETURN_IF_ERROR(checkFileSize(bytes));
  if (!directory.empty()) return openIn(directory, bytes);
  UniqueFd file(openAnonymous());
  const bool isForbidden = errno == ENOSYS || errno == EPERM || errno == EACCES;
  if (!file.isOpen() && isForbidden) return openIn(kUsualDirectory, bytes);
  if (!file.isOpen()) return refused("memfd_create", errno);
  if (ftruncate(file.get(), static_cast<off_t>(bytes)) != 0) {
    return refused(fmt::format("a file of {} bytes", bytes), errno);
  }
  // A peer that maps the file relies on its size: an access beyond it would be a SIGBUS.
  fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
  return file;
}

}  // namespace tutti::base
