#include "transports/send_window.h"

#include <utility>

namespace tutti::transports {

void SendWindow::wasRead(int64_t nowNs) {
  const auto ns = static_cast<double>(std::max<int64_t>(1, nowNs - std::exchange(sentNs_, 0)));
  if (nowNs - recentNs_ > kRecentNs) {
    previous_ = std::exchange(recent_, Estimate());
    recentNs_ = nowNs;
  }
  recent_.add({static_cast<double>(read_ - readAtSend_) / ns, ns});
  Estimate all = recent_;
  all.add(previous_);
  const double wanted = std::min(kGain * all.bytesPerNs * all.ns, static_cast<double>(most_));
  bytes_ = std::max(least_, static_cast<uint64_t>(wanted));
}

}  // namespace tutti::transports
