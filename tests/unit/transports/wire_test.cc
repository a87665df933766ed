#include "transports/wire.h"

#include <gtest/gtest.h>

#include <string>

namespace tutti::transports {
namespace {

TEST(Wire, AddressesTravelAsText) {
  std::string every;
  for (int i = 0; i < 256; ++i) every += static_cast<char>(i);
  std::string back = "what was there before";
  ASSERT_TRUE(fromHex(toHex(every), back));
  EXPECT_EQ(back, every);
  EXPECT_EQ(toHex(std::string("\x00\x9f\xff", 3)), "009fff");
}

TEST(Wire, OtherTextIsNoAddress) {
  std::string bytes;
  for (const char* text : {"", "0", "0g", "0A", "00 1", "-1"}) {
    EXPECT_FALSE(fromHex(text, bytes)) << text;
  }
}

TEST(Wire, CookiesAreTheSameOnlyWhereEveryByteIs) {
  Cookie cookie;
  cookie.fill(std::byte{0x5a});
  EXPECT_TRUE(isSame(cookie, cookie));
  for (size_t i = 0; i < cookie.size(); ++i) {
    Cookie other = cookie;
    other[i] ^= std::byte{0x80};
    EXPECT_FALSE(isSame(cookie, other)) << i;
  }
}

}  // namespace
}  // namespace tutti::transports
