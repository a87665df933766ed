#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <numeric>

#include "tests/cts/device/fixture.h"

namespace tutti::cts {
namespace {

using device::Factor;
using device::ReduceArgs;
using ir::DataType;
using ir::RedOp;

class DeviceQueue : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(, DeviceQueue, ::testing::ValuesIn(candidates()), testName);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(DeviceQueue);

// The bits of a small non-negative whole number in a format with `mantissa` stored bits.
uint64_t floatBits(uint64_t value, int mantissa, int bias) {
  if (value == 0) return 0;
  const int exponent = std::bit_width(value) - 1;
  const uint64_t fraction = value - (uint64_t{1} << exponent);
  return (static_cast<uint64_t>(exponent + bias) << mantissa) | (fraction << (mantissa - exponent));
}

// `value` (0 .. 8, exact in every type) as the bits of an element.
uint64_t elementBits(DataType type, uint64_t value) {
  switch (type) {
    case DataType::kFloat16: return floatBits(value, 10, 15);
    case DataType::kBfloat16: return floatBits(value, 7, 127);
    case DataType::kFloat32: return floatBits(value, 23, 127);
    case DataType::kFloat64: return floatBits(value, 52, 1023);
    case DataType::kFloat8e4m3: return floatBits(value, 3, 7);
    case DataType::kFloat8e5m2: return floatBits(value, 2, 15);
    default: return value;
  }
}

std::vector<uint8_t> encode(DataType type, const std::vector<uint64_t>& values) {
  const size_t size = ir::sizeOf(type);
  std::vector<uint8_t> bytes(values.size() * size);
  for (size_t i = 0; i < values.size(); ++i) {
    const uint64_t bits = elementBits(type, values[i]);
    std::memcpy(&bytes[i * size], &bits, size);  // little endian, as every machine here
  }
  return bytes;
}

uint64_t combine(RedOp op, uint64_t a, uint64_t b) {
  switch (op) {
    case RedOp::kProd: return a * b;
    case RedOp::kMax: return std::max(a, b);
    case RedOp::kMin: return std::min(a, b);
    default: return a + b;
  }
}

constexpr std::array kOps = {RedOp::kSum, RedOp::kProd, RedOp::kMax, RedOp::kMin};

// Contributions of `sources` ranks, such that every result is at most 8 (sum of four 2s, product of
// three 2s).
std::vector<std::vector<uint64_t>> contributions(size_t sources, size_t count) {
  std::vector<std::vector<uint64_t>> values(sources, std::vector<uint64_t>(count));
  for (size_t s = 0; s < sources; ++s) {
    for (size_t i = 0; i < count; ++i) values[s][i] = s < 3 ? (i + s * 7 + i / 5) % 3 : 1;
  }
  return values;
}

std::vector<uint64_t> reduceAll(RedOp op, const std::vector<std::vector<uint64_t>>& values) {
  std::vector<uint64_t> result = values[0];
  for (size_t s = 1; s < values.size(); ++s) {
    for (size_t i = 0; i < result.size(); ++i) result[i] = combine(op, result[i], values[s][i]);
  }
  return result;
}

struct Case {
  DataType type;
  RedOp op;
  size_t sources;
  size_t count;
};

// Reduces on the device, into two destinations of which one is the first source if `inPlace`, and
// compares. All buffers start `shift` bytes after an aligned address.
void check(device::Device& device, const Case& test, bool inPlace, size_t shift) {
  const auto values = contributions(test.sources, test.count);
  const size_t bytes = test.count * ir::sizeOf(test.type);
  std::vector<std::unique_ptr<Buffer>> buffers;
  std::vector<const void*> sources;
  for (const auto& one : values) {
    buffers.push_back(std::make_unique<Buffer>(device, bytes + shift + 1));
    buffers.back()->write(encode(test.type, one), shift);
    sources.push_back(buffers.back()->data() + shift);
  }
  std::vector<void*> destinations;
  std::vector<Buffer*> results;
  for (int i = 0; i < 2; ++i) {
    const bool isSource = inPlace && i == 0;
    if (!isSource) buffers.push_back(std::make_unique<Buffer>(device, bytes + shift + 1));
    results.push_back(isSource ? buffers.front().get() : buffers.back().get());
    results.back()->write({0xa5}, bytes + shift);
    destinations.push_back(results.back()->data() + shift);
  }
  device.queue().reduce({.type = test.type,
                         .op = test.op,
                         .sources = sources.data(),
                         .sourceCount = static_cast<int>(sources.size()),
                         .destinations = destinations.data(),
                         .destinationCount = static_cast<int>(destinations.size()),
                         .count = test.count,
                         .streaming = shift == 0});
  auto expected = encode(test.type, reduceAll(test.op, values));
  expected.push_back(0xa5);  // nothing is written behind the end
  for (const Buffer* result : results) {
    auto bytesRead = result->read();
    bytesRead.erase(bytesRead.begin(), bytesRead.begin() + static_cast<ptrdiff_t>(shift));
    EXPECT_EQ(bytesRead, expected) << ir::name(test.type) << " " << ir::name(test.op) << " of "
                                   << test.sources << " x " << test.count << " at " << shift;
  }
}

TEST_P(DeviceQueue, CopiesAnyBytes) {
  for (const size_t bytes : {size_t{0}, size_t{1}, size_t{17}, size_t{4097}, size_t{3} << 20}) {
    Buffer from(device(), bytes + 16);
    Buffer to(device(), bytes + 16);
    for (const bool streaming : {false, true}) {
      for (const size_t shift : {size_t{0}, size_t{5}}) {
        auto expected = pattern(bytes + 16, 1);
        to.write(expected);
        const auto source = pattern(bytes + 16, 2);
        from.write(source);
        queue().copy(to.data() + shift, from.data() + 3, bytes, streaming);
        std::copy_n(source.begin() + 3, bytes, expected.begin() + static_cast<ptrdiff_t>(shift));
        EXPECT_EQ(to.read(), expected) << bytes << " at " << shift;
      }
    }
  }
}

TEST_P(DeviceQueue, ReducesEveryTypeAndOperator) {
  TUTTI_CTS_REQUIRE(kReduce);
  for (int type = 0; type < ir::kDataTypeCount; ++type) {
    for (const RedOp op : kOps) {
      for (const size_t sources : {1u, 2u, 3u, 4u}) {
        for (const size_t count : {1u, 7u, 64u, 1001u}) {
          check(device(), {static_cast<DataType>(type), op, sources, count}, false, 0);
        }
      }
    }
  }
}

TEST_P(DeviceQueue, ReducesInPlaceAndUnaligned) {
  TUTTI_CTS_REQUIRE(kReduce);
  for (int type = 0; type < ir::kDataTypeCount; ++type) {
    for (const size_t shift : {0u, 1u, 3u}) {
      check(device(), {static_cast<DataType>(type), RedOp::kSum, 3, 333}, true, shift);
    }
  }
}

TEST_P(DeviceQueue, ReducesManySources) {
  TUTTI_CTS_REQUIRE(kReduce);
  const Case test{DataType::kFloat32, RedOp::kSum, device::kMaxReduceOperands, 1000};
  check(device(), test, false, 0);
  check(device(), {DataType::kUint8, RedOp::kMax, 5, 70'000}, false, 0);
}

TEST_P(DeviceQueue, DoesNothingForNoElements) {
  TUTTI_CTS_REQUIRE(kReduce);
  check(device(), {DataType::kInt32, RedOp::kSum, 2, 0}, false, 0);
}

TEST_P(DeviceQueue, AveragesByFactorAndDivisor) {
  TUTTI_CTS_REQUIRE(kReduce);
  Buffer a(device(), 16);
  Buffer b(device(), 16);
  const void* const sources[] = {a.data(), b.data()};
  void* const destinations[] = {a.data()};
  ReduceArgs args{.sources = sources,
                  .sourceCount = 2,
                  .destinations = destinations,
                  .destinationCount = 1,
                  .count = 4};
  const Factor halves[] = {{.bits = std::bit_cast<uint32_t>(0.5f), .isSet = true},
                           {.bits = std::bit_cast<uint32_t>(0.5f), .isSet = true}};
  args.factors = halves;
  a.write(encode(DataType::kFloat32, {1, 2, 3, 4}));
  b.write(encode(DataType::kFloat32, {3, 2, 1, 8}));
  queue().reduce(args);
  EXPECT_EQ(a.read(), encode(DataType::kFloat32, {2, 2, 2, 6}));

  args.factors = nullptr;
  args.type = DataType::kInt32;
  args.divisor = 2;
  a.write(encode(DataType::kInt32, {1, 2, 3, uint32_t(-4)}));
  b.write(encode(DataType::kInt32, {3, 5, 0, 1}));
  queue().reduce(args);
  EXPECT_EQ(a.read(), encode(DataType::kInt32, {2, 3, 1, uint32_t(-1)}));
}

}  // namespace
}  // namespace tutti::cts
