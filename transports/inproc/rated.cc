#include "transports/inproc/rated.h"

#include <sys/mman.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <mutex>
#include <new>
#include <queue>
#include <thread>
#include <utility>

#include "src/base/clock.h"
#include "transports/segment.h"

namespace tutti::transports::inproc {

const Backend* backend();

namespace {

constexpr int kAllChannels = ir::Limits::kChannels + ir::Limits::kNarrowChannels;
constexpr int kPostPlaces = kBoardOps * ir::Limits::kPosts;

// What one rank sees of another: a segment of which only what arrived is there.
class Arrived {
 public:
  explicit Arrived(int size)
      : bytes_(SegmentView::bytesFor(size)),
        memory_(mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) {
    if (memory_ == MAP_FAILED) throw std::bad_alloc();
    view_ = {static_cast<std::byte*>(memory_), size};
  }
  ~Arrived() { munmap(memory_, bytes_); }
  Arrived(const Arrived&) = delete;
  Arrived& operator=(const Arrived&) = delete;
  const SegmentView& view() const { return view_; }

 private:
  size_t bytes_;
  void* memory_;
  SegmentView view_;
};

void copyHead(SlotHead& to, const SlotHead& from) {
  to.bytes = from.bytes;
  to.offset = from.offset;
  std::memcpy(to.inlinePayload, from.inlinePayload, sizeof(to.inlinePayload));
}

}  // namespace

// Carries everything from every rank to every other.
class Wire {
 public:
  Wire(int size, RatedLinks links)
      : size_(size),
        links_(std::move(links)),
        outFree_(links_.out.size()),
        inFree_(links_.in.size()),
        linkFree_(static_cast<size_t>(size * size)),
        thread_([this] { run(); }) {}
  ~Wire() {
    isStopping_.store(true);
    thread_.join();
  }

  // What `reader` sees of `writer`, from now on.
  SegmentView attach(int reader, SegmentView readerSegment, int writer, SegmentView writerSegment) {
    const std::lock_guard lock(mutex_);
    auto& pair = pairs_.emplace_back(std::make_unique<Pair>(size_));
    pair->from = writer;
    pair->to = reader;
    pair->sent = writerSegment;
    pair->reader = readerSegment;
    const auto& from = writerSegment.header();
    auto& to = pair->arrived.view().header();
    to.magic = from.magic;
    to.version = from.version;
    to.rank = from.rank;
    to.size = from.size;
    std::memcpy(to.token, from.token, sizeof(to.token));
    return pair->arrived.view();
  }
  void detach(const SegmentView& arrived) {
    const std::lock_guard lock(mutex_);
    for (auto& pair : pairs_) {
      if (pair->arrived.view().base == arrived.base) pair->isOpen = false;
    }
  }

 private:
  // One direction of two ranks. Closed ones stay until the end: events may name them.
  struct Pair {
    explicit Pair(int size) : arrived(size) {}
    int from = 0, to = 0;
    bool isOpen = true;
    SegmentView sent;    // the writer's own segment
    SegmentView reader;  // the reader's own, for its bell
    Arrived arrived;
    uint64_t seen[kAllChannels] = {};  // messages that have left their slots
    uint64_t acks[kAllChannels] = {};
    uint64_t posts[kPostPlaces] = {};  // tags
  };
  enum class Kind { kAtLink, kAtEntry, kThere };
  struct Event {
    int64_t ns;
    uint64_t order;  // of equal times: as they were made
    Kind kind;
    Pair* pair;
    int place;       // channel, or kAllChannels + post, or -1 - channel: an acknowledgement
    uint64_t value;  // message number, tag, or number of acknowledged messages
    uint64_t bytes;
    bool operator>(const Event& other) const {
      return ns != other.ns ? ns > other.ns : order > other.order;
    }
  };

  void run() {
    // Messages take hundreds of microseconds where rates matter; what is noticed late leaves late,
    // but passes the rest of its way at the times it should.
    constexpr auto kPause = std::chrono::microseconds(20);
    while (!isStopping_.load()) {
      {
        const std::lock_guard lock(mutex_);
        for (auto& pair : pairs_) {
          if (pair->isOpen) collect(*pair);
        }
        while (!events_.empty() && events_.top().ns <= base::nowNs()) {
          const Event event = events_.top();
          events_.pop();
          if (event.pair->isOpen) handle(event);
        }
      }
      std::this_thread::sleep_for(kPause);
    }
  }

