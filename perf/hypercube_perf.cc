// All-gather by sends and receives along the edges of a hypercube: step by step the known blocks
// double. Powers of two only.
#include "perf/common/collective.h"
#include "perf/common/tool.h"

namespace tutti::perf {
namespace {

class HyperCube : public Collective {
 public:
  const char* name() const override { return "HyperCube"; }
  std::string refuse(int size, size_t /*minBytes*/, size_t /*maxBytes*/) const override {
    if ((size & (size - 1)) == 0) return {};
    return "a hypercube needs a power of two of ranks, not " + std::to_string(size);
  }
  Shape shape(size_t count, size_t elementBytes, int size) const override {
    const size_t part = partOf(count, elementBytes, size);
    return {part, part * size, part, part, 0};
  }
  Bandwidth bandwidth(const Shape& shape, size_t elementBytes, double seconds,
                      int size) const override {
    const double bytes = static_cast<double>(shape.count * elementBytes) * (size - 1);
    return {gigabytesPerSecond(bytes, seconds), gigabytesPerSecond(bytes, seconds)};
  }
  tuttiResult_t run(const Call& c) const override {
    char* base = static_cast<char*>(c.recv);
    const size_t part = c.count * c.elementBytes;
    tuttiResult_t result = tuttiSuccess;
    if (!c.inPlace) result = tuttiMemcpy(c.comm, base + c.rank * part, c.send, part, c.stream);
    for (int mask = 1; mask < c.size && result == tuttiSuccess; mask <<= 1) {
      const int block = c.rank & ~(mask - 1);
      result = exchange(c, base + block * part, base + (block ^ mask) * part, mask);
    }
    return result;
  }
  std::vector<Segment> sent(const Call& c) const override {
    return {{0, c.count, Segment::kInput, c.rank, 0}};
  }
  std::vector<Segment> received(const Call& c) const override {
    std::vector<Segment> segments;
    for (int r = 0; r < c.size; ++r) {
      segments.push_back({r * c.count, c.count, Segment::kInput, r, 0});
    }
    return segments;
  }

 private:
  // `mask` blocks each way with the neighbour across that dimension.
  static tuttiResult_t exchange(const Call& c, const char* send, char* recv, int mask) {
    const int peer = c.rank ^ mask;
    tuttiResult_t result = tuttiGroupStart();
    if (result != tuttiSuccess) return result;
    result = tuttiSend(send, c.count * mask, c.type, peer, c.comm, c.stream);
    if (result == tuttiSuccess) {
      result = tuttiRecv(recv, c.count * mask, c.type, peer, c.comm, c.stream);
    }
    const tuttiResult_t ended = tuttiGroupEnd();
    return result != tuttiSuccess ? result : ended;
  }
};

}  // namespace
}  // namespace tutti::perf

int main(int argc, char** argv) { return tutti::perf::runTool<tutti::perf::HyperCube>(argc, argv); }
