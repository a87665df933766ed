// All-gather: every rank gets every rank's part.
#include "perf/common/collective.h"
#include "perf/common/tool.h"

namespace tutti::perf {
namespace {

class AllGather : public Collective {
 public:
  const char* name() const override { return "AllGather"; }
  Shape shape(size_t count, size_t elementBytes, int size) const override {
    const size_t part = partOf(count, elementBytes, size);
    return {part, part * size, part, part, 0};
  }
  Bandwidth bandwidth(const Shape& shape, size_t elementBytes, double seconds,
                      int size) const override {
    return partedBandwidth(shape, elementBytes, seconds, size);
  }
  tuttiResult_t run(const Call& c) const override {
    return tuttiAllGather(c.send, c.recv, c.count, c.type, c.comm, c.stream);
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
};

}  // namespace
}  // namespace tutti::perf

int main(int argc, char** argv) { return tutti::perf::runTool<tutti::perf::AllGather>(argc, argv); }
