/* The fastest plain kernels of this processor for limits.c: a reduction of n inputs into some
 * outputs and a copy, with stores around the caches or through them. Chosen at run time on x86. */
#pragma once

#include <stddef.h>
#include <string.h>

enum { kMaxStreams = 16 };

#if defined(__x86_64__)
#include <immintrin.h>

/* One body for each vector length: n and outs are constants wherever they are 1, 2 or 4. */
#define TUTTI_STREAM_BODY(WIDTH, VECTOR, LOAD, ADD, STORE, STREAM)    \
  for (size_t i = 0; i < count; i += (WIDTH)) {                       \
    VECTOR sum = LOAD(sources[0] + i);                                \
    for (int s = 1; s < n; ++s) sum = ADD(sum, LOAD(sources[s] + i)); \
    for (int d = 0; d < outs; ++d) {                                  \
      if (isStreaming)                                                \
        STREAM(destinations[d] + i, sum);                             \
      else                                                            \
        STORE(destinations[d] + i, sum);                              \
    }                                                                 \
  }                                                                   \
  _mm_sfence();

#define TUTTI_STREAM_KERNEL(NAME, TARGET, ...)                                              \
  __attribute__((target(TARGET), always_inline)) static inline void NAME##Body(             \
      const float* const* sources, const int n, float* const* destinations, const int outs, \
      size_t count, const int isStreaming) {                                                \
    TUTTI_STREAM_BODY(__VA_ARGS__)                                                          \
  }                                                                                         \
  __attribute__((target(TARGET))) static void NAME(const float* const* sources, int n,      \
                                                   float* const* destinations, int outs,    \
                                                   size_t count, int isStreaming) {         \
    if (n == 1 && outs == 1 && isStreaming)                                                 \
      NAME##Body(sources, 1, destinations, 1, count, 1);                                    \
    else if (n == 2 && outs == 1 && isStreaming)                                            \
      NAME##Body(sources, 2, destinations, 1, count, 1);                                    \
    else if (n == 2 && outs == 2 && isStreaming)                                            \
      NAME##Body(sources, 2, destinations, 2, count, 1);                                    \
    else if (n == 4 && outs == 4 && isStreaming)                                            \
      NAME##Body(sources, 4, destinations, 4, count, 1);                                    \
    else if (n == 2 && outs == 2)                                                           \
      NAME##Body(sources, 2, destinations, 2, count, 0);                                    \
    else if (n == 4 && outs == 4)                                                           \
      NAME##Body(sources, 4, destinations, 4, count, 0);                                    \
    else                                                                                    \
      NAME##Body(sources, n, destinations, outs, count, isStreaming);                       \
  }

TUTTI_STREAM_KERNEL(streamSse, "sse2", 4, __m128, _mm_load_ps, _mm_add_ps, _mm_store_ps,
                    _mm_stream_ps)
TUTTI_STREAM_KERNEL(streamAvx, "avx", 8, __m256, _mm256_load_ps, _mm256_add_ps, _mm256_store_ps,
                    _mm256_stream_ps)
TUTTI_STREAM_KERNEL(streamAvx512, "avx512f", 16, __m512, _mm512_load_ps, _mm512_add_ps,
                    _mm512_store_ps, _mm512_stream_ps)

/* destinations[j][i] = sum over s of sources[s][i]: n sources, outs destinations. All 64-byte
 * aligned, count a multiple of 16. */
static void streamReduce(const float* const* sources, int n, float* const* destinations, int outs,
                         size_t count, int isStreaming) {
  if (__builtin_cpu_supports("avx512f")) {
    streamAvx512(sources, n, destinations, outs, count, isStreaming);
  } else if (__builtin_cpu_supports("avx")) {
    streamAvx(sources, n, destinations, outs, count, isStreaming);
  } else {
    streamSse(sources, n, destinations, outs, count, isStreaming);
  }
}

static void streamCopy(float* destination, const float* source, size_t count, int isStreaming) {
  if (isStreaming)
    streamReduce(&source, 1, &destination, 1, count, 1);
  else
    memcpy(destination, source, count * sizeof(float));
}

#else

static void streamReduce(const float* const* sources, int n, float* const* destinations, int outs,
                         size_t count, int isStreaming) {
  (void)isStreaming;
  for (size_t i = 0; i < count; ++i) {
    float sum = sources[0][i];
    for (int s = 1; s < n; ++s) sum += sources[s][i];
    for (int d = 0; d < outs; ++d) destinations[d][i] = sum;
  }
}

static void streamCopy(float* destination, const float* source, size_t count, int isStreaming) {
  (void)isStreaming;
  memcpy(destination, source, count * sizeof(float));
}

#endif
