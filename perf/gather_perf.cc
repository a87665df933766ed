// Gather: the root gets every rank's part; the others' buffers stay as they were.
#include "perf/common/collective.h"
#include "perf/common/tool.h"

namespace tutti::perf {
namespace {

class Gather : public Collective {
 public:
  const char* name() const override { return "Gather"; }
  bool hasRoot() const override { return true; }
  Shape shape(size_t count, size_t elementBytes, int size) const override {
    const size_t part = partOf(count, elementBytes, size);
    return {part, part * size, part, part, 0};
  }
  Bandwidth bandwidth(const Shape& shape, size_t elementBytes, double seconds,
                      int size) const override {
    return partedBandwidth(shape, elementBytes, seconds, size);
  }
  tuttiResult_t run(const Call& c) const override {
    return tuttiGather(c.send, c.recv, c.count, c.type, c.root, c.comm, c.stream);
  }
  std::vector<Segment> sent(const Call& c) const override {
    return {{0, c.count, Segment::kInput, c.rank, 0}};
  }
  std::vector<Segment> received(const Call& c) const override {
    std::vector<Segment> segments;
    for (int r = 0; r < c.size; ++r) {
      const bool isFilled = c.rank == c.root || (c.inPlace && c.rank == r);
      segments.push_back(
          {r * c.count, c.count, isFilled ? Segment::kInput : Segment::kUntouched, r, 0});
    }
    return segments;
  }
};

}  // namespace
}  // namespace tutti::perf

int main(int argc, char** argv) { return tutti::perf::runTool<tutti::perf::Gather>(argc, argv); }
