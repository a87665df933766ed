// Reduce: the root gets the reduction of all vectors; the others' buffers stay as they were.
#include "perf/common/collective.h"
#include "perf/common/tool.h"

namespace tutti::perf {
namespace {

class Reduce : public Collective {
 public:
  const char* name() const override { return "Reduce"; }
  bool isReduction() const override { return true; }
  bool hasRoot() const override { return true; }
  Shape shape(size_t count, size_t /*elementBytes*/, int /*size*/) const override {
    return {count, count, count, 0, 0};
  }
  Bandwidth bandwidth(const Shape& shape, size_t elementBytes, double seconds,
                      int /*size*/) const override {
    const double gbps =
        gigabytesPerSecond(static_cast<double>(shape.count * elementBytes), seconds);
    return {gbps, gbps};
  }
  tuttiResult_t run(const Call& c) const override {
    return tuttiReduce(c.send, c.recv, c.count, c.type, c.op, c.root, c.comm, c.stream);
  }
  std::vector<Segment> sent(const Call& c) const override {
    return {{0, c.count, Segment::kInput, c.rank, 0}};
  }
  std::vector<Segment> received(const Call& c) const override {
    if (c.rank == c.root) return {{0, c.count, Segment::kReduced, 0, 0}};
    return {{0, c.count, c.inPlace ? Segment::kInput : Segment::kUntouched, c.rank, 0}};
  }
};

}  // namespace
}  // namespace tutti::perf

int main(int argc, char** argv) { return tutti::perf::runTool<tutti::perf::Reduce>(argc, argv); }
