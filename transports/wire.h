// Wire: what a network transport does itself, sending frames to one peer. Everything above frames
// is the same for all of them (messages.h).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "src/base/status.h"

namespace tutti::transports {

// Ties a frame to the communicator: what does not carry it is dropped.
using Cookie = std::array<std::byte, 16>;

// In a time that does not depend on where they differ.
bool isSame(const Cookie& a, const Cookie& b);

// Addresses of networks are bytes; between ranks they travel as text.
std::string toHex(std::string_view bytes);
// False where `text` is not what toHex writes of at least one byte.
bool fromHex(std::string_view text, std::string& bytes);

enum class FrameKind : uint8_t { kMessage = 1, kState = 2, kAcknowledge = 3 };

// What precedes each payload on the wire; as it is in memory, for all machines that Tutti runs on
// are little-endian.
struct Frame {
  // How many messages of a channel the sender of the frame has read, modulo 2^32.
  struct Read {
    uint32_t count = 0;
    uint8_t channel = 0;
    uint8_t unused[3] = {};
  };
  static constexpr int kMostReads = 4;

  Cookie cookie = {};
  FrameKind kind = FrameKind::kMessage;
  uint8_t version = 1;
  uint8_t channel = 0;
  uint8_t reads = 0;  // how many of `read` hold
  int32_t from = 0;   // the rank that sent it
  uint32_t bytes = 0;
  uint32_t number = 0;  // of the message in its channel, modulo 2^32
  uint64_t tag = 0;
  Read read[kMostReads] = {};
  uint32_t sentUs = 0;       // of a long message: by the sender's clock (meter.h)
  uint32_t windowBytes = 0;  // that its sender may have under way
};
static_assert(sizeof(Frame) == 80);

// Memory for payloads that are on their way out. Before `data` are kHeadroom bytes that are the
// wire's: a frame and its payload in one piece.
struct SendBuffer {
  static constexpr uint32_t kHeadroom = 128;

  std::unique_ptr<std::byte[]> memory;
  std::byte* data = nullptr;
  uint32_t capacity = 0;
};

// To one peer. Frames of one wire may overtake each other; none is lost or doubled as long as the
// wire has not failed.
class Wire {
 public:
  // Who is told. Calls come out of Driver::progress, or out of send itself.
  class Sink {
   public:
    virtual ~Sink() = default;
    // The buffer of a frame may be written again; null where it had none.
    virtual void sent(SendBuffer* buffer) = 0;
    // True if the data is wanted for longer than the call: Wire::giveBack gets `token` once it has
    // been read.
    virtual bool arrived(const Frame& frame, std::byte* data, void* token) = 0;
    virtual void failed(base::Status why) = 0;
  };

  virtual ~Wire() = default;
  // `frame` is copied; frame.bytes of `buffer` stay as they are until sent().
  virtual void send(const Frame& frame, SendBuffer* buffer) = 0;
  virtual void giveBack(void* token) = 0;
  // Frames with a payload wait here for room on the way, while those without still go ahead.
  virtual bool isBackedUp() const { return false; }
};

}  // namespace tutti::transports
