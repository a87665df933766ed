// Exercise: one collective with data whose result is known: prepare, call, verify.
//
// The three steps are apart, so that tests can put many calls into one group or on one stream.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/multi/ranks.h"
#include "tests/multi/values.h"

namespace tutti::test {

enum class Kind {
  kAllReduce,
  kReduce,
  kBroadcast,
  kBcast,
  kAllGather,
  kReduceScatter,
  kAllToAll,
  kGather,
  kScatter,
  kAllGatherV,
  kReduceScatterV,
  kAllToAllV,
  kGatherV,
  kScatterV,
  kSendRecv,  // a group: to the right neighbour, from the left one
};
inline constexpr int kKinds = 15;

std::vector<Kind> allKinds();
std::string name(Kind kind);
bool isReducing(Kind kind);
bool hasRoot(Kind kind);
bool canBeInPlace(Kind kind);

enum class Memory {
  kPlain,   // malloc
  kShared,  // tuttiMemAlloc
  kMixed,   // odd ranks shared, even ones plain
};

struct Case {
  Kind kind = Kind::kAllReduce;
  size_t count = 0;  // as the API counts; the V forms give each rank about that many
  tuttiDataType_t type = tuttiFloat32;
  tuttiRedOp_t op = tuttiSum;
  int root = 0;
  bool isInPlace = false;
  Memory memory = Memory::kPlain;
  size_t misalignment = 0;  // bytes after an aligned address
  Data data = Data::kExact;
  uint32_t seed = 1;
};

std::string toString(const Case& wanted);

// Memory with red zones around it.
class Buffer {
 public:
  Buffer(RankContext& context, size_t bytes, bool isShared, size_t misalignment);
  ~Buffer();
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  std::byte* data() { return data_; }
  size_t bytes() const { return bytes_; }
  // Nothing wrote beside the buffer.
  bool isIntact() const;

  static constexpr std::byte kCanary{0xA5};

 private:
  static constexpr size_t kRedZone = 64;
  std::byte* base_ = nullptr;
  std::byte* data_ = nullptr;
  size_t bytes_;
  bool isShared_;
};

class Exercise {
 public:
  // On `comm`, or on the context's communicator where null.
  Exercise(RankContext& context, const Case& wanted, tuttiComm_t comm = nullptr);

  // The Tutti call of this rank.
  tuttiResult_t call(tuttiStream_t stream = nullptr);
  // Fails the rank unless every element is right and nothing else was touched.
  void verify();
  // Equal on all ranks where the results are. Only after verify.
  uint64_t resultHash();

  std::byte* send() { return send_; }
  std::byte* recv() { return recv_; }
  size_t recvBytes() const;

 private:
  // Elements [start, start + count) of rank `of`'s pattern (-1: of the reduction), at `offset`.
  struct Part {
    size_t offset;
    size_t count;
    int of;
    size_t start;
  };

  void describeSimple();
  void describeV();
  void makeTables();
  void allocate();
  void fill();
  const Pattern& patternOf(int rank);
  tuttiResult_t callWith(tuttiRedOp_t op, tuttiStream_t stream);
  tuttiResult_t callV(tuttiRedOp_t op, tuttiStream_t stream);
  tuttiResult_t exchangeWithNeighbours(tuttiStream_t stream);
  void verifyParts();
  void verifyGaps();
  void verifyInput();
  [[noreturn]] void report(const char* what, size_t index, const std::byte* found,
                           const std::string& expected);

  RankContext& context_;
  Case case_;
  tuttiComm_t comm_;
  int rank_ = 0;
  int size_ = 1;
  size_t elementBytes_;
  std::vector<Part> inputs_, outputs_;
  std::vector<size_t> counts_, displs_;          // V forms known to all
  std::vector<size_t> recvCounts_, recvDispls_;  // all_to_all_v
  std::unique_ptr<Buffer> sendBuffer_, recvBuffer_;
  std::byte* send_ = nullptr;
  std::byte* recv_ = nullptr;
  std::vector<std::unique_ptr<Pattern>> patterns_;
  Reduced reduced_;
};

// Prepare, call with a null stream, verify.
void exercise(RankContext& context, const Case& wanted, tuttiComm_t comm = nullptr);

}  // namespace tutti::test
