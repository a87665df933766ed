#include "transports/tcp/greeting.h"

#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "src/base/descriptors.h"

namespace tutti::transports::tcp {
namespace {

// Frames are whole messages that somebody waits for.
void sendAtOnce(int fd) {
  const int isOn = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &isOn, sizeof(isOn));
}

}  // namespace

Greeting::Greeting(Poller& poller, const Path& path, uint16_t port, const base::Key& key,
                   const LaneClaim& claim, int64_t deadlineNs)
    : poller_(poller), claim_(claim), deadlineNs_(deadlineNs) {
  dialer_.emplace(key, claim);
  name_ = fmt::format("{} port {}", path.to.address(), port);
  if (const int error = dial(path, port); error != 0) fail(base::describeErrno(error));
}

// The number of an error, or 0.
int Greeting::dial(const Path& path, uint16_t port) {
  socket_.reset(socket(path.to.family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket_.isOpen()) return errno;
  sendAtOnce(socket_.get());
  sockaddr_storage address;
  if (path.from.has_value()) {
    const socklen_t bytes = path.from->toSocket(0, address);
    if (bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), bytes) != 0) return errno;
  }
  const socklen_t bytes = path.to.toSocket(port, address);
  const int made = connect(socket_.get(), reinterpret_cast<sockaddr*>(&address), bytes);
  if (made != 0 && errno != EINPROGRESS) return errno;
  return poller_.add(socket_.get(), this, true) ? 0 : errno;
}

Greeting::Greeting(Poller& poller, base::UniqueFd socket, const base::Key& key,
                   bool wantsEncryption, int64_t deadlineNs)
    : poller_(poller), socket_(std::move(socket)), deadlineNs_(deadlineNs), isConnected_(true) {
  acceptor_.emplace(key, wantsEncryption);
  sendAtOnce(socket_.get());
  if (!poller_.add(socket_.get(), this, false)) fail(base::describeErrno(errno));
  if (state_ == State::kRunning) give(acceptor_->challenge());
}

Greeting::~Greeting() {
  if (socket_.isOpen()) poller_.remove(socket_.get());
}

base::UniqueFd Greeting::takeSocket() {
  poller_.remove(socket_.get());
  return std::move(socket_);
}

void Greeting::fail(const std::string& why) {
  if (socket_.isOpen()) poller_.remove(socket_.get());
  socket_.reset();
  state_ = State::kFailed;
  failure_ = fmt::format("{}: {}", name_, why);
}

void Greeting::expire(int64_t nowNs) {
  if (state_ == State::kRunning && nowNs > deadlineNs_) fail("no answer in time");
}

void Greeting::onReady(uint32_t events) {
  if (state_ != State::kRunning) return;
  if (!isConnected_) {
    int error = 0;
    socklen_t bytes = sizeof(error);
    getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &bytes);
    if (error != 0) return fail(std::strerror(error));
    if ((events & EPOLLOUT) == 0) return;
    isConnected_ = true;
    poller_.change(socket_.get(), this, false);
    return;
  }
  advance();
}

// Not a byte more than the next message: what follows is for the lane.
bool Greeting::take(size_t bytes) {
  while (state_ == State::kRunning && heard_.size() < bytes) {
    char buffer[128];
    const size_t want = std::min(sizeof(buffer), bytes - heard_.size());
    const ssize_t got = recv(socket_.get(), buffer, want, MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return false;
    if (got <= 0) {
      fail(got == 0 ? "closed before it answered" : std::strerror(errno));
      return false;
    }
    heard_.append(buffer, static_cast<size_t>(got));
  }
  return state_ == State::kRunning;
}

// So few bytes always fit into the buffer of a new connection.
void Greeting::give(const std::string& bytes) {
  const ssize_t sent =
      ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent != static_cast<ssize_t>(bytes.size())) fail("it takes no bytes");
}

void Greeting::advance() {
  if (acceptor_.has_value()) {
    if (!take(kAnswerBytes)) return;
    const auto claim = acceptor_->onAnswer(heard_);
    if (!claim.has_value()) return fail("a stranger");
    claim_ = *claim;
    give(acceptor_->welcome());
    if (state_ == State::kRunning) state_ = State::kProven;
    return;
  }
  if (step_ == 0) {
    if (!take(kChallengeBytes)) return;
    if (!dialer_->onChallenge(heard_)) return fail("something else answers there");
    heard_.clear();
    step_ = 1;
    give(dialer_->answer());
  }
  if (!take(kWelcomeBytes)) return;
  if (!dialer_->onWelcome(heard_)) return fail("another communicator answers there");
  state_ = State::kProven;
}

}  // namespace tutti::transports::tcp
