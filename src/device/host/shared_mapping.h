// A range of whole pages that other processes can map.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

#include "src/base/fd.h"
#include "src/base/status.h"

namespace tutti::device::host {

// Memory behind an anonymous file (memfd_create(2)), or private memory where the system allows no
// such file. Moves, does not copy. Pages come zeroed and are taken when they are touched.
class SharedMapping {
 public:
  // Maps `bytes` bytes, rounded up to pages. kErrOutOfMemory.
  static base::Result<SharedMapping> create(size_t bytes);

  SharedMapping(SharedMapping&& other) noexcept;
  SharedMapping& operator=(SharedMapping&& other) noexcept;
  ~SharedMapping() { reset(); }

  // Unmaps. In the process that made it the file's pages are freed even if peers still map them:
  // what those then read is zero. In a forked child, which shares the file, they stay.
  void reset();

  char* base() const { return base_; }
  size_t length() const { return length_; }
  int fd() const { return file_.get(); }     // -1: private memory
  uint64_t inode() const { return inode_; }  // 0: private memory
  pid_t owner() const { return pid_; }       // the process that made it

 private:
  SharedMapping() = default;

  char* base_ = nullptr;
  size_t length_ = 0;
  base::UniqueFd file_;
  uint64_t inode_ = 0;
  pid_t pid_ = 0;
};

}  // namespace tutti::device::host
