// What the ranks of a run tell each other beside the measured work: clocks, counts, records. Over
// the run's own communicator, so that no other channel is needed.
#pragma once

#include <tutti/tutti.h>

#include <cstddef>
#include <span>
#include <vector>

namespace tutti::perf {

// One rank's end. Every call is collective over the communicator and blocks.
class Control {
 public:
  // `isHost`: the rank's memory is host memory. The communicator must outlive this.
  Control(tuttiComm_t comm, bool isHost);
  ~Control();
  Control(const Control&) = delete;
  Control& operator=(const Control&) = delete;

  void barrier();

  // Element by element over all ranks; sum, min or max.
  void reduce(std::span<double> values, tuttiRedOp_t op);
  double reduce(double value, tuttiRedOp_t op);

  // `bytes` bytes of every rank, in rank order.
  std::vector<std::byte> gather(const void* record, size_t bytes);

  int rank() const { return rank_; }
  int size() const { return size_; }

 private:
  // Room for at least `bytes` in both buffers.
  void reserve(size_t bytes);
  void freeBuffers();
  void copy(void* to, const void* from, size_t bytes);

  tuttiComm_t comm_;
  bool isHost_;
  int rank_ = 0;
  int size_ = 1;
  void* send_ = nullptr;
  void* recv_ = nullptr;
  size_t capacity_ = 0;
};

}  // namespace tutti::perf
