// Frames to and from the peers of one communicator, through a plugin.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "src/base/fd.h"
#include "src/base/status.h"
#include "transports/messages.h"
#include "transports/net_plugin/library.h"
#include "transports/transport.h"

namespace tutti::transports::net_plugin {

class PluginWire;

// One per communicator, on one device. A plugin connects one direction at a time, to a handle that
// only one connection may come by: this rank listens for each of its peers, and tells each its
// handle (introductions).
class Port final : public Driver {
 public:
  static base::Result<std::unique_ptr<Port>> open(const Network& network,
                                                  const ContextOptions& options);
  ~Port() override;

  base::Result<std::unique_ptr<Connection>> connect(ir::Rank peer);
  std::vector<std::string> introductions() const;
  void admit(const std::vector<std::string>& introductions);

  // ---- Driver ----
  bool progress() override;
  bool settle() override;
  // A timer, for plugins have nothing that could be waited for: first after tens of microseconds,
  // in the end five times a millisecond.
  int eventDescriptor() const override { return timer_.get(); }
  bool arm() override;

 private:
  friend class PluginWire;
  static constexpr int64_t kLeastPauseNs = 20'000;
  static constexpr int64_t kMostPauseNs = 200'000;

  Port(std::unique_ptr<Session> session, const Device& device, const ContextOptions& options);
  Plugin& plugin() const { return session_->plugin(); }

  ContextOptions options_;
  std::unique_ptr<Session> session_;
  Device device_;
  int mostSends_ = 0;  // under way to one peer
  int posted_ = 0;     // receives from one peer
  base::UniqueFd timer_;
  int64_t pauseNs_ = kLeastPauseNs;
  std::vector<PluginWire*> wires_;  // by rank; null: no connection
};

// The frames of one peer: one communication to send and one to receive. A frame is one message, its
// payload right behind it, out of one piece of memory that the plugin knows; what arrives is read
// where it lies, and another buffer is posted in its place.
//
// The end. Plugins resent communications that are closed with receives posted (aws-ofi-nccl gives
// up the domain that others share). So a rank that leaves sends, behind the frame that says so, an
// empty frame for each receive that its peer then has posted, and the peer posts no more.
class PluginWire final : public Wire {
 public:
  PluginWire(Port& port, MessageConnection& connection, ir::Rank peer)
      : port_(port), connection_(connection), peer_(peer) {}
  ~PluginWire() override;

  // Before all else; what the peer must know is in introduction().
  base::Status listen();
  const std::string& introduction() const { return introduction_; }
  // What the peer said.
  void admit(const std::string& introduction);

  // Moves what can be moved. True if anything arrived.
  bool progress();
  void pushSends();
  // Has the peer what was sent, and this rank, of a peer that has left, all that comes?
  bool isSettled() const;

  void send(const Frame& frame, SendBuffer* buffer) override;
  void giveBack(void* token) override;

 private:
  struct Outgoing {
    Frame frame;
    SendBuffer* buffer = nullptr;
    int slot = -1;  // where the frame lies, of those without a buffer
    void* request = nullptr;
    bool isFiller = false;
  };
  // A frame that was received, or room for one.
  struct Incoming {
    std::byte* frame = nullptr;
    void* region = nullptr;
    void* request = nullptr;
    bool isShort = false;  // never posted
  };
  // Memory, and as what the plugin knows it; null: not at all.
  struct Block {
    std::unique_ptr<std::byte[]> memory;
    void* region = nullptr;
  };

  Plugin& plugin() const { return port_.plugin(); }
  void failSends(std::string_view what, abi::Result result);
  void failReceives(std::string_view what, abi::Result result);
  void tellFailure(std::string_view what, abi::Result result);
  void giveUpSends();

  // Making the connection.
  void establish();
  void startSending();
  void startReceiving();

  bool post(Outgoing& outgoing);  // false: later
  void* regionOf(SendBuffer& buffer);
  void retireSends();

  Incoming* takeRoom();
  Incoming* takeShort();
  void postReceives();
  bool takeArrivals();
  bool hasPeerLeft() const;
  void sendFillers();
  void arrived(Incoming& incoming, size_t bytes);
  bool isOurs(const Frame& frame, size_t bytes) const;

  void closeSending();
  void closeReceiving();

  Port& port_;
  MessageConnection& connection_;
  ir::Rank peer_;
  bool hasSendFailed_ = false;
  bool hasReceiveFailed_ = false;
  std::string introduction_;
  alignas(16) std::array<std::byte, abi::kHandleBytes> peerHandle_ = {};
  bool hasPeerHandle_ = false;
  int peerPosts_ = 0;  // receives that it has posted at any time
  void* listening_ = nullptr;
  void* sending_ = nullptr;
  void* receiving_ = nullptr;

  std::deque<Outgoing> waiting_;   // until the plugin takes them
  std::deque<Outgoing> underWay_;  // oldest first
  Block slots_;                    // for frames without a buffer
  std::vector<int> freeSlots_;
  std::unordered_map<const SendBuffer*, void*> regions_;
  std::vector<std::unique_ptr<std::byte[]>> kept_;  // what the plugin may still be sending

  std::vector<Block> blocks_;
  std::vector<std::unique_ptr<Incoming>> incoming_;
  std::vector<Incoming*> freeIncoming_;
  std::vector<Incoming*> freeShort_;
  std::deque<Incoming*> posted_;  // oldest first
  int toPost_ = 0;                // as many at any time; of a peer that has left, as many to come
};

}  // namespace tutti::transports::net_plugin
