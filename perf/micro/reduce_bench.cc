// Reductions and copies on host memory, in bytes read from sources plus bytes written to
// destinations per second. memcpy, counted in the same way, is the bound of a core's memory path.
//
//   reduce_bench --benchmark_filter='sum/float/2->1'
#include <benchmark/benchmark.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "src/device/host/kernels.h"

namespace {

using tutti::device::Factor;
using tutti::device::ReduceArgs;
using tutti::ir::DataType;
using tutti::ir::RedOp;

constexpr size_t kSizes[] = {4 << 10, 256 << 10, 64 << 20};  // bytes of each operand

struct Operands {
  Operands(int sourceCount, int destinationCount, size_t bytes) {
    for (int i = 0; i < sourceCount + destinationCount; ++i) {
      // 0x3C: an ordinary number in every float type. The odd lines keep operands from meeting in
      // the same cache sets, which equal distances of a power of two would make them do.
      memory.emplace_back(bytes + 64 * 17 * 16 + 64, uint8_t{0x3C});
      const auto address = reinterpret_cast<uintptr_t>(memory.back().data());
      const size_t skip = (64 - address % 64) % 64 + 64 * 17 * static_cast<size_t>(i % 16);
      uint8_t* data = memory.back().data() + skip;
      if (i < sourceCount) {
        sources.push_back(data);
      } else {
        destinations.push_back(data);
      }
    }
  }
  std::vector<std::vector<uint8_t>> memory;
  std::vector<const void*> sources;
  std::vector<void*> destinations;
};

struct Setup {
  DataType type;
  RedOp op;
  int sourceCount;
  int destinationCount;
  size_t bytes;
  bool streaming;
  bool isScaled;
  uint64_t divisor;
};

void reduceBench(benchmark::State& state, Setup setup) {
  Operands operands(setup.sourceCount, setup.destinationCount, setup.bytes);
  std::vector<Factor> factors(static_cast<size_t>(setup.sourceCount), Factor{0x3C3C3C3C, true});
  ReduceArgs args;
  args.type = setup.type;
  args.op = setup.op;
  args.sources = operands.sources.data();
  args.factors = setup.isScaled ? factors.data() : nullptr;
  args.sourceCount = setup.sourceCount;
  args.destinations = operands.destinations.data();
  args.destinationCount = setup.destinationCount;
  args.count = setup.bytes / tutti::ir::sizeOf(setup.type);
  args.divisor = setup.divisor;
  args.streaming = setup.streaming;
  for (auto _ : state) {
    tutti::device::host::reduce(args);
    benchmark::ClobberMemory();
  }
  const auto operandCount = static_cast<int64_t>(setup.sourceCount + setup.destinationCount);
  state.SetBytesProcessed(state.iterations() * operandCount * static_cast<int64_t>(setup.bytes));
}

void copyBench(benchmark::State& state, size_t bytes, int kind) {
  Operands operands(1, 1, bytes);
  for (auto _ : state) {
    if (kind == 0) std::memcpy(operands.destinations[0], operands.sources[0], bytes);
    if (kind != 0) {
      tutti::device::host::copy(operands.destinations[0], operands.sources[0], bytes, kind == 2);
    }
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * 2 * static_cast<int64_t>(bytes));
}

std::string sizeName(size_t bytes) {
  if (bytes >= 1 << 20) return std::to_string(bytes >> 20) + "MiB";
  if (bytes >= 1 << 10) return std::to_string(bytes >> 10) + "KiB";
  return std::to_string(bytes) + "B";
}

void addReduce(const std::string& prefix, Setup setup, const char* typeName) {
  const std::string name = prefix + '/' + typeName + '/' + std::to_string(setup.sourceCount) +
                           "->" + std::to_string(setup.destinationCount) + '/' +
                           sizeName(setup.bytes) + (setup.streaming ? "/streaming" : "");
  benchmark::RegisterBenchmark(name.c_str(), reduceBench, setup)->UseRealTime();
}

struct NamedType {
  DataType type;
  const char* name;
};

constexpr NamedType kMain[] = {{DataType::kFloat32, "float"},
                               {DataType::kFloat16, "half"},
                               {DataType::kBfloat16, "bfloat16"},
                               {DataType::kFloat64, "double"},
                               {DataType::kInt32, "int32"}};
constexpr NamedType kRest[] = {{DataType::kFloat8e4m3, "f8e4m3"}, {DataType::kFloat8e5m2, "f8e5m2"},
                               {DataType::kInt8, "int8"},         {DataType::kUint8, "uint8"},
                               {DataType::kUint32, "uint32"},     {DataType::kInt64, "int64"},
                               {DataType::kUint64, "uint64"}};

void addCopies() {
  constexpr const char* kKinds[] = {"memcpy", "copy", "copy_streaming"};
  for (const size_t bytes : kSizes) {
    for (int kind = 0; kind < 3; ++kind) {
      const std::string name = std::string(kKinds[kind]) + '/' + sizeName(bytes);
      benchmark::RegisterBenchmark(name.c_str(), copyBench, bytes, kind)->UseRealTime();
    }
  }
}

void addSums() {
  for (const auto& [type, typeName] : kMain) {
    for (const size_t bytes : kSizes) {
      for (const int sources : {2, 3, 4, 8}) {
        for (const int destinations : {1, 2, 4}) {
          for (const bool streaming : {false, true}) {
            if (streaming && bytes < (1 << 20)) continue;
            addReduce("sum", {type, RedOp::kSum, sources, destinations, bytes, streaming, false, 0},
                      typeName);
          }
        }
      }
    }
  }
}

void addOthers() {
  for (const auto& [type, typeName] : kRest) {
    for (const size_t bytes : kSizes) {
      for (const int sources : {2, 4}) {
        addReduce("sum", {type, RedOp::kSum, sources, 1, bytes, false, false, 0}, typeName);
      }
    }
  }
  for (const auto& [type, typeName] : kMain) {
    addReduce("max", {type, RedOp::kMax, 2, 1, kSizes[0], false, false, 0}, typeName);
    addReduce("prod", {type, RedOp::kProd, 2, 1, kSizes[0], false, false, 0}, typeName);
    addReduce("scaled", {type, RedOp::kSum, 2, 1, kSizes[0], false, true, 0}, typeName);
  }
  addReduce("avg", {DataType::kInt32, RedOp::kSum, 2, 1, kSizes[0], false, false, 3}, "int32");
  addReduce("avg", {DataType::kInt64, RedOp::kSum, 2, 1, kSizes[0], false, false, 3}, "int64");
  for (const size_t elements : {1, 2, 3, 4, 8, 15, 16, 31, 64}) {
    const size_t bytes = elements * 4;
    addReduce("small", {DataType::kFloat32, RedOp::kSum, 2, 1, bytes, false, false, 0}, "float");
    addReduce("small", {DataType::kBfloat16, RedOp::kSum, 2, 1, bytes / 2, false, false, 0},
              "bfloat16");
  }
}

}  // namespace

int main(int argc, char** argv) {
  addCopies();
  addSums();
  addOthers();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
