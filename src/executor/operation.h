// One collective, send or receive while it runs on this rank.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "src/base/status.h"
#include "src/device/device.h"
#include "src/executor/program.h"

namespace tutti::executor {

// What may run for a call: `main`, or `fallback` where a peer's buffer turns out unreachable. Where
// that is to be expected, `staged`, which never asks; there where `fallback` is.
struct Programs {
  Program main;
  std::unique_ptr<Program> fallback;
  std::unique_ptr<Program> staged;
};

// What a call asks of an engine. The buffers stay valid until the operation is done.
struct Request {
  std::shared_ptr<const Programs> programs;
  const void* input = nullptr;
  void* output = nullptr;
  device::Factor factor;         // of this rank's contribution
  bool isPart = false;           // send, receive: part of the collective that was started last
  const void* scalar = nullptr;  // where the factor's bits are read once the gate is open; null: no
  // Order against a stream, both or neither: the operation starts once *gate is non-zero, and sets
  // *release and notifies `order` when it is done.
  std::shared_ptr<std::atomic<uint32_t>> gate;
  std::shared_ptr<std::atomic<uint32_t>> release;
  device::StreamOrder* order = nullptr;
  int64_t* doneNs = nullptr;  // where to write when it was done; null: nowhere
};

// A peer's buffers as this process reaches them.
struct Attachment {
  std::byte* input = nullptr;  // null: only by kernel-assisted copies
  std::byte* output = nullptr;
  uint64_t inputAddress = 0;  // in the peer's process
  uint64_t outputAddress = 0;
  device::Factor factor;
};

struct LaneState {
  uint32_t step = 0;
  uint32_t iteration = 0;
  uint64_t done = 0;  // bytes of a long memory step that are done
};

struct Operation {
  Request request;
  const Programs* programs = nullptr;
  const Program* program = nullptr;
  uint64_t number = 0;     // of this collective in the communicator, from 1; 0: send or receive
  uint64_t part = 0;       // send, receive: number of the collective it is part of; 0: of none
  uint64_t signature = 0;  // of the call and, for a collective and its parts, of all before it
  uint64_t turn = 0;       // send, receive: place in the queue of its peer and direction
  bool isStarted = false;
  bool isDone = false;
  bool isAsync = false;
  int64_t stillSinceNs = 0;  // it has waited for peers since then; 0: it moved, or its turn has
                             // not come
  base::Status status;
  std::vector<LaneState> lanes;
  std::vector<Attachment> attachments;  // by rank, once attached
};

}  // namespace tutti::executor
