#include "src/cli/demo_checks.h"

#include <algorithm>
#include <numeric>

namespace tutti::cli {
namespace {

// A whole number in 0..63 that is different for neighbouring elements and ranks.
float valueOf(int rank, size_t element) {
  const uint64_t mixed = (element * 2654435761u) ^ (static_cast<uint64_t>(rank) * 40503u + 77u);
  return static_cast<float>((mixed ^ (mixed >> 11)) & 63);
}

size_t partCount(int from, int to) {
  return 1000 + 37 * static_cast<size_t>(from) + 101 * static_cast<size_t>(to);
}

}  // namespace

Pattern::Pattern(int size) : tables_(static_cast<size_t>(size) + 1) {
  auto& sum = tables_.back();
  sum.fill(0);
  for (int rank = 0; rank < size; ++rank) {
    auto& own = tables_[static_cast<size_t>(rank)];
    for (size_t i = 0; i < kPeriod; ++i) {
      own[i] = valueOf(rank, i);
      sum[i] += own[i];
    }
  }
}

const float* Pattern::table(int rank) const {
  return (rank < 0 ? tables_.back() : tables_[static_cast<size_t>(rank)]).data();
}

void Pattern::fill(float* to, int rank, size_t first, size_t count) const {
  const float* values = table(rank);
  size_t place = first % kPeriod;
  for (size_t done = 0; done < count;) {
    const size_t length = std::min(count - done, kPeriod - place);
    std::copy_n(values + place, length, to + done);
    done += length;
    place = 0;
  }
}

size_t Pattern::countWrong(const float* found, int rank, size_t first, size_t count) const {
  const float* values = table(rank);
  size_t place = first % kPeriod;
  size_t wrong = 0;
  for (size_t done = 0; done < count;) {
    const size_t length = std::min(count - done, kPeriod - place);
    for (size_t i = 0; i < length; ++i) wrong += found[done + i] == values[place + i] ? 0 : 1;
    done += length;
    place = 0;
  }
  return wrong;
}

Checks::Checks(tuttiComm_t comm, int rank, int size)
    : comm_(comm),
      rank_(rank),
      size_(size),
      root_(size - 1),
      pattern_(size),
      send_(kCount * static_cast<size_t>(size)),
      recv_(send_.size()) {
  pattern_.fill(send_.data(), rank, 0, send_.size());
  size_t start = 0;
  for (int r = 0; r < size; ++r) {
    counts_.push_back(kCount / 2 + 101 * static_cast<size_t>(r));
    starts_.push_back(start);
    start += counts_.back();
    sendCounts_.push_back(partCount(rank, r));
    recvCounts_.push_back(partCount(r, rank));
  }
  addEqual();
  addMessages();
  addVariable();
}

Checks::~Checks() {
  if (stream_ != nullptr) (void)tuttiStreamDestroy(comm_, stream_);
}

void Checks::spoil() { std::fill(recv_.begin(), recv_.end(), -1.0F); }

void Checks::add(const char* name, std::function<tuttiResult_t()> run,
                 std::function<size_t()> count) {
  checks_.push_back({name, std::move(run), std::move(count)});
}

size_t Checks::wrongInput(size_t at, size_t count, int from, size_t first) const {
  return pattern_.countWrong(recv_.data() + at, from, first, count);
}

// The collectives with one count for all ranks.
void Checks::addEqual() {
  const float* send = send_.data();
  float* recv = recv_.data();
  const auto own = kCount * static_cast<size_t>(rank_);
  const auto ofAll = [this](size_t first) {
    size_t wrong = 0;
    for (int r = 0; r < size_; ++r) {
      wrong += wrongInput(kCount * static_cast<size_t>(r), kCount, r, first);
    }
    return wrong;
  };
  const auto sum = [this] { return wrongInput(0, kCount, kSumOfRanks, 0); };
  const auto isRoot = rank_ == root_;
  add(
      "all_reduce",
      [=, this] {
        return tuttiAllReduce(send, recv, kCount, tuttiFloat, tuttiSum, comm_, nullptr);
      },
      sum);
  add(
      "reduce",
      [=, this] {
        return tuttiReduce(send, recv, kCount, tuttiFloat, tuttiSum, root_, comm_, nullptr);
      },
      [=] { return isRoot ? sum() : 0; });
  add(
      "broadcast",
      [=, this] {
        return tuttiBroadcast(isRoot ? send : nullptr, recv, kCount, tuttiFloat, root_, comm_,
                              nullptr);
      },
      [this] { return wrongInput(0, kCount, root_, 0); });
  add(
      "all_gather",
      [=, this] { return tuttiAllGather(send, recv, kCount, tuttiFloat, comm_, nullptr); },
      [=] { return ofAll(0); });
  add(
      "reduce_scatter",
      [=, this] {
        return tuttiReduceScatter(send, recv, kCount, tuttiFloat, tuttiSum, comm_, nullptr);
      },
      [=, this] { return wrongInput(0, kCount, kSumOfRanks, own); });
  add(
      "all_to_all",
      [=, this] { return tuttiAllToAll(send, recv, kCount, tuttiFloat, comm_, nullptr); },
      [=] { return ofAll(own); });
  add(
      "gather",
      [=, this] { return tuttiGather(send, recv, kCount, tuttiFloat, root_, comm_, nullptr); },
      [=] { return isRoot ? ofAll(0) : 0; });
  add(
      "scatter",
      [=, this] { return tuttiScatter(send, recv, kCount, tuttiFloat, root_, comm_, nullptr); },
      [=, this] { return wrongInput(0, kCount, root_, own); });
}

// A ring of sends and receives, and a collective in the order of a stream.
void Checks::addMessages() {
  const float* send = send_.data();
  float* recv = recv_.data();
  const int next = (rank_ + 1) % size_;
  const int previous = (rank_ + size_ - 1) % size_;
  add(
      "send + recv",
      [=, this] {
        (void)tuttiGroupStart();
        (void)tuttiSend(send, kCount, tuttiFloat, next, comm_, nullptr);
        (void)tuttiRecv(recv, kCount, tuttiFloat, previous, comm_, nullptr);
        return tuttiGroupEnd();  // with the first error of the group
      },
      [=, this] { return wrongInput(0, kCount, previous, 0); });
  add(
      "on a stream",
      [=, this] {
        if (stream_ == nullptr) {
          const auto made = tuttiStreamCreate(comm_, &stream_);
          if (made != tuttiSuccess) return made;
        }
        const auto queued =
            tuttiAllReduce(send, recv, kCount, tuttiFloat, tuttiSum, comm_, stream_);
        return queued == tuttiSuccess ? tuttiStreamSynchronize(comm_, stream_) : queued;
      },
      [this] { return wrongInput(0, kCount, kSumOfRanks, 0); });
}

// The collectives with a count for each rank.
void Checks::addVariable() {
  const float* send = send_.data();
  float* recv = recv_.data();
  const auto rank = static_cast<size_t>(rank_);
  const size_t* counts = counts_.data();
  const auto ofAll = [this] {
    size_t wrong = 0;
    for (int r = 0; r < size_; ++r) {
      const auto i = static_cast<size_t>(r);
      wrong += wrongInput(starts_[i], counts_[i], r, 0);
    }
    return wrong;
  };
  const auto isRoot = rank_ == root_;
  add(
      "all_gather_v",
      [=, this] {
        return tuttiAllGatherV(send, counts[rank], recv, counts, nullptr, tuttiFloat, comm_,
                               nullptr);
      },
      ofAll);
  add(
      "reduce_scatter_v",
      [=, this] {
        return tuttiReduceScatterV(send, recv, counts, nullptr, tuttiFloat, tuttiSum, comm_,
                                   nullptr);
      },
      [=, this] { return wrongInput(0, counts[rank], kSumOfRanks, starts_[rank]); });
  add(
      "all_to_all_v",
      [=, this] {
        return tuttiAllToAllV(send, sendCounts_.data(), nullptr, recv, recvCounts_.data(), nullptr,
                              tuttiFloat, comm_, nullptr);
      },
      [this] {
        size_t wrong = 0;
        size_t at = 0;
        for (int from = 0; from < size_; ++from) {
          size_t first = 0;
          for (int to = 0; to < rank_; ++to) first += partCount(from, to);
          const size_t count = recvCounts_[static_cast<size_t>(from)];
          wrong += wrongInput(at, count, from, first);
          at += count;
        }
        return wrong;
      });
  add(
      "gather_v",
      [=, this] {
        return tuttiGatherV(send, counts[rank], recv, counts, nullptr, tuttiFloat, root_, comm_,
                            nullptr);
      },
      [=] { return isRoot ? ofAll() : 0; });
  add(
      "scatter_v",
      [=, this] {
        return tuttiScatterV(send, counts, nullptr, recv, counts[rank], tuttiFloat, root_, comm_,
                             nullptr);
      },
      [=, this] { return wrongInput(0, counts[rank], root_, starts_[rank]); });
}

const std::vector<std::string>& checkNames() {
  static const std::vector<std::string> kNames = [] {
    std::vector<std::string> names;
    const Checks checks(nullptr, 0, 1);
    for (const auto& check : checks.list()) names.emplace_back(check.name);
    return names;
  }();
  return kNames;
}

}  // namespace tutti::cli