  static int64_t take(int64_t now, int64_t& free, uint64_t bytes, uint64_t rate) {
    const int64_t start = std::max(now, free);
    free = rate == 0 ? start
                     : start + static_cast<int64_t>(static_cast<double>(bytes) * 1e9 /
                                                    static_cast<double>(rate));
    return free;
  }
  size_t index(const Pair& pair) const { return static_cast<size_t>(pair.from * size_ + pair.to); }
  int64_t delay(const Pair& pair) const {
    return links_.delayNs.empty() ? 0 : links_.delayNs[index(pair)];
  }
  void add(int64_t ns, Kind kind, const Event& of) {
    Event event = of;
    event.ns = ns;
    event.kind = kind;
    event.order = ++orders_;
    events_.push(event);
  }

  // What the writer has done since the last look.
  void collect(Pair& pair) {
    copyProgress(pair);
    const int64_t now = base::nowNs();
    const auto leave = [&](int place, uint64_t value, uint64_t bytes) {
      const auto rank = static_cast<size_t>(pair.from);
      const Event event{0, 0, Kind::kAtLink, &pair, place, value, bytes};
      add(take(now, outFree_[rank], bytes, links_.out[rank]), Kind::kAtLink, event);
    };
    for (int channel = 0; channel < kAllChannels; ++channel) {
      for (;;) {
        uint64_t& seen = pair.seen[channel];
        const SlotHead& head = *pair.sent.slot(pair.to, channel, seen).head;
        const uint64_t tag = head.tag.load(std::memory_order_acquire);
        if (tagNumber(tag) != static_cast<uint32_t>(seen + 1)) break;
        leave(channel, seen++, head.bytes);
      }
      const uint64_t acks = pair.sent.ack(pair.to, channel).consumed.load();
      if (acks == pair.acks[channel]) continue;
      pair.acks[channel] = acks;
      add(now + delay(pair), Kind::kThere, {0, 0, Kind::kThere, &pair, -1 - channel, acks, 0});
    }
    for (int place = 0; place < kPostPlaces; ++place) {
      const Post& post = postAt(pair.sent, place);
      const uint64_t tag = post.tag.load(std::memory_order_acquire);
      if (tag == pair.posts[place]) continue;
      pair.posts[place] = tag;
      leave(kAllChannels + place, tag, post.bytes);
    }
  }

  static Post& postAt(const SegmentView& segment, int place) {
    return segment.post(static_cast<uint64_t>(place / ir::Limits::kPosts),
                        place % ir::Limits::kPosts);
  }

  // How far the writer is, which costs nothing.
  static void copyProgress(Pair& pair) {
    auto& from = pair.sent.header();
    auto& to = pair.arrived.view().header();
    const auto copy = [](auto& target, const auto& source) {
      target.store(source.load(std::memory_order_acquire), std::memory_order_release);
    };
    for (int at = 0; at < kOpLogSize; ++at) {
      copy(to.log[at].signature, from.log[at].signature);
      copy(to.log[at].count, from.log[at].count);
      copy(to.log[at].collective, from.log[at].collective);
      copy(to.log[at].type, from.log[at].type);
      copy(to.log[at].op, from.log[at].op);
      copy(to.log[at].root, from.log[at].root);
      copy(to.log[at].number, from.log[at].number);
    }
    // Who left has completed what it completed.
    const uint32_t state = from.state.load(std::memory_order_acquire);
    copy(to.completedOps, from.completedOps);
    if (state == to.state.load(std::memory_order_relaxed)) return;
    std::memcpy(to.failure, from.failure, sizeof(to.failure));
    to.state.store(state, std::memory_order_release);
    ringIfSleeping(pair.reader.header().bell);
  }

  void handle(const Event& event) {
    Pair& pair = *event.pair;
    if (event.kind == Kind::kAtLink) {
      const uint64_t rate = links_.between.empty() ? 0 : links_.between[index(pair)];
      const int64_t ns = take(event.ns, linkFree_[index(pair)], event.bytes, rate);
      return add(ns, Kind::kAtEntry, event);
    }
    if (event.kind == Kind::kAtEntry) {
      const auto rank = static_cast<size_t>(pair.to);
      const int64_t ns = take(event.ns, inFree_[rank], event.bytes, links_.in[rank]);
      return add(ns + delay(pair), Kind::kThere, event);
    }
    deliver(event);
    ringIfSleeping(pair.reader.header().bell);
  }

