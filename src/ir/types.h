// Element types, reduction operators and collectives: the vocabulary of every value in src/ir.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tutti::ir {

// A rank's number in its communicator, 0 .. size-1.
using Rank = int32_t;

// Values equal tuttiDataType_t (and ncclDataType_t); src/api checks that at compile time.
enum class DataType : int32_t {
  kInt8 = 0,
  kUint8 = 1,
  kInt32 = 2,
  kUint32 = 3,
  kInt64 = 4,
  kUint64 = 5,
  kFloat16 = 6,
  kFloat32 = 7,
  kFloat64 = 8,
  kBfloat16 = 9,
  kFloat8e4m3 = 10,  // OCP E4M3: no infinity, saturates at 448
  kFloat8e5m2 = 11,  // OCP E5M2
};
inline constexpr int kDataTypeCount = 12;

// Values equal tuttiRedOp_t for the built-in operators. A user's pre-multiplied sum is kPreMulSum
// here; its scalar travels beside the call.
enum class RedOp : int32_t { kSum = 0, kProd = 1, kMax = 2, kMin = 3, kAvg = 4, kPreMulSum = 5 };
inline constexpr int kRedOpCount = 6;

enum class Collective : int32_t {
  kAllReduce = 0,
  kReduce,
  kBroadcast,
  kAllGather,
  kReduceScatter,
  kAllToAll,
  kGather,
  kScatter,
  kAllGatherV,
  kReduceScatterV,
  kAllToAllV,
  kGatherV,
  kScatterV,
  kSend,
  kRecv,
};
inline constexpr int kCollectiveCount = 15;

// Bytes of one element; 0 for a value that is no DataType.
constexpr size_t sizeOf(DataType type) {
  switch (type) {
    case DataType::kInt8:
    case DataType::kUint8:
    case DataType::kFloat8e4m3:
    case DataType::kFloat8e5m2: return 1;
    case DataType::kFloat16:
    case DataType::kBfloat16: return 2;
    case DataType::kInt32:
    case DataType::kUint32:
    case DataType::kFloat32: return 4;
    case DataType::kInt64:
    case DataType::kUint64:
    case DataType::kFloat64: return 8;
  }
  return 0;
}

constexpr bool isFloat(DataType type) {
  return type == DataType::kFloat16 || type == DataType::kFloat32 || type == DataType::kFloat64 ||
         type == DataType::kBfloat16 || type == DataType::kFloat8e4m3 ||
         type == DataType::kFloat8e5m2;
}

// Does this collective combine the ranks' contributions with a RedOp?
constexpr bool isReducing(Collective collective) {
  return collective == Collective::kAllReduce || collective == Collective::kReduce ||
         collective == Collective::kReduceScatter || collective == Collective::kReduceScatterV;
}

// Does this collective have one rank that is special (tuttiBroadcast's root ...)?
constexpr bool hasRoot(Collective collective) {
  return collective == Collective::kReduce || collective == Collective::kBroadcast ||
         collective == Collective::kGather || collective == Collective::kScatter ||
         collective == Collective::kGatherV || collective == Collective::kScatterV;
}

// Is it made of sends and receives, because no rank knows the counts of all others?
constexpr bool isOfMessages(Collective collective) {
  return collective == Collective::kAllToAllV || collective == Collective::kGatherV ||
         collective == Collective::kScatterV;
}

// Names as the tools print them: "float", "int8", "bfloat16", "f8e4m3" ... (nccl-tests' spelling).
std::string_view name(DataType type);
// "sum", "prod", "max", "min", "avg", "premulsum".
std::string_view name(RedOp op);
// "all_reduce", "all_gather_v", "send" ...
std::string_view name(Collective collective);

}  // namespace tutti::ir
