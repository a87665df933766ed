// A heap of items by time, in which an item can be moved. Private to this room.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace tutti::sim {

// Simulated time in picoseconds: 106 days at most.
using Time = int64_t;
inline constexpr Time kNever = INT64_MAX;

// Sums and products that stop at kNever.
constexpr Time later(Time time, Time delay) {
  return delay >= kNever - time ? kNever : time + delay;
}
constexpr Time picoseconds(int64_t ns) { return ns >= kNever / 1000 ? kNever : ns * 1000; }

// Items are numbers from 0 on; each is in the heap once at most. The first is that of the least
// time, of equal ones the least number.
class EventHeap {
 public:
  bool isEmpty() const { return heap_.empty(); }
  int32_t first() const { return heap_.front().item; }
  Time firstTime() const { return heap_.front().time; }

  // kNever where the item is not in the heap.
  Time timeOf(int32_t item) const {
    const size_t index = static_cast<size_t>(item);
    if (index >= places_.size() || places_[index] == kAbsent) return kNever;
    return heap_[places_[index]].time;
  }

  // Adds or moves an item; kNever takes it out.
  void set(int32_t item, Time time) {
    const auto index = static_cast<size_t>(item);
    if (index >= places_.size()) places_.resize(index + 1, kAbsent);
    if (time == kNever) return remove(index);
    if (places_[index] == kAbsent) {
      places_[index] = heap_.size();
      heap_.push_back({time, item});
    } else {
      heap_[places_[index]].time = time;
    }
    sift(places_[index]);
  }

 private:
  struct Entry {
    Time time;
    int32_t item;
    bool operator<(const Entry& other) const {
      return time != other.time ? time < other.time : item < other.item;
    }
  };
  static constexpr size_t kAbsent = SIZE_MAX;
  static constexpr size_t kWays = 4;  // flatter than two, and one cache line of children

  void remove(size_t index) {
    const size_t place = places_[index];
    if (place == kAbsent) return;
    places_[index] = kAbsent;
    const Entry last = heap_.back();
    heap_.pop_back();
    if (place == heap_.size()) return;
    put(place, last);
    sift(place);
  }

  void put(size_t place, Entry entry) {
    heap_[place] = entry;
    places_[static_cast<size_t>(entry.item)] = place;
  }

  void sift(size_t place) {
    const Entry moved = heap_[place];
    while (place > 0 && moved < heap_[(place - 1) / kWays]) {
      put(place, heap_[(place - 1) / kWays]);
      place = (place - 1) / kWays;
    }
    for (size_t child = place * kWays + 1; child < heap_.size(); child = place * kWays + 1) {
      const size_t end = child + kWays < heap_.size() ? child + kWays : heap_.size();
      for (size_t other = child + 1; other < end; ++other) {
        if (heap_[other] < heap_[child]) child = other;
      }
      if (!(heap_[child] < moved)) break;
      put(place, heap_[child]);
      place = child;
    }
    put(place, moved);
  }

  std::vector<Entry> heap_;
  std::vector<size_t> places_;  // of each item
};

}  // namespace tutti::sim
