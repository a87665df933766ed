#include "perf/common/buffers.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "perf/common/failure.h"

namespace tutti::perf {
namespace {

// Data are made and compared in pieces that stay in a core's cache; a multiple of every type.
constexpr size_t kPiece = size_t{64} << 10;
// As fp32 -2.9e-16, as fp16 -0.02: harmless where a timed loop adds it up.
constexpr unsigned char kPoison = 0xa5;

template <typename Body>
void inPieces(size_t count, size_t elementBytes, Body body) {
  const size_t step = kPiece / elementBytes;
  for (size_t done = 0; done < count; done += step) body(done, std::min(step, count - done));
}

void make(const Pattern& pattern, const Segment& segment, size_t done, size_t count, void* out,
          size_t elementBytes) {
  if (segment.kind == Segment::kUntouched)
    std::memset(out, kPoison, count * elementBytes);
  else if (segment.kind == Segment::kInput)
    pattern.input(segment.rank, segment.first + done, count, out);
  else
    pattern.reduced(segment.first + done, count, out);
}

}  // namespace

Buffer::Buffer(const Origin& origin, size_t bytes, size_t shift)
    : origin_(origin), bytes_(bytes + shift + kGuardBytes), shift_(shift) {
  void* pointer = nullptr;
  if (!origin_.isHost) {
    check(tuttiMemAllocOn(origin_.comm, &pointer, bytes_), "tuttiMemAllocOn", origin_.comm);
  } else if (origin_.isRegistered) {
    check(tuttiMemAlloc(&pointer, bytes_), "tuttiMemAlloc", origin_.comm);
  } else {
    pointer = std::malloc(bytes_);
  }
  if (pointer == nullptr) throw std::bad_alloc();
  base_ = static_cast<char*>(pointer);
  // Touch every page: reading memory that was never written is not what programs do.
  shift_ = 0;
  poison(0, bytes_ - kGuardBytes);
  shift_ = shift;
  if (!origin_.isRegistered) return;
  const tuttiResult_t result = tuttiCommRegister(origin_.comm, base_, bytes_, &handle_);
  if (result != tuttiSuccess) release();
  check(result, "tuttiCommRegister", origin_.comm);
}

Buffer::~Buffer() { release(); }

void Buffer::release() {
  if (handle_ != nullptr) (void)tuttiCommDeregister(origin_.comm, handle_);
  if (origin_.isHost && !origin_.isRegistered)
    std::free(base_);
  else
    (void)tuttiMemFree(base_);
  base_ = nullptr;
}

void Buffer::writeBytes(char* to, const void* from, size_t bytes) const {
  check(tuttiMemcpy(origin_.comm, to, from, bytes, nullptr), "tuttiMemcpy", origin_.comm);
}

const void* Buffer::readBytes(const char* from, size_t bytes, std::vector<char>& staging) const {
  if (origin_.isHost) return from;
  staging.resize(bytes);
  check(tuttiMemcpy(origin_.comm, staging.data(), from, bytes, nullptr), "tuttiMemcpy",
        origin_.comm);
  return staging.data();
}

void Buffer::poison(size_t from, size_t to) {
  char* start = data() + from;
  const size_t bytes = to + kGuardBytes - from;
  if (origin_.isHost) {
    std::memset(start, kPoison, bytes);
    return;
  }
  const std::vector<char> poison(std::min(bytes, kPiece), static_cast<char>(kPoison));
  inPieces(bytes, 1,
           [&](size_t done, size_t count) { writeBytes(start + done, poison.data(), count); });
}

void Buffer::write(const Pattern& pattern, const Segment& segment, size_t at, size_t elementBytes) {
  char* start = data() + at + segment.offset * elementBytes;
  std::vector<char> staging(kPiece);
  // An unaligned host buffer is written through the staging piece as well.
  const bool isDirect = origin_.isHost && reinterpret_cast<uintptr_t>(start) % elementBytes == 0;
  inPieces(segment.count, elementBytes, [&](size_t done, size_t count) {
    char* to = start + done * elementBytes;
    make(pattern, segment, done, count, isDirect ? to : staging.data(), elementBytes);
    if (isDirect) return;
    if (origin_.isHost)
      std::memcpy(to, staging.data(), count * elementBytes);
    else
      writeBytes(to, staging.data(), count * elementBytes);
  });
}

size_t Buffer::countWrong(const Pattern& pattern, const Segment& segment, size_t at,
                          size_t elementBytes) const {
  const char* start = data() + at + segment.offset * elementBytes;
  std::vector<char> expected(kPiece);
  std::vector<char> staging;
  size_t wrong = 0;
  inPieces(segment.count, elementBytes, [&](size_t done, size_t count) {
    make(pattern, segment, done, count, expected.data(), elementBytes);
    const void* got = readBytes(start + done * elementBytes, count * elementBytes, staging);
    wrong += pattern.countWrong(got, expected.data(), count);
  });
  return wrong;
}

size_t Buffer::countGuardWrong(size_t end) const {
  std::vector<char> staging;
  const auto* guard =
      static_cast<const unsigned char*>(readBytes(data() + end, kGuardBytes, staging));
  return static_cast<size_t>(std::count_if(guard, guard + kGuardBytes,
                                           [](unsigned char byte) { return byte != kPoison; }));
}

}  // namespace tutti::perf
