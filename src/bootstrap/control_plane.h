// The control plane of one communicator: how its ranks find each other, exchange small values and
// learn that one of them is gone. Data never travels here.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/status.h"

namespace tutti::bootstrap {

inline constexpr size_t kUniqueIdBytes = 128;

// Protocol version, addresses of the rendezvous and a 32-byte random secret. Layout in
// src/bootstrap/README.md.
struct UniqueId {
  std::array<std::byte, kUniqueIdBytes> bytes{};
  bool operator==(const UniqueId&) const = default;
};

// Makes an id and serves its rendezvous from a thread of this process until all ranks of one
// communicator have joined (or the process ends). An id is good for one communicator. Does not
// block. With TUTTI_ADDR set, every process gets an equivalent id instead, rank 0 serves the
// rendezvous there while it joins, and the id is good for one communicator after the other.
base::Result<UniqueId> createUniqueId();
// The same, but served by this process whatever TUTTI_ADDR says: for communicators that a program
// makes of others or within one process.
base::Result<UniqueId> createServedId();

struct JoinOptions {
  std::span<const UniqueId> ids;  // one, or several for init by several roots
  int rank = 0;
  int size = 1;
  std::chrono::milliseconds timeout{30000};  // zero: for ever
  // Checked at least every 100 ms while joining; set by another thread to give up.
  const std::atomic<bool>* isAborted = nullptr;
};

// What happened to a peer.
struct PeerFailure {
  int rank = -1;
  bool isAbort = false;  // the peer called abort; otherwise it died or fell silent
  std::string reason;    // "process 4711 on host a exited", "no sign of life for 30 s" ...
};

// Who reads the notes that ranks send each other beside the exchanges. Called on the control
// plane's own thread, which serves all communicators of the process: it must not block.
class NoteListener {
 public:
  virtual ~NoteListener() = default;
  virtual void onNote(int from, std::string_view text) = 0;
  virtual void onTick() = 0;
};

// A resource: one owner, neither copied nor moved. join and allGather block their calling thread
// and are called by one thread at a time; the other methods may be called by any thread at any
// time.
class ControlPlane {
 public:
  // Connects to the rendezvous, proves knowledge of the secret, and waits until every rank has
  // joined. Errors name the ranks that did not come, a size that differs, a rank taken twice.
  static base::Result<std::unique_ptr<ControlPlane>> join(const JoinOptions& options);

  virtual ~ControlPlane() = default;
  ControlPlane(const ControlPlane&) = delete;
  ControlPlane& operator=(const ControlPlane&) = delete;

  virtual int rank() const = 0;
  virtual int size() const = 0;

  // Gives every rank's value to every rank; result[r] is rank r's. Values may differ in length, up
  // to 16 MiB. Collective. Ends with an error that names the rank when a peer dies, aborts or does
  // not arrive within the timeout.
  virtual base::Result<std::vector<std::string>> allGather(std::string_view mine) = 0;

  // 32 bytes derived from the secret and `label`, the same on every rank; ties data connections to
  // this communicator (libsodium keyed hash).
  virtual std::array<std::byte, 32> deriveToken(std::string_view label) const = 0;

  // The first peer failure known so far. hasFailed() is one relaxed atomic load, cheap enough for
  // spin loops.
  virtual bool hasFailed() const = 0;
  virtual std::optional<PeerFailure> failure() const = 0;

  // Tells all peers that this rank gives up and why; their failure() then names this rank. Does not
  // block for longer than 100 ms.
  virtual void announceAbort(std::string_view reason) = 0;

  // Calls `listener` from now on, onTick so often; null: nobody, and none is inside when this
  // returns. Notes that come while nobody listens are lost.
  virtual void listen(NoteListener* listener, std::chrono::milliseconds tick) = 0;

  // Sends a note, from rank 0 to all others and from these to rank 0; two of one rank arrive in
  // their order. Does not block, and nobody says whether it arrived.
  virtual void note(std::string_view text) = 0;

  // Tells all peers that this rank leaves in order, so that closing is no failure. Destroying the
  // object without it looks like a death to the peers.
  virtual void announceLeave() = 0;

 protected:
  ControlPlane() = default;
};

}  // namespace tutti::bootstrap
