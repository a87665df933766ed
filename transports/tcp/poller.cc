#include "transports/tcp/poller.h"

#include <poll.h>
#include <sys/epoll.h>

#include <array>
#include <cerrno>

#include "src/base/descriptors.h"

namespace tutti::transports::tcp {
namespace {

constexpr int kMostEvents = 64;

epoll_event eventOf(EventHandler* handler, bool isWriting) {
  epoll_event event{};
  event.events = EPOLLIN | (isWriting ? uint32_t{EPOLLOUT} : 0u);
  event.data.ptr = handler;
  return event;
}

}  // namespace

base::Status Poller::open() {
  epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  return epoll_.isOpen() ? base::Status() : base::systemFailure("cannot wait for sockets", errno);
}

bool Poller::add(int fd, EventHandler* handler, bool isWriting) {
  epoll_event event = eventOf(handler, isWriting);
  return epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

void Poller::change(int fd, EventHandler* handler, bool isWriting) {
  epoll_event event = eventOf(handler, isWriting);
  epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event);
}

void Poller::remove(int fd) { epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr); }

void Poller::dispatch() {
  std::array<epoll_event, kMostEvents> events;
  const int count = epoll_wait(epoll_.get(), events.data(), kMostEvents, 0);
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<size_t>(i)];
    static_cast<EventHandler*>(event.data.ptr)->onReady(event.events);
  }
}

bool Poller::isReady() const {
  pollfd descriptor{epoll_.get(), POLLIN, 0};
  return poll(&descriptor, 1, 0) > 0;
}

}  // namespace tutti::transports::tcp
