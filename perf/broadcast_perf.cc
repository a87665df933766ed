// Broadcast: every rank gets the root's vector.
#include "perf/common/collective.h"
#include "perf/common/tool.h"

namespace tutti::perf {
namespace {

class Broadcast : public Collective {
 public:
  const char* name() const override { return "Broadcast"; }
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
    return tuttiBroadcast(c.send, c.recv, c.count, c.type, c.root, c.comm, c.stream);
  }
  std::vector<Segment> sent(const Call& c) const override {
    if (c.rank != c.root) return {};
    return {{0, c.count, Segment::kInput, c.root, 0}};
  }
  std::vector<Segment> received(const Call& c) const override {
    return {{0, c.count, Segment::kInput, c.root, 0}};
  }
};

}  // namespace
}  // namespace tutti::perf

int main(int argc, char** argv) { return tutti::perf::runTool<tutti::perf::Broadcast>(argc, argv); }
