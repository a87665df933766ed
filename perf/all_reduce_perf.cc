// All-reduce: every rank gets the reduction of all vectors.
#include "perf/common/collective.h"
#include "perf/common/tool.h"

namespace tutti::perf {
namespace {

class AllReduce : public Collective {
 public:
  const char* name() const override { return "AllReduce"; }
  bool isReduction() const override { return true; }
  Shape shape(size_t count, size_t /*elementBytes*/, int /*size*/) const override {
    return {count, count, count, 0, 0};
  }
  Bandwidth bandwidth(const Shape& shape, size_t elementBytes, double seconds,
                      int size) const override {
    const double gbps =
        gigabytesPerSecond(static_cast<double>(shape.count * elementBytes), seconds);
    return {gbps, gbps * 2 * (size - 1) / size};
  }
  tuttiResult_t run(const Call& c) const override {
    return tuttiAllReduce(c.send, c.recv, c.count, c.type, c.op, c.comm, c.stream);
  }
  std::vector<Segment> sent(const Call& c) const override {
    return {{0, c.count, Segment::kInput, c.rank, 0}};
  }
  std::vector<Segment> received(const Call& c) const override {
    return {{0, c.count, Segment::kReduced, 0, 0}};
  }
};

}  // namespace
}  // namespace tutti::perf

int main(int argc, char** argv) { return tutti::perf::runTool<tutti::perf::AllReduce>(argc, argv); }
