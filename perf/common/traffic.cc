#include "perf/common/traffic.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "perf/common/collective.h"
#include "perf/common/failure.h"

namespace tutti::perf {
namespace {

constexpr size_t kAlignment = 16;

size_t aligned(double bytes) { return static_cast<size_t>(bytes) & ~(kAlignment - 1); }

double numberFrom(const char* variable, double otherwise) {
  const char* text = std::getenv(variable);
  char* end = nullptr;
  if (text == nullptr) return otherwise;
  const double value = std::strtod(text, &end);
  if (end == text || *end != '\0' || std::isnan(value)) {
    throw Failure(kExitUsage, fmt::format("{}: '{}' is no number", variable, text));
  }
  return std::max(value, 0.0);
}

std::string fileText(const char* path) {
  std::ifstream file(path);
  if (!file) {
    throw Failure(kExitUsage,
                  fmt::format("NCCL_TESTS_ALLTOALLV_MATRIX_FILE: cannot read {}", path));
  }
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

[[noreturn]] void refuseMatrix(const std::string& why) {
  throw Failure(kExitUsage, "alltoallv traffic matrix: " + why);
}

}  // namespace

Traffic Traffic::distanceWeighted(double spread) {
  Traffic traffic;
  traffic.spread_ = std::clamp(spread, 0.0, 1.0);
  return traffic;
}

Traffic Traffic::fromMatrix(const std::string& text, double scale) {
  Traffic traffic;
  std::istringstream lines(text);
  size_t columns = 0;
  int rows = 0;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream cells(line);
    size_t cellsInRow = 0;
    for (std::string cell; cells >> cell; ++cellsInRow) {
      char* end = nullptr;
      const double value = std::strtod(cell.c_str(), &end) * scale;
      if (*end != '\0' || !(value >= 0) || value >= 0x1p62) refuseMatrix("bad value " + cell);
      traffic.matrix_.push_back(aligned(value));
    }
    if (cellsInRow == 0) continue;
    if (rows++ == 0) columns = cellsInRow;
    if (cellsInRow != columns) refuseMatrix(fmt::format("row {} has another length", rows));
  }
  if (rows == 0) refuseMatrix("it is empty");
  if (static_cast<size_t>(rows) != columns) {
    refuseMatrix(fmt::format("it must be square, not {}x{}", rows, columns));
  }
  traffic.dimension_ = rows;
  return traffic;
}

Traffic Traffic::fromEnvironment() {
  const char* file = std::getenv("NCCL_TESTS_ALLTOALLV_MATRIX_FILE");
  Traffic traffic =
      file != nullptr
          ? fromMatrix(fileText(file), numberFrom("NCCL_TESTS_ALLTOALLV_MATRIX_SCALE", 1))
          : distanceWeighted(numberFrom("NCCL_TESTS_ALLTOALLV_SPREAD", 1));
  traffic.printsSummary_ = numberFrom("NCCL_TESTS_ALLTOALLV_PRINT_SUMMARY", 0) != 0;
  return traffic;
}

size_t Traffic::bytes(int from, int to, int size, size_t total) const {
  if (isMatrix()) return matrix_[static_cast<size_t>(from) * dimension_ + to];
  if (size == 1) return total & ~(kAlignment - 1);
  const int distance = (to - from + size) % size;
  const double distances = static_cast<double>(size) * (size - 1) / 2;
  const auto all = static_cast<double>(total);
  return aligned((1 - spread_) * all / size + spread_ * all * distance / distances);
}

size_t Traffic::largestSent(int size, size_t total) const {
  size_t largest = 0;
  for (int from = 0; from < size; ++from) {
    size_t sum = 0;
    for (int to = 0; to < size; ++to) sum += bytes(from, to, size, total);
    largest = std::max(largest, sum);
    if (!isMatrix()) break;  // the same for every rank
  }
  return largest;
}

size_t Traffic::largestReceived(int size, size_t total) const {
  size_t largest = 0;
  for (int to = 0; to < size; ++to) {
    size_t sum = 0;
    for (int from = 0; from < size; ++from) sum += bytes(from, to, size, total);
    largest = std::max(largest, sum);
    if (!isMatrix()) break;
  }
  return largest;
}

std::string Traffic::summary(int size, size_t total, double seconds) const {
  std::string text = fmt::format(
      "# alltoallv summary: mode={} nranks={} total_bytes={} spread={:.3f} time_usec={:.2f}\n",
      isMatrix() ? "matrix" : "generated", size, total, spread_, seconds * 1e6);
  for (int rank = 0; rank < size; ++rank) {
    size_t sent = 0;
    size_t received = 0;
    for (int peer = 0; peer < size; ++peer) {
      sent += bytes(rank, peer, size, total);
      received += bytes(peer, rank, size, total);
    }
    const double gbps = gigabytesPerSecond(static_cast<double>(std::max(sent, received)), seconds);
    text += fmt::format("#   rank={} send_bytes={} recv_bytes={} alg_bw={:.2f} bus_bw={:.2f}\n",
                        rank, sent, received, gbps, gbps * (size - 1) / size);
  }
  return text;
}

}  // namespace tutti::perf
