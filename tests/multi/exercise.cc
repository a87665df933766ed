#include "tests/multi/exercise.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <tuple>

namespace tutti::test {
namespace {

// Elements between blocks whose displacements the caller chose.
constexpr size_t kGap = 3;

// How many elements rank `rank` has in a V form of about `count` each. Some have none.
size_t countOf(size_t count, int rank) {
  if (rank % 4 == 3) return 0;
  return count / static_cast<size_t>(1 + rank % 3) + static_cast<size_t>(rank % 2);
}

// What `from` sends to `to` in an all_to_all_v.
size_t countBetween(size_t count, int from, int to) {
  if ((from + 2 * to) % 5 == 4) return 0;
  return count / static_cast<size_t>(1 + (from + to) % 3) + static_cast<size_t>(from % 2);
}

// Where each rank's pattern for another rank starts in an all_to_all_v.
size_t startFor(int rank) { return static_cast<size_t>(rank) * 977; }

std::vector<size_t> packed(const std::vector<size_t>& counts, size_t gap) {
  std::vector<size_t> result;
  size_t next = 0;
  for (const size_t count : counts) {
    result.push_back(next);
    next += count + gap;
  }
  return result;
}

// Blocks in reversed order, with gaps.
std::vector<size_t> reversed(const std::vector<size_t>& counts) {
  std::vector<size_t> result(counts.size());
  size_t next = kGap;
  for (size_t i = counts.size(); i-- > 0;) {
    result[i] = next;
    next += counts[i] + kGap;
  }
  return result;
}

bool isV(Kind kind) { return kind >= Kind::kAllGatherV && kind <= Kind::kScatterV; }

// Reductions are the dear part of a reference, and all ranks of a process need the same.
const Reduced& cachedReduction(const Case& wanted, int size) {
  using Key = std::tuple<int, int, int, int, uint32_t>;
  static auto* const mutex = new std::mutex;
  static auto* const cache = new std::map<Key, Reduced>;
  const std::lock_guard lock(*mutex);
  const Key key{wanted.type, wanted.op, static_cast<int>(wanted.data), size, wanted.seed};
  const auto found = cache->find(key);
  if (found != cache->end()) return found->second;
  return cache->emplace(key, reduced(wanted.type, wanted.op, wanted.data, size, wanted.seed))
      .first->second;
}

}  // namespace

std::vector<Kind> allKinds() {
  std::vector<Kind> kinds;
  for (int i = 0; i < kKinds; ++i) kinds.push_back(static_cast<Kind>(i));
  return kinds;
}

std::string name(Kind kind) {
  static constexpr const char* kNames[kKinds] = {
      "all_reduce",       "reduce",       "broadcast", "bcast",     "all_gather",
      "reduce_scatter",   "all_to_all",   "gather",    "scatter",   "all_gather_v",
      "reduce_scatter_v", "all_to_all_v", "gather_v",  "scatter_v", "send_recv"};
  return kNames[static_cast<int>(kind)];
}

bool isReducing(Kind kind) {
  return kind == Kind::kAllReduce || kind == Kind::kReduce || kind == Kind::kReduceScatter ||
         kind == Kind::kReduceScatterV;
}

bool hasRoot(Kind kind) {
  return kind == Kind::kReduce || kind == Kind::kBroadcast || kind == Kind::kBcast ||
         kind == Kind::kGather || kind == Kind::kScatter || kind == Kind::kGatherV ||
         kind == Kind::kScatterV;
}

bool canBeInPlace(Kind kind) { return kind != Kind::kAllToAllV && kind != Kind::kSendRecv; }

std::string toString(const Case& wanted) {
  static constexpr const char* kMemories[] = {"plain", "shared", "mixed"};
  return fmt::format(
      "{} of {} {}{}{}{}, {} memory{}, seed {}", name(wanted.kind), wanted.count, name(wanted.type),
      isReducing(wanted.kind) ? fmt::format(", {}", name(wanted.op)) : "",
      hasRoot(wanted.kind) ? fmt::format(", root {}", wanted.root) : "",
      wanted.isInPlace ? ", in place" : "", kMemories[static_cast<int>(wanted.memory)],
      wanted.misalignment > 0 ? fmt::format(" + {} B", wanted.misalignment) : "", wanted.seed);
}

Buffer::Buffer(RankContext& context, size_t bytes, bool isShared, size_t misalignment)
    : bytes_(bytes), isShared_(isShared) {
  const size_t all = bytes + 2 * kRedZone + misalignment;
  void* memory = nullptr;
  if (isShared) {
    TUTTI_REQUIRE(context, tuttiMemAlloc(&memory, all));
  } else {
    memory = std::malloc(all);
  }
  if (memory == nullptr) context.fail(fmt::format("no memory for {} bytes", all));
  base_ = static_cast<std::byte*>(memory);
  data_ = base_ + kRedZone + misalignment;
  std::memset(base_, static_cast<int>(kCanary), all);
}

Buffer::~Buffer() {
  if (isShared_) {
    (void)tuttiMemFree(base_);
  } else {
    std::free(base_);
  }
}

bool Buffer::isIntact() const {
  const auto isCanary = [](std::byte byte) { return byte == kCanary; };
  return std::all_of(base_, data_, isCanary) &&
         std::all_of(data_ + bytes_, data_ + bytes_ + kRedZone, isCanary);
}

Exercise::Exercise(RankContext& context, const Case& wanted, tuttiComm_t comm)
    : context_(context),
      case_(wanted),
      comm_(comm == nullptr ? context.comm() : comm),
      elementBytes_(sizeOf(wanted.type)) {
  TUTTI_REQUIRE(context, tuttiCommUserRank(comm_, &rank_));
  TUTTI_REQUIRE(context, tuttiCommCount(comm_, &size_));
  case_.root %= size_;
  patterns_.resize(static_cast<size_t>(size_));
  if (isV(case_.kind)) {
    makeTables();
    describeV();
  } else {
    describeSimple();
  }
  if (isReducing(case_.kind)) reduced_ = cachedReduction(case_, size_);
  allocate();
  fill();
}

void Exercise::describeSimple() {
  const size_t count = case_.count;
  const auto ranks = static_cast<size_t>(size_);
  const auto self = static_cast<size_t>(rank_);
  const bool isRoot = rank_ == case_.root;
  const auto outputFromAll = [&](size_t start) {
    for (size_t r = 0; r < ranks; ++r) {
      outputs_.push_back({r * count, count, static_cast<int>(r), start});
    }
  };
  switch (case_.kind) {
    case Kind::kAllReduce:
    case Kind::kReduce:
      inputs_ = {{0, count, rank_, 0}};
      if (case_.kind == Kind::kAllReduce || isRoot) outputs_ = {{0, count, -1, 0}};
      break;
    case Kind::kBroadcast:
    case Kind::kBcast:
      if (isRoot) inputs_ = {{0, count, rank_, 0}};
      outputs_ = {{0, count, case_.root, 0}};
      break;
    case Kind::kAllGather:
    case Kind::kGather:
      inputs_ = {{0, count, rank_, 0}};
      if (case_.kind == Kind::kAllGather || isRoot) outputFromAll(0);
      break;
    case Kind::kReduceScatter:
      inputs_ = {{0, count * ranks, rank_, 0}};
      outputs_ = {{0, count, -1, self * count}};
      break;
    case Kind::kAllToAll:
      inputs_ = {{0, count * ranks, rank_, 0}};
      outputFromAll(self * count);
      break;
    case Kind::kScatter:
      if (isRoot) inputs_ = {{0, count * ranks, rank_, 0}};
      outputs_ = {{0, count, case_.root, self * count}};
      break;
    default:
      inputs_ = {{0, count, rank_, 0}};
      outputs_ = {{0, count, (rank_ + size_ - 1) % size_, 0}};
      break;
  }
}

// Displacements: packed (null) where the seed is even, else with gaps and, on odd ranks, reversed.
void Exercise::makeTables() {
  const auto displace = [&](const std::vector<size_t>& counts) {
    if (case_.seed % 2 == 0) return packed(counts, 0);
    return rank_ % 2 == 0 ? packed(counts, kGap) : reversed(counts);
  };
  for (int r = 0; r < size_; ++r) {
    const bool isExchange = case_.kind == Kind::kAllToAllV;
    counts_.push_back(isExchange ? countBetween(case_.count, rank_, r) : countOf(case_.count, r));
    if (isExchange) recvCounts_.push_back(countBetween(case_.count, r, rank_));
  }
  displs_ = displace(counts_);
  if (!recvCounts_.empty()) recvDispls_ = displace(recvCounts_);
}

void Exercise::describeV() {
  const bool isRoot = rank_ == case_.root;
  const auto self = static_cast<size_t>(rank_);
  const auto starts = packed(counts_, 0);
  const auto fromAll = [&](std::vector<Part>& parts, bool isOwnData) {
    for (size_t r = 0; r < counts_.size(); ++r) {
      const int of = isOwnData ? rank_ : static_cast<int>(r);
      parts.push_back({displs_[r], counts_[r], of, isOwnData ? starts[r] : 0});
    }
  };
  switch (case_.kind) {
    case Kind::kAllGatherV:
    case Kind::kGatherV:
      inputs_ = {{0, counts_[self], rank_, 0}};
      if (case_.kind == Kind::kAllGatherV || isRoot) fromAll(outputs_, false);
      break;
    case Kind::kReduceScatterV:
      fromAll(inputs_, true);
      outputs_ = {{0, counts_[self], -1, starts[self]}};
      break;
    case Kind::kScatterV:
      if (isRoot) fromAll(inputs_, true);
      outputs_ = {{0, counts_[self], case_.root, starts[self]}};
      break;
    default:
      for (size_t r = 0; r < counts_.size(); ++r) {
        inputs_.push_back({displs_[r], counts_[r], rank_, startFor(static_cast<int>(r))});
        outputs_.push_back({recvDispls_[r], recvCounts_[r], static_cast<int>(r), startFor(rank_)});
      }
      break;
  }
}

void Exercise::allocate() {
  const auto extent = [&](const std::vector<Part>& parts) {
    size_t end = 0;
    for (const auto& part : parts) end = std::max(end, part.offset + part.count);
    return end;
  };
  const bool isShared =
      case_.memory == Memory::kShared || (case_.memory == Memory::kMixed && rank_ % 2 == 1);
  const auto make = [&](size_t elements) {
    return std::make_unique<Buffer>(context_, elements * elementBytes_, isShared,
                                    case_.misalignment);
  };
  const size_t sends = extent(inputs_);
  const size_t receives = extent(outputs_);
  const auto self = static_cast<size_t>(rank_);
  if (case_.kind == Kind::kBcast) case_.isInPlace = true;
  if (!case_.isInPlace) {
    if (!inputs_.empty()) sendBuffer_ = make(sends);
    if (!outputs_.empty()) recvBuffer_ = make(receives);
    send_ = sendBuffer_ ? sendBuffer_->data() : nullptr;
    recv_ = recvBuffer_ ? recvBuffer_->data() : nullptr;
    return;
  }
  recvBuffer_ = make(std::max(sends, receives));
  send_ = recv_ = recvBuffer_->data();
  // The smaller of the two is this rank's part of the larger.
  const bool isGather = case_.kind == Kind::kAllGather || case_.kind == Kind::kAllGatherV ||
                        case_.kind == Kind::kGather || case_.kind == Kind::kGatherV;
  const bool isScatter = case_.kind == Kind::kReduceScatter ||
                         case_.kind == Kind::kReduceScatterV || case_.kind == Kind::kScatter ||
                         case_.kind == Kind::kScatterV;
  if (isGather && outputs_.size() > self) send_ += outputs_[self].offset * elementBytes_;
  if (isScatter && !inputs_.empty()) {
    recv_ += (isV(case_.kind) ? displs_[self] : self * case_.count) * elementBytes_;
  }
}

const Pattern& Exercise::patternOf(int rank) {
  auto& pattern = patterns_[static_cast<size_t>(rank)];
  if (pattern == nullptr) {
    pattern = std::make_unique<Pattern>(
        isReducing(case_.kind)
            ? contribution(case_.type, case_.op, case_.data, rank, size_, case_.seed)
            : anyBits(case_.type, rank, case_.seed));
  }
  return *pattern;
}

void Exercise::fill() {
  for (const auto& part : inputs_) {
    patternOf(part.of).fill(send_ + part.offset * elementBytes_, part.start, part.count);
  }
}

tuttiResult_t Exercise::call(tuttiStream_t stream) {
  context_.doing(toString(case_));
  if (case_.op != kPreMulSum || !isReducing(case_.kind)) return callWith(case_.op, stream);
  std::byte scalar[8] = {};
  encode(case_.type, preMulScalar(rank_), scalar);
  tuttiRedOp_t op = tuttiSum;
  TUTTI_REQUIRE(context_, tuttiRedOpCreatePreMulSum(&op, scalar, case_.type,
                                                    tuttiScalarHostImmediate, comm_));
  const tuttiResult_t result = callWith(op, stream);
  TUTTI_REQUIRE(context_, tuttiRedOpDestroy(op, comm_));
  return result;
}

tuttiResult_t Exercise::callWith(tuttiRedOp_t op, tuttiStream_t stream) {
  const auto& [kind, count, type, unused, root, isInPlace, memory, misalignment, data, seed] =
      case_;
  switch (kind) {
    case Kind::kAllReduce: return tuttiAllReduce(send_, recv_, count, type, op, comm_, stream);
    case Kind::kReduce: return tuttiReduce(send_, recv_, count, type, op, root, comm_, stream);
    case Kind::kBroadcast: return tuttiBroadcast(send_, recv_, count, type, root, comm_, stream);
    case Kind::kBcast: return tuttiBcast(recv_, count, type, root, comm_, stream);
    case Kind::kAllGather: return tuttiAllGather(send_, recv_, count, type, comm_, stream);
    case Kind::kReduceScatter:
      return tuttiReduceScatter(send_, recv_, count, type, op, comm_, stream);
    case Kind::kAllToAll: return tuttiAllToAll(send_, recv_, count, type, comm_, stream);
    case Kind::kGather: return tuttiGather(send_, recv_, count, type, root, comm_, stream);
    case Kind::kScatter: return tuttiScatter(send_, recv_, count, type, root, comm_, stream);
    case Kind::kSendRecv: return exchangeWithNeighbours(stream);
    default: return callV(op, stream);
  }
}

tuttiResult_t Exercise::callV(tuttiRedOp_t op, tuttiStream_t stream) {
  const auto type = case_.type;
  const size_t own = counts_[static_cast<size_t>(rank_)];
  const size_t* counts = counts_.data();
  const size_t* displs = case_.seed % 2 == 0 ? nullptr : displs_.data();
  const size_t* recvDispls = case_.seed % 2 == 0 ? nullptr : recvDispls_.data();
  const bool isRoot = rank_ == case_.root;
  switch (case_.kind) {
    case Kind::kAllGatherV:
      return tuttiAllGatherV(send_, own, recv_, counts, displs, type, comm_, stream);
    case Kind::kReduceScatterV:
      return tuttiReduceScatterV(send_, recv_, counts, displs, type, op, comm_, stream);
    case Kind::kAllToAllV:
      return tuttiAllToAllV(send_, counts, displs, recv_, recvCounts_.data(), recvDispls, type,
                            comm_, stream);
    case Kind::kGatherV:
      return tuttiGatherV(send_, own, recv_, isRoot ? counts : nullptr, isRoot ? displs : nullptr,
                          type, case_.root, comm_, stream);
    default:
      return tuttiScatterV(send_, isRoot ? counts : nullptr, isRoot ? displs : nullptr, recv_, own,
                           type, case_.root, comm_, stream);
  }
}

tuttiResult_t Exercise::exchangeWithNeighbours(tuttiStream_t stream) {
  TUTTI_REQUIRE(context_, tuttiGroupStart());
  (void)tuttiSend(send_, case_.count, case_.type, (rank_ + 1) % size_, comm_, stream);
  (void)tuttiRecv(recv_, case_.count, case_.type, (rank_ + size_ - 1) % size_, comm_, stream);
  return tuttiGroupEnd();
}

void Exercise::verify() {
  verifyParts();
  verifyGaps();
  if (!case_.isInPlace) verifyInput();
  for (auto* buffer : {sendBuffer_.get(), recvBuffer_.get()}) {
    if (buffer != nullptr && !buffer->isIntact()) {
      context_.fail(fmt::format("{}: memory beside the {} buffer was overwritten", toString(case_),
                                buffer == sendBuffer_.get() ? "send" : "receive"));
    }
  }
}

void Exercise::verifyParts() {
  for (const auto& part : outputs_) {
    const std::byte* found = recv_ + part.offset * elementBytes_;
    const ptrdiff_t wrong = part.of < 0
                                ? reduced_.firstWrong(case_.type, found, part.start, part.count)
                                : patternOf(part.of).firstWrong(found, part.start, part.count);
    if (wrong < 0) continue;
    const auto index = static_cast<size_t>(wrong);
    const size_t at = part.start + index;
    const std::string expected =
        part.of < 0 && !reduced_.isExact
            ? fmt::format("{:.9g} +- {:.3g}", reduced_.value[at % kPeriod],
                          reduced_.tolerance[at % kPeriod])
            : show(case_.type, part.of < 0 ? reduced_.expected.at(at) : patternOf(part.of).at(at));
    report("result", part.offset + index, found + index * elementBytes_, expected);
  }
}

// What lies between the blocks of a V form is not touched.
void Exercise::verifyGaps() {
  if (case_.isInPlace || recvBuffer_ == nullptr) return;
  std::vector<Part> parts = outputs_;
  std::sort(parts.begin(), parts.end(),
            [](const Part& a, const Part& b) { return a.offset < b.offset; });
  size_t next = 0;
  for (const auto& part : parts) {
    for (size_t i = next * elementBytes_; i < part.offset * elementBytes_; ++i) {
      if (recv_[i] != Buffer::kCanary) {
        context_.fail(
            fmt::format("{}: byte {}, between two blocks, was overwritten", toString(case_), i));
      }
    }
    next = std::max(next, part.offset + part.count);
  }
}

void Exercise::verifyInput() {
  for (const auto& part : inputs_) {
    const std::byte* found = send_ + part.offset * elementBytes_;
    const ptrdiff_t wrong = patternOf(part.of).firstWrong(found, part.start, part.count);
    if (wrong < 0) continue;
    const auto index = static_cast<size_t>(wrong);
    report("send buffer, which was changed,", part.offset + index, found + index * elementBytes_,
           show(case_.type, patternOf(part.of).at(part.start + index)));
  }
}

void Exercise::report(const char* what, size_t index, const std::byte* found,
                      const std::string& expected) {
  context_.fail(fmt::format("{}: element {} of the {} is {}, expected {}", toString(case_), index,
                            what, show(case_.type, found), expected));
}

size_t Exercise::recvBytes() const {
  size_t end = 0;
  for (const auto& part : outputs_) end = std::max(end, part.offset + part.count);
  return end * elementBytes_;
}

uint64_t Exercise::resultHash() { return hash(recv_, recvBytes()); }

void exercise(RankContext& context, const Case& wanted, tuttiComm_t comm) {
  Exercise one(context, wanted, comm);
  TUTTI_REQUIRE(context, one.call());
  one.verify();
}

}  // namespace tutti::test
