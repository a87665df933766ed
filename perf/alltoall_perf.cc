// All-to-all: every rank gets a part of its own from every rank.
#include "perf/common/collective.h"
#include "perf/common/tool.h"

namespace tutti::perf {
namespace {

class AllToAll : public Collective {
 public:
  const char* name() const override { return "AlltoAll"; }
  Shape shape(size_t count, size_t elementBytes, int size) const override {
    const size_t part = partOf(count, elementBytes, size);
    return {part * size, part * size, part, 0, 0};
  }
  Bandwidth bandwidth(const Shape& shape, size_t elementBytes, double seconds,
                      int size) const override {
    return partedBandwidth(shape, elementBytes, seconds, size);
  }
  tuttiResult_t run(const Call& c) const override {
    return tuttiAllToAll(c.send, c.recv, c.count, c.type, c.comm, c.stream);
  }
  std::vector<Segment> sent(const Call& c) const override {
    return {{0, c.size * c.count, Segment::kInput, c.rank, 0}};
  }
  std::vector<Segment> received(const Call& c) const override {
    std::vector<Segment> segments;
    for (int r = 0; r < c.size; ++r) {
      segments.push_back({r * c.count, c.count, Segment::kInput, r, c.rank * c.count});
    }
    return segments;
  }
};

}  // namespace
}  // namespace tutti::perf

int main(int argc, char** argv) { return tutti::perf::runTool<tutti::perf::AllToAll>(argc, argv); }
