// Little-endian encoding of control messages, with bounds checked on the way in.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tutti::bootstrap {

class WireWriter {
 public:
  void u8(uint8_t value) { integer(value, 1); }
  void u16(uint16_t value) { integer(value, 2); }
  void u32(uint32_t value) { integer(value, 4); }
  void u64(uint64_t value) { integer(value, 8); }
  void raw(std::string_view bytes) { bytes_ += bytes; }
  // A length of 32 bits, then the bytes.
  void text(std::string_view bytes) {
    u32(static_cast<uint32_t>(bytes.size()));
    raw(bytes);
  }

  size_t size() const { return bytes_.size(); }
  std::string take() { return std::move(bytes_); }

 private:
  void integer(uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) bytes_ += static_cast<char>(value >> (8 * i));
  }
  std::string bytes_;
};

// Reads past the end give zeros and make isGood() false; check it once at the end.
class WireReader {
 public:
  explicit WireReader(std::string_view bytes) : rest_(bytes) {}

  uint8_t u8() { return static_cast<uint8_t>(integer(1)); }
  uint16_t u16() { return static_cast<uint16_t>(integer(2)); }
  uint32_t u32() { return static_cast<uint32_t>(integer(4)); }
  uint64_t u64() { return integer(8); }
  std::string_view raw(size_t size) {
    if (size > rest_.size()) {
      isGood_ = false;
      rest_ = "";  // not null: callers hand it to memcpy
      return rest_;
    }
    const std::string_view bytes = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return bytes;
  }
  std::string_view text() { return raw(u32()); }

  bool isGood() const { return isGood_; }
  bool isAtEnd() const { return rest_.empty(); }

 private:
  uint64_t integer(size_t bytes) {
    const std::string_view source = raw(bytes);
    uint64_t value = 0;
    for (size_t i = 0; i < source.size(); ++i) {
      value |= uint64_t{static_cast<unsigned char>(source[i])} << (8 * i);
    }
    return value;
  }
  std::string_view rest_;
  bool isGood_ = true;
};

}  // namespace tutti::bootstrap
