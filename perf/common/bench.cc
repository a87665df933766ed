#include "perf/common/bench.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

#include "perf/common/failure.h"
#include "perf/common/pattern.h"

namespace tutti::perf {
namespace {

using Clock = std::chrono::steady_clock;

double secondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Bytes of the larger buffer: what the table prints.
size_t bytesOf(const Shape& shape, size_t elementBytes) {
  return std::max(shape.sendCount, shape.recvCount) * elementBytes;
}

constexpr int kMaxIterations = 10'000'000;

}  // namespace

BenchResult Bench::run() {
  const Options& options = env_.options;
  const std::vector<Op> noOps{Op::kSum};
  std::vector<int> roots{env_.collective.hasRoot() ? options.root : -1};
  if (env_.collective.hasRoot() && options.root < 0) {
    roots.clear();
    for (int root = 0; root < env_.size; ++root) roots.push_back(root);
  }
  for (const TypeInfo* type : options.types) {
    for (const Op op : env_.collective.isReduction() ? options.ops : noOps) {
      for (const int root : roots) runCase({*type, op, root});
    }
  }
  return result_;
}

tuttiRedOp_t Bench::makeOp(const Case& test) {
  switch (test.op) {
    case Op::kProd: return tuttiProd;
    case Op::kMax: return tuttiMax;
    case Op::kMin: return tuttiMin;
    case Op::kAvg: return tuttiAvg;
    case Op::kMulSum: break;
    default: return tuttiSum;
  }
  const int factor = Pattern::factor(env_.rank);
  uint64_t scalar =
      test.type.isFloat ? encodeFloat(test.type, factor) : static_cast<uint64_t>(factor);
  tuttiRedOp_t op = tuttiSum;
  check(
      tuttiRedOpCreatePreMulSum(&op, &scalar, test.type.type, tuttiScalarHostImmediate, env_.comm),
      "tuttiRedOpCreatePreMulSum", env_.comm);
  return op;
}

void Bench::runCase(const Case& test) {
  const Options& options = env_.options;
  Call call;
  call.type = test.type.type;
  call.elementBytes = static_cast<size_t>(test.type.bytes);
  call.op = env_.collective.isReduction() ? makeOp(test) : tuttiSum;
  call.root = std::max(test.root, 0);
  call.rank = env_.rank;
  call.size = env_.size;
  call.comm = env_.comm;
  call.stream = env_.stream;
  env_.send.setShift(options.unaligned * call.elementBytes);
  env_.recv.setShift(options.unaligned * call.elementBytes);
  env_.control.barrier();
  warmUp(call);
  for (int cycle = 0; options.cycles == 0 || cycle < options.cycles; ++cycle) {
    for (size_t bytes = options.minBytes; bytes <= env_.maxBytes; bytes = options.nextSize(bytes)) {
      runSize(test, call, bytes);
      if (options.stepFactor <= 1 && options.stepBytes == 0) break;
    }
  }
  if (call.op >= tuttiNumOps) check(tuttiRedOpDestroy(call.op, env_.comm), "tuttiRedOpDestroy");
}

void Bench::warmUp(const Call& call) {
  if (env_.options.warmups == 0) return;
  for (size_t bytes = std::max<size_t>(env_.options.minBytes, 1); bytes <= env_.maxBytes;
       bytes *= 2) {
    const Shape shape =
        env_.collective.shape(bytes / call.elementBytes, call.elementBytes, env_.size);
    (void)timedLoop(call, shape, env_.options.warmups);
    ++env_.progress;
  }
}

void Bench::runSize(const Case& test, Call call, size_t bytes) {
  const Collective& collective = env_.collective;
  const Shape shape = collective.shape(bytes / call.elementBytes, call.elementBytes, env_.size);
  int iterations = env_.options.iterations;
  if (env_.report != nullptr) {
    env_.report->rowStart({bytesOf(shape, call.elementBytes), shape.count, test.type.name,
                           collective.isReduction() ? opInfo(test.op).name : "none", test.root});
  }
  for (const bool inPlace : {false, true}) {
    call.inPlace = inPlace;
    const Measurement measurement = measure(test, call, shape, iterations);
    if (env_.report == nullptr) continue;
    env_.report->rowBody(measurement, inPlace);
    if (!inPlace) {
      env_.report->comment(
          collective.summary(shape, call.elementBytes, measurement.microseconds * 1e-6, env_.size));
    }
  }
  if (env_.report != nullptr) env_.report->rowEnd(iterations);
}

Measurement Bench::measure(const Case& test, Call call, const Shape& shape, int& iterations) {
  const Options& options = env_.options;
  double own = timedLoop(call, shape, iterations);
  while (options.minSeconds > 0) {
    const double longest = env_.control.reduce(own, tuttiMax);
    if (longest >= options.minSeconds || iterations >= kMaxIterations) break;
    const double wanted = 1.2 * options.minSeconds / std::max(longest, 1e-9) * iterations;
    iterations = static_cast<int>(std::clamp(wanted, 2.0 * iterations, 1.0 * kMaxIterations));
    own = timedLoop(call, shape, iterations);
  }
  const double calls = static_cast<double>(iterations) * options.aggregated;
  const double seconds = averaged(own / calls);
  const double cpuSeconds = loopCpuSeconds_ / calls;
  Measurement measurement;
  const Bandwidth bandwidth =
      env_.collective.bandwidth(shape, call.elementBytes, seconds, env_.size);
  measurement.microseconds = (options.cpuTime ? cpuSeconds : seconds) * 1e6;
  measurement.algorithm = bandwidth.algorithm;
  measurement.bus = bandwidth.bus;
  if (options.perIteration) measurement.iterations = gatherIterations();
  ++env_.progress;
  const bool isChecked = !call.inPlace || env_.collective.checksInPlace();
  for (int i = 0; i < options.checks && isChecked; ++i) {
    const double wrong = checkData(test, call, shape);
    result_.wrongChecks += wrong > 0 ? 1 : 0;
    measurement.wrong = env_.control.reduce(wrong, tuttiSum);
    ++env_.progress;
    if (*measurement.wrong > 0) break;
  }
  result_.busSum += bandwidth.bus;
  ++result_.busCount;
  return measurement;
}

void Bench::place(Call& call, const Shape& shape) const {
  const size_t rank = static_cast<size_t>(env_.rank) * call.elementBytes;
  call.count = shape.count;
  call.send = call.inPlace ? env_.recv.data() + rank * shape.sendOffset : env_.send.data();
  call.recv = env_.recv.data() + (call.inPlace ? rank * shape.recvOffset : 0);
}

void Bench::launch(Call& call, const char* send, char* recv, size_t& shift, size_t stride,
                   size_t limit) {
  call.send = send + shift;
  call.recv = recv + shift;
  shift += stride;
  if (shift > limit) shift = 0;
  const tuttiResult_t result = env_.collective.run(call);
  if (result != tuttiSuccess) check(result, env_.collective.name(), env_.comm);
}

void Bench::complete() {
  if (env_.stream == nullptr) return;
  check(tuttiStreamSynchronize(env_.comm, env_.stream), "tuttiStreamSynchronize", env_.comm);
  tuttiResult_t state = tuttiSuccess;
  check(tuttiCommGetAsyncError(env_.comm, &state), "tuttiCommGetAsyncError", env_.comm);
  check(state, env_.collective.name(), env_.comm);
}

double Bench::timedLoop(Call call, const Shape& shape, int iterations) {
  const Options& options = env_.options;
  place(call, shape);
  const char* send = static_cast<const char*>(call.send);
  char* recv = static_cast<char*>(call.recv);
  // Iterations rotate through the buffer, so that small sizes do not live in the cache by accident.
  const size_t stride = bytesOf(shape, call.elementBytes);
  const size_t limit = env_.maxBytes >= stride ? env_.maxBytes - stride : 0;
  const bool isGrouped = options.aggregated > 1;
  const bool waitsEach = options.blocking != 0;
  size_t shift = 0;
  double excluded = 0;
  times_.clear();
  if (options.perIteration) times_.reserve(static_cast<size_t>(iterations));
  env_.control.barrier();
  const Clock::time_point start = Clock::now();
  Clock::time_point last = start;
  for (int i = 0; i < iterations; ++i) {
    if (isGrouped) check(tuttiGroupStart(), "tuttiGroupStart");
    for (int j = 0; j < options.aggregated; ++j) launch(call, send, recv, shift, stride, limit);
    if (isGrouped) check(tuttiGroupEnd(), "tuttiGroupEnd", env_.comm);
    if (waitsEach || options.perIteration) complete();
    if (options.perIteration) {
      const Clock::time_point now = Clock::now();
      times_.push_back(std::chrono::duration<double>(now - last).count() / options.aggregated);
      last = now;
    }
    if (options.blocking == 1) env_.control.barrier();
    if (options.blocking == 3) {
      const Clock::time_point before = Clock::now();
      env_.control.barrier();
      excluded += secondsSince(before);
    }
    if (options.blocking != 0 && options.perIteration) last = Clock::now();
  }
  loopCpuSeconds_ = secondsSince(start) - excluded;
  complete();
  return secondsSince(start) - excluded;
}

double Bench::averaged(double seconds) {
  Control& control = env_.control;
  switch (env_.options.average) {
    case 0: return seconds;  // rank 0 prints its own
    case 2: return control.reduce(seconds, tuttiMin);
    case 3: return control.reduce(seconds, tuttiMax);
    default: return control.reduce(seconds, tuttiSum) / control.size();
  }
}

IterationStatistics Bench::gatherIterations() {
  const size_t count = times_.size();
  const std::vector<std::byte> all = env_.control.gather(times_.data(), count * sizeof(double));
  IterationStatistics statistics;
  statistics.skipped = env_.options.perIterationSkip;
  statistics.microseconds.assign(count, 0);
  const size_t processes = static_cast<size_t>(env_.control.size() / env_.ranksPerProcess);
  statistics.ofProcesses.assign(processes, std::vector<double>(count, 0));
  for (size_t at = 0; at < all.size() / sizeof(double); ++at) {
    double seconds = 0;
    std::memcpy(&seconds, all.data() + at * sizeof(double), sizeof(double));
    const size_t process = at / count / static_cast<size_t>(env_.ranksPerProcess);
    double& slowest = statistics.ofProcesses[process][at % count];
    slowest = std::max(slowest, seconds * 1e6);
    statistics.microseconds[at % count] = std::max(statistics.microseconds[at % count], slowest);
  }
  statistics.compute();
  return statistics;
}

double Bench::checkData(const Case& test, Call call, const Shape& shape) {
  const size_t bytes = call.elementBytes;
  const Pattern pattern(test.type,
                        env_.collective.isReduction() ? std::optional<Op>(test.op) : std::nullopt,
                        env_.size, ++repetition_);
  place(call, shape);
  Buffer& source = call.inPlace ? env_.recv : env_.send;
  const size_t sendAt = static_cast<size_t>(static_cast<const char*>(call.send) - source.data());
  const size_t recvAt = static_cast<size_t>(static_cast<char*>(call.recv) - env_.recv.data());
  const size_t recvEnd = call.inPlace ? bytesOf(shape, bytes) : shape.recvCount * bytes;
  const std::vector<Segment> sent = env_.collective.sent(call);
  env_.recv.poison(0, recvEnd);
  for (const Segment& segment : sent) source.write(pattern, segment, sendAt, bytes);
  env_.control.barrier();
  const tuttiResult_t result = env_.collective.run(call);
  if (result != tuttiSuccess) check(result, env_.collective.name(), env_.comm);
  complete();
  size_t wrong = env_.recv.countGuardWrong(recvEnd);
  for (const Segment& segment : env_.collective.received(call)) {
    wrong += env_.recv.countWrong(pattern, segment, recvAt, bytes);
  }
  // What was sent belongs to the caller and stays as it was.
  for (const Segment& segment : sent) {
    if (!call.inPlace) wrong += env_.send.countWrong(pattern, segment, 0, bytes);
  }
  return static_cast<double>(wrong);
}

}  // namespace tutti::perf
