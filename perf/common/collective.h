// What makes one tool different from another: the call, its counts, its bandwidth, and what must be
// in the buffers before and after. A tool is one class derived from Collective and a main.
#pragma once

#include <tutti/tutti.h>

#include <cstddef>
#include <string>
#include <vector>

namespace tutti::perf {

// Elements. Offsets in place are for each rank: rank r sends from r * sendOffset of the receive
// buffer and receives at r * recvOffset of it.
struct Shape {
  size_t sendCount = 0;
  size_t recvCount = 0;
  size_t count = 0;  // the parameter of the call, and what the table prints
  size_t sendOffset = 0;
  size_t recvOffset = 0;
};

struct Bandwidth {
  double algorithm = 0;  // GB/s
  double bus = 0;
};

// One call of the measured operation.
struct Call {
  const void* send = nullptr;
  void* recv = nullptr;
  size_t count = 0;  // Shape::count
  tuttiDataType_t type = tuttiFloat;
  size_t elementBytes = 4;
  tuttiRedOp_t op = tuttiSum;
  int root = 0;
  int rank = 0;
  int size = 1;
  bool inPlace = false;
  tuttiComm_t comm = nullptr;
  tuttiStream_t stream = nullptr;
};

// A run of elements of a buffer and what they are.
struct Segment {
  enum Kind {
    kInput,      // elements [first, ...) of what `rank` contributes
    kReduced,    // elements [first, ...) of the reduction over all ranks
    kUntouched,  // what was there before the call
  };
  size_t offset = 0;
  size_t count = 0;
  Kind kind = kInput;
  int rank = 0;
  size_t first = 0;
};

class Collective {
 public:
  virtual ~Collective() = default;

  virtual const char* name() const = 0;
  virtual bool isReduction() const { return false; }
  virtual bool hasRoot() const { return false; }
  // Whether the result in place is defined, so that it can be checked.
  virtual bool checksInPlace() const { return true; }
  // Why this cannot run with `size` ranks or these sizes; empty where it can.
  virtual std::string refuse(int size, size_t minBytes, size_t maxBytes) const;

  // For a size of `count` elements in all.
  virtual Shape shape(size_t count, size_t elementBytes, int size) const = 0;
  virtual Bandwidth bandwidth(const Shape& shape, size_t elementBytes, double seconds,
                              int size) const = 0;

  // The hot path: called in a tight loop.
  virtual tuttiResult_t run(const Call& call) const = 0;

  // The send buffer before, from its start (call.send), and the receive buffer after (call.recv).
  // What no segment names is not looked at. `call` has no pointers set.
  virtual std::vector<Segment> sent(const Call& call) const = 0;
  virtual std::vector<Segment> received(const Call& call) const = 0;

  // More lines for the table, as comments; printed after each out-of-place measurement.
  virtual std::string summary(const Shape& shape, size_t elementBytes, double seconds,
                              int size) const;
};

// bytes / seconds in GB/s; 0 where nothing moves.
double gigabytesPerSecond(double bytes, double seconds);

// count / size, rounded down so that each rank's part is a multiple of 16 bytes.
size_t partOf(size_t count, size_t elementBytes, int size);

// The shape and bandwidth of collectives whose buffers hold a part for every rank: the larger of
// the two buffers is size * part.
Bandwidth partedBandwidth(const Shape& shape, size_t elementBytes, double seconds, int size);

}  // namespace tutti::perf
