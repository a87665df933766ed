// Scatter: every rank gets its part of the root's vector.
#include "perf/common/collective.h"
#include "perf/common/tool.h"

namespace tutti::perf {
namespace {

class Scatter : public Collective {
 public:
  const char* name() const override { return "Scatter"; }
  bool hasRoot() const override { return true; }
  Shape shape(size_t count, size_t elementBytes, int size) const override {
    const size_t part = partOf(count, elementBytes, size);
    return {part * size, part, part, 0, part};
  }
  Bandwidth bandwidth(const Shape& shape, size_t elementBytes, double seconds,
                      int size) const override {
    return partedBandwidth(shape, elementBytes, seconds, size);
  }
  tuttiResult_t run(const Call& c) const override {
    return tuttiScatter(c.send, c.recv, c.count, c.type, c.root, c.comm, c.stream);
  }
  std::vector<Segment> sent(const Call& c) const override {
    if (c.rank != c.root) return {};
    return {{0, c.size * c.count, Segment::kInput, c.root, 0}};
  }
  std::vector<Segment> received(const Call& c) const override {
    return {{0, c.count, Segment::kInput, c.root, c.rank * c.count}};
  }
};

}  // namespace
}  // namespace tutti::perf

int main(int argc, char** argv) { return tutti::perf::runTool<tutti::perf::Scatter>(argc, argv); }
