// A rank's send and receive buffers on its device: filling them with test data and comparing them
// with what must be there, guard bytes behind the end included.
#pragma once

#include <tutti/tutti.h>

#include <cstddef>
#include <vector>

#include "perf/common/collective.h"
#include "perf/common/pattern.h"

namespace tutti::perf {

// Memory of one rank, owned. Host memory is read and written directly, a device's through
// tuttiMemcpy in pieces.
class Buffer {
 public:
  struct Origin {
    tuttiComm_t comm = nullptr;
    bool isHost = true;
    bool isRegistered = false;  // tuttiMemAlloc and tuttiCommRegister, in place of malloc
  };

  // `bytes` usable from data() on, which lies `shift` bytes into the allocation, and a guard
  // behind them.
  Buffer(const Origin& origin, size_t bytes, size_t shift);
  ~Buffer();
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  char* data() const { return base_ + shift_; }
  void setShift(size_t bytes) { shift_ = bytes; }

  // Fills [from, to) of data() and the guard behind it with the byte that nothing writes.
  void poison(size_t from, size_t to);

  // Writes one segment, `at` bytes into data().
  void write(const Pattern& pattern, const Segment& segment, size_t at, size_t elementBytes);

  // Elements of a segment that are not as they must be.
  size_t countWrong(const Pattern& pattern, const Segment& segment, size_t at,
                    size_t elementBytes) const;

  // Bytes of the guard behind data() + end that were written.
  size_t countGuardWrong(size_t end) const;

  // Bytes added behind every buffer.
  static constexpr size_t kGuardBytes = 256;

 private:
  void writeBytes(char* to, const void* from, size_t bytes) const;
  // A pointer to the bytes, in `staging` where they had to be fetched.
  const void* readBytes(const char* from, size_t bytes, std::vector<char>& staging) const;
  void release();

  Origin origin_;
  char* base_ = nullptr;
  size_t bytes_ = 0;
  size_t shift_ = 0;
  void* handle_ = nullptr;
};

}  // namespace tutti::perf
