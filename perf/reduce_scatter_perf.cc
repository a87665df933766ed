// Reduce-scatter: every rank gets its part of the reduction of all vectors.
#include "perf/common/collective.h"
#include "perf/common/tool.h"

namespace tutti::perf {
namespace {

class ReduceScatter : public Collective {
 public:
  const char* name() const override { return "ReduceScatter"; }
  bool isReduction() const override { return true; }
  Shape shape(size_t count, size_t elementBytes, int size) const override {
    const size_t part = partOf(count, elementBytes, size);
    return {part * size, part, part, 0, part};
  }
  Bandwidth bandwidth(const Shape& shape, size_t elementBytes, double seconds,
                      int size) const override {
    return partedBandwidth(shape, elementBytes, seconds, size);
  }
  tuttiResult_t run(const Call& c) const override {
    return tuttiReduceScatter(c.send, c.recv, c.count, c.type, c.op, c.comm, c.stream);
  }
  std::vector<Segment> sent(const Call& c) const override {
    return {{0, c.size * c.count, Segment::kInput, c.rank, 0}};
  }
  std::vector<Segment> received(const Call& c) const override {
    return {{0, c.count, Segment::kReduced, 0, c.rank * c.count}};
  }
};

}  // namespace
}  // namespace tutti::perf

int main(int argc, char** argv) {
  return tutti::perf::runTool<tutti::perf::ReduceScatter>(argc, argv);
}
