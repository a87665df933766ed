#include "perf/common/control.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "perf/common/failure.h"

namespace tutti::perf {
namespace {
constexpr size_t kFirstCapacity = 4096;
constexpr size_t kAlignment = 128;
}  // namespace

Control::Control(tuttiComm_t comm, bool isHost) : comm_(comm), isHost_(isHost) {
  check(tuttiCommUserRank(comm, &rank_), "tuttiCommUserRank", comm);
  check(tuttiCommCount(comm, &size_), "tuttiCommCount", comm);
  reserve(kFirstCapacity);
}

Control::~Control() { freeBuffers(); }

void Control::freeBuffers() {
  for (void* buffer : {send_, recv_}) {
    if (isHost_)
      std::free(buffer);
    else
      (void)tuttiMemFree(buffer);
  }
  send_ = recv_ = nullptr;
}

void Control::reserve(size_t bytes) {
  if (bytes <= capacity_) return;
  freeBuffers();
  capacity_ = (std::max(bytes, 2 * capacity_) + kAlignment - 1) / kAlignment * kAlignment;
  for (void** buffer : {&send_, &recv_}) {
    if (isHost_)
      *buffer = std::aligned_alloc(kAlignment, capacity_);
    else
      check(tuttiMemAllocOn(comm_, buffer, capacity_), "tuttiMemAllocOn", comm_);
    if (*buffer == nullptr) throw std::bad_alloc();
  }
}

void Control::copy(void* to, const void* from, size_t bytes) {
  if (isHost_)
    std::memcpy(to, from, bytes);
  else
    check(tuttiMemcpy(comm_, to, from, bytes, nullptr), "tuttiMemcpy", comm_);
}

void Control::reduce(std::span<double> values, tuttiRedOp_t op) {
  reserve(values.size_bytes());
  copy(send_, values.data(), values.size_bytes());
  check(tuttiAllReduce(send_, recv_, values.size(), tuttiDouble, op, comm_, nullptr),
        "tuttiAllReduce", comm_);
  copy(values.data(), recv_, values.size_bytes());
}

double Control::reduce(double value, tuttiRedOp_t op) {
  reduce(std::span(&value, 1), op);
  return value;
}

void Control::barrier() { (void)reduce(0, tuttiSum); }

std::vector<std::byte> Control::gather(const void* record, size_t bytes) {
  std::vector<std::byte> all(bytes * static_cast<size_t>(size_));
  reserve(all.size());
  copy(send_, record, bytes);
  check(tuttiAllGather(send_, recv_, bytes, tuttiUint8, comm_, nullptr), "tuttiAllGather", comm_);
  copy(all.data(), recv_, all.size());
  return all;
}

}  // namespace tutti::perf
