// A long cable between two network namespaces: a TAP device in each, and what leaves by one arrives
// by the other after a fixed time, in order. For kernels without netem. The rate is limited
// outside, by a queueing discipline of the devices.
//
//   tutti_net_delay NAMESPACE_FILE_A DEVICE_A NAMESPACE_FILE_B DEVICE_B MILLISECONDS
//
// Writes "ready" to stdout when both devices exist; runs until it is killed or
// a device goes. Segments that TCP has
// not cut to packets yet pass as they are (IFF_VNET_HDR), so a Gb/s costs little.
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <optional>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

// The header of IFF_VNET_HDR, an Ethernet header, and the longest segment.
constexpr size_t kLongestFrame = 10 + 14 + 65536;
// More waiting frames than this are dropped, as a router would.
constexpr size_t kMostFrames = 20000;

struct Frame {
  Clock::time_point due;
  std::vector<char> bytes;
};

int fail(const char* what, const char* name) {
  std::fprintf(stderr, "tutti_net_delay: %s %s: %s\n", what, name, std::strerror(errno));
  return -1;
}

// A new TAP device in the namespace, which the calling thread then stays in. -1: said on stderr.
int openTap(const char* namespaceFile, const char* device) {
  const int space = open(namespaceFile, O_RDONLY | O_CLOEXEC);
  if (space < 0 || setns(space, CLONE_NEWNET) != 0) return fail("cannot enter", namespaceFile);
  close(space);
  const int tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (tap < 0) return fail("cannot open", "/dev/net/tun");
  ifreq request = {};
  request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
  std::strncpy(request.ifr_name, device, sizeof(request.ifr_name) - 1);
  if (ioctl(tap, TUNSETIFF, &request) != 0) return fail("cannot make device", device);
  if (ioctl(tap, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) != 0) {
    return fail("cannot set offloads of", device);
  }
  return tap;
}

// What has been read and not written yet. Used buffers are kept.
class Cable {
 public:
  Cable(int from, int to, Clock::duration delay) : from_(from), to_(to), delay_(delay) {}

  // Ends when a device has gone, with its namespace.
  void run() {
    while (wait()) {
      receive();
      deliver();
    }
  }

 private:
  // Until there is something to read or a frame is due.
  bool wait() const {
    pollfd entry = {from_, POLLIN, 0};
    timespec left = {};
    if (!frames_.empty()) {
      const auto rest = std::chrono::duration_cast<std::chrono::nanoseconds>(
          std::max(frames_.front().due - Clock::now(), Clock::duration::zero()));
      left.tv_sec = rest.count() / 1'000'000'000;
      left.tv_nsec = rest.count() % 1'000'000'000;
    }
    ppoll(&entry, 1, frames_.empty() ? nullptr : &left, nullptr);
    return (entry.revents & POLLERR) == 0;
  }

  void receive() {
    std::array<char, kLongestFrame> bytes;
    for (;;) {
      const ssize_t length = read(from_, bytes.data(), bytes.size());
      if (length <= 0) return;  // EAGAIN, or EIO while the device is down
      if (frames_.size() >= kMostFrames) continue;
      std::vector<char> buffer;
      if (!spare_.empty()) {
        buffer = std::move(spare_.back());
        spare_.pop_back();
      }
      buffer.assign(bytes.data(), bytes.data() + length);
      frames_.push_back({Clock::now() + delay_, std::move(buffer)});
    }
  }

  void deliver() {
    const auto now = Clock::now();
    while (!frames_.empty() && frames_.front().due <= now) {
      // A frame that the other end does not take, being down, is lost, as on a cable.
      const std::vector<char>& bytes = frames_.front().bytes;
      if (write(to_, bytes.data(), bytes.size()) < 0 && errno == EAGAIN) return;
      spare_.push_back(std::move(frames_.front().bytes));
      frames_.pop_front();
    }
  }

  int from_;
  int to_;
  Clock::duration delay_;
  std::deque<Frame> frames_;
  std::vector<std::vector<char>> spare_;
};

std::optional<Clock::duration> delayOf(const char* text) {
  char* end = nullptr;
  const double milliseconds = std::strtod(text, &end);
  if (end == text || *end != '\0' || !(milliseconds >= 0 && milliseconds <= 10000)) return {};
  return std::chrono::duration_cast<Clock::duration>(
      std::chrono::duration<double, std::milli>(milliseconds));
}

}  // namespace

int main(int argc, char** argv) {
  const auto delay = argc == 6 ? delayOf(argv[5]) : std::nullopt;
  if (!delay) {
    std::fprintf(stderr, "usage: %s NAMESPACE_FILE DEVICE NAMESPACE_FILE DEVICE MILLISECONDS\n",
                 argv[0]);
    return 2;
  }
  const int a = openTap(argv[1], argv[2]);
  const int b = a < 0 ? -1 : openTap(argv[3], argv[4]);
  if (b < 0) return 1;
  prctl(PR_SET_TIMERSLACK, 1UL);  // or a sleep lasts up to 50 us longer
  std::puts("ready");
  std::fflush(stdout);
  std::thread([=] { Cable(b, a, *delay).run(); }).detach();
  Cable(a, b, *delay).run();
  return 0;
}
