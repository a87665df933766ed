// All-to-all with unequal parts: common/traffic.h says how much goes from rank to rank.
#include <algorithm>

#include "perf/common/collective.h"
#include "perf/common/failure.h"
#include "perf/common/tool.h"
#include "perf/common/traffic.h"

namespace tutti::perf {
namespace {

// Counts and displacements of one rank, in elements.
struct Counts {
  std::vector<size_t> send, sendAt, recv, recvAt;
  size_t sendTotal = 0;
  size_t recvTotal = 0;
};

class AllToAllV : public Collective {
 public:
  const char* name() const override { return "AlltoAllv"; }
  // Parts of different lengths would overwrite what is still to be sent.
  bool checksInPlace() const override { return false; }

  std::string refuse(int size, size_t minBytes, size_t maxBytes) const override {
    if (!traffic_.isMatrix()) return {};
    if (size > traffic_.dimension())
      return "the traffic matrix has fewer rows than there are ranks";
    if (minBytes != maxBytes) return "with a traffic matrix -b and -e must be equal";
    const size_t largest =
        std::max(traffic_.largestSent(size, 0), traffic_.largestReceived(size, 0));
    if (largest <= maxBytes) return {};
    return "the traffic matrix needs -b and -e of at least " + std::to_string(largest);
  }

  Shape shape(size_t count, size_t elementBytes, int size) const override {
    const size_t part = traffic_.isMatrix() ? 0 : partOf(count, elementBytes, size);
    const size_t total = part * size * elementBytes;
    return {traffic_.largestSent(size, total) / elementBytes,
            traffic_.largestReceived(size, total) / elementBytes, part, 0, 0};
  }

  Bandwidth bandwidth(const Shape& shape, size_t elementBytes, double seconds,
                      int size) const override {
    const size_t bytes = std::max(shape.sendCount, shape.recvCount) * elementBytes;
    const double gbps = gigabytesPerSecond(static_cast<double>(bytes), seconds);
    return {gbps, gbps * (size - 1) / size};
  }

  tuttiResult_t run(const Call& c) const override {
    const Counts& n = countsOf(c);
    if (c.inPlace) return runInPlace(c, n);
    return tuttiAllToAllV(c.send, n.send.data(), n.sendAt.data(), c.recv, n.recv.data(),
                          n.recvAt.data(), c.type, c.comm, c.stream);
  }

  std::vector<Segment> sent(const Call& c) const override {
    return {{0, countsOf(c).sendTotal, Segment::kInput, c.rank, 0}};
  }

  std::vector<Segment> received(const Call& c) const override {
    const Counts& n = countsOf(c);
    std::vector<Segment> segments;
    for (int r = 0; r < c.size; ++r) {
      Call other = c;
      other.rank = r;
      segments.push_back(
          {n.recvAt[r], n.recv[r], Segment::kInput, r, makeCounts(other).sendAt[c.rank]});
    }
    const size_t end = traffic_.largestReceived(c.size, totalOf(c)) / c.elementBytes;
    segments.push_back({n.recvTotal, end - n.recvTotal, Segment::kUntouched, 0, 0});
    return segments;
  }

  std::string summary(const Shape& shape, size_t elementBytes, double seconds,
                      int size) const override {
    if (!traffic_.printsSummary()) return {};
    return traffic_.summary(size, shape.count * size * elementBytes, seconds);
  }

 private:
  static size_t totalOf(const Call& c) { return c.count * c.size * c.elementBytes; }

  Counts makeCounts(const Call& c) const {
    Counts n;
    for (int peer = 0; peer < c.size; ++peer) {
      n.send.push_back(traffic_.bytes(c.rank, peer, c.size, totalOf(c)) / c.elementBytes);
      n.recv.push_back(traffic_.bytes(peer, c.rank, c.size, totalOf(c)) / c.elementBytes);
      n.sendAt.push_back(n.sendTotal);
      n.recvAt.push_back(n.recvTotal);
      n.sendTotal += n.send.back();
      n.recvTotal += n.recv.back();
    }
    return n;
  }

  // Made once for a size: a rank has a thread of its own, and run() is in the timed loop.
  const Counts& countsOf(const Call& c) const {
    thread_local Counts counts;
    thread_local size_t count = 0;
    thread_local size_t elementBytes = 0;
    if (counts.send.empty() || c.count != count || c.elementBytes != elementBytes) {
      counts = makeCounts(c);
      count = c.count;
      elementBytes = c.elementBytes;
    }
    return counts;
  }

  // As nccl-tests measures it: sends and receives over the same memory, the result undefined.
  static tuttiResult_t runInPlace(const Call& c, const Counts& n) {
    const char* send = static_cast<const char*>(c.send);
    char* recv = static_cast<char*>(c.recv);
    tuttiResult_t result = tuttiGroupStart();
    if (result != tuttiSuccess) return result;
    for (int peer = 0; peer < c.size && result == tuttiSuccess; ++peer) {
      if (n.send[peer] > 0) {
        result = tuttiSend(send + n.sendAt[peer] * c.elementBytes, n.send[peer], c.type, peer,
                           c.comm, c.stream);
      }
      if (n.recv[peer] > 0 && result == tuttiSuccess) {
        result = tuttiRecv(recv + n.recvAt[peer] * c.elementBytes, n.recv[peer], c.type, peer,
                           c.comm, c.stream);
      }
    }
    const tuttiResult_t ended = tuttiGroupEnd();
    return result != tuttiSuccess ? result : ended;
  }

  Traffic traffic_ = Traffic::fromEnvironment();
};

}  // namespace
}  // namespace tutti::perf

int main(int argc, char** argv) { return tutti::perf::runTool<tutti::perf::AllToAllV>(argc, argv); }
