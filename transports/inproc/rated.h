// Links with a rate and a delay between ranks of one process, so that tests can time how schedules
// behave on a fabric. Nothing of the library uses it.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "transports/registry.h"

namespace tutti::transports::inproc {

// Bytes a second, 0: any number. A message is read from the sender's slot, passes the sender's way
// out, the pair's link and the receiver's way in, each of which carries one message after the
// other, and is there after the pair's delay.
struct RatedLinks {
  std::vector<uint64_t> out;      // by rank
  std::vector<uint64_t> in;       // by rank
  std::vector<uint64_t> between;  // from x size + to; empty: any
  std::vector<int64_t> delayNs;   // likewise; empty: none. Acknowledgements take it as well.
};

class Wire;

// The fabric of one communicator: its backend is like inproc's, but what ranks see of each other is
// what has arrived, and they do not reach each other's memory. A thread carries the messages.
class RatedFabric {
 public:
  // The vectors of `links` fit `size` ranks.
  RatedFabric(int size, RatedLinks links);
  // After the last connection.
  ~RatedFabric();
  RatedFabric(const RatedFabric&) = delete;
  RatedFabric& operator=(const RatedFabric&) = delete;

  const Backend& backend() const;

 private:
  std::unique_ptr<Wire> wire_;
  std::unique_ptr<Backend> backend_;
};

}  // namespace tutti::transports::inproc
