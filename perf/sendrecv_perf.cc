// Send and receive around a ring: every rank sends to the next and receives from the one before.
#include "perf/common/collective.h"
#include "perf/common/tool.h"

namespace tutti::perf {
namespace {

class SendRecv : public Collective {
 public:
  const char* name() const override { return "SendRecv"; }
  // One buffer both sent and received at once has no defined result.
  bool checksInPlace() const override { return false; }
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
    const int next = c.rank + 1 < c.size ? c.rank + 1 : 0;
    tuttiResult_t result = tuttiGroupStart();
    if (result != tuttiSuccess) return result;
    result = tuttiSend(c.send, c.count, c.type, next, c.comm, c.stream);
    if (result == tuttiSuccess) {
      result = tuttiRecv(c.recv, c.count, c.type, previous(c), c.comm, c.stream);
    }
    const tuttiResult_t ended = tuttiGroupEnd();
    return result != tuttiSuccess ? result : ended;
  }
  std::vector<Segment> sent(const Call& c) const override {
    return {{0, c.count, Segment::kInput, c.rank, 0}};
  }
  std::vector<Segment> received(const Call& c) const override {
    return {{0, c.count, Segment::kInput, previous(c), 0}};
  }

 private:
  static int previous(const Call& c) { return c.rank > 0 ? c.rank - 1 : c.size - 1; }
};

}  // namespace
}  // namespace tutti::perf

int main(int argc, char** argv) { return tutti::perf::runTool<tutti::perf::SendRecv>(argc, argv); }