  void deliver(const Event& event) {
    const Pair& pair = *event.pair;
    const SegmentView& arrived = pair.arrived.view();
    if (event.place < 0) {
      arrived.ack(pair.to, -1 - event.place).consumed.store(event.value, std::memory_order_release);
      return;
    }
    if (event.place >= kAllChannels) {
      const Post& from = postAt(pair.sent, event.place - kAllChannels);
      Post& to = postAt(arrived, event.place - kAllChannels);
      copyHead(to, from);
      std::memcpy(to.data(event.bytes), const_cast<Post&>(from).data(event.bytes), event.bytes);
      to.tag.store(event.value, std::memory_order_release);
      return;
    }
    const auto from = pair.sent.slot(pair.to, event.place, event.value);
    const auto to = arrived.slot(pair.to, event.place, event.value);
    copyHead(*to.head, *from.head);
    if (event.bytes > SlotHead::kInlineBytes) {
      std::memcpy(to.payload + from.head->offset, from.payload + from.head->offset, event.bytes);
    }
    to.head->tag.store(from.head->tag.load(), std::memory_order_release);
  }

  const int size_;
  const RatedLinks links_;
  std::mutex mutex_;  // guards all below
  std::vector<std::unique_ptr<Pair>> pairs_;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::vector<int64_t> outFree_, inFree_, linkFree_;  // when each has carried what it was given
  uint64_t orders_ = 0;
  std::atomic<bool> isStopping_{false};
  std::thread thread_;  // last: uses all above
};

namespace {

class RatedConnection final : public Connection {
 public:
  RatedConnection(Wire& wire, std::unique_ptr<Connection> plain, SegmentView arrived)
      : wire_(wire), plain_(std::move(plain)), arrived_(arrived) {}
  ~RatedConnection() override { wire_.detach(arrived_); }

  SegmentView segment() const override { return arrived_; }
  std::byte* mapPeer(uint64_t, const device::ShareHandle&, size_t) override { return nullptr; }
  bool canCopy() const override { return false; }
  base::Status readPeer(void*, uint64_t, size_t) override { return unreachable(); }
  base::Status writePeer(uint64_t, const void*, size_t) override { return unreachable(); }

 private:
  static base::Status unreachable() {
    return {base::Code::kInternalError, 0, "a rated link does not reach the peer's memory"};
  }
  Wire& wire_;
  std::unique_ptr<Connection> plain_;  // keeps the peer's segment
  SegmentView arrived_;
};

class RatedContext final : public Context {
 public:
  RatedContext(Wire& wire, const ContextOptions& options, std::unique_ptr<Context> plain)
      : wire_(wire), options_(options), plain_(std::move(plain)) {}

  std::string descriptor() const override { return plain_->descriptor(); }
  bool canReach(std::string_view peer) const override { return plain_->canReach(peer); }
  ir::Reach reach() const override { return ir::Reach::kMessage; }
  std::string address() const override { return plain_->address(); }
  base::Result<std::unique_ptr<Connection>> connect(ir::Rank peer,
                                                    std::string_view address) override {
    TUTTI_ASSIGN_OR_RETURN(auto plain, plain_->connect(peer, address));
    const SegmentView arrived =
        wire_.attach(options_.rank, options_.segment, peer, plain->segment());
    return std::unique_ptr<Connection>(
        std::make_unique<RatedConnection>(wire_, std::move(plain), arrived));
  }

 private:
  Wire& wire_;
  ContextOptions options_;
  std::unique_ptr<Context> plain_;
};

class RatedBackend final : public Backend {
 public:
  explicit RatedBackend(Wire& wire) : wire_(wire) {}
  std::string_view name() const override { return "inproc_rated"; }
  std::string describe() const override { return "ranks as threads, over links with rates"; }
  int preference() const override { return 0; }
  base::Result<std::unique_ptr<Context>> open(const ContextOptions& options) const override {
    TUTTI_ASSIGN_OR_RETURN(auto plain, inproc::backend()->open(options));
    return std::unique_ptr<Context>(
        std::make_unique<RatedContext>(wire_, options, std::move(plain)));
  }

 private:
  Wire& wire_;
};

}  // namespace

RatedFabric::RatedFabric(int size, RatedLinks links)
    : wire_(std::make_unique<Wire>(size, std::move(links))),
      backend_(std::make_unique<RatedBackend>(*wire_)) {}

RatedFabric::~RatedFabric() = default;

const Backend& RatedFabric::backend() const { return *backend_; }

}  // namespace tutti::transports::inproc
