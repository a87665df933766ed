#include "src/cli/memory_stream.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace tutti::cli {

#if defined(__x86_64__)
namespace {

__attribute__((target("avx512f"))) void streamAvx512(float* to, const float* from, size_t half) {
  for (size_t i = 0; i < half; i += 16) {
    const __m512 sum = _mm512_add_ps(_mm512_load_ps(from + i), _mm512_load_ps(from + half + i));
    _mm512_stream_ps(to + i, sum);
    _mm512_stream_ps(to + half + i, sum);
  }
}

__attribute__((target("avx"))) void streamAvx(float* to, const float* from, size_t half) {
  for (size_t i = 0; i < half; i += 8) {
    const __m256 sum = _mm256_add_ps(_mm256_load_ps(from + i), _mm256_load_ps(from + half + i));
    _mm256_stream_ps(to + i, sum);
    _mm256_stream_ps(to + half + i, sum);
  }
}

void streamSse(float* to, const float* from, size_t half) {
  for (size_t i = 0; i < half; i += 4) {
    const __m128 sum = _mm_add_ps(_mm_load_ps(from + i), _mm_load_ps(from + half + i));
    _mm_stream_ps(to + i, sum);
    _mm_stream_ps(to + half + i, sum);
  }
}

}  // namespace

void streamHalves(float* to, const float* from, size_t count) {
  if (__builtin_cpu_supports("avx512f")) {
    streamAvx512(to, from, count / 2);
  } else if (__builtin_cpu_supports("avx")) {
    streamAvx(to, from, count / 2);
  } else {
    streamSse(to, from, count / 2);
  }
  _mm_sfence();
}

#else

void streamHalves(float* to, const float* from, size_t count) {
  const size_t half = count / 2;
  for (size_t i = 0; i < half; ++i) to[i] = to[i + half] = from[i] + from[i + half];
}

#endif

}  // namespace tutti::cli
