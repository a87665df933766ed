// Which of Highway's targets the kernels are compiled for. Include this before any Highway header.
//
// AVX-512, AVX2 and NEON (arm64) have SIMD kernels; every other machine runs the portable ones,
// which the compiler vectorises for its baseline. Highway is used through its headers only (no
// HWY_EXPORT), so that no libhwy is needed at run time.
#pragma once

#ifndef HWY_DISABLED_TARGETS
// Bits, not names: releases of Highway differ in the names they have, not in the bits' meaning.
#define TUTTI_HWY_X86_OLD (0xFLL << 11)
#define TUTTI_HWY_X86_NEW (0x1FLL << 3)
#define TUTTI_HWY_SVE (0x1FLL << 23)
#define HWY_DISABLED_TARGETS (TUTTI_HWY_X86_OLD | TUTTI_HWY_X86_NEW | TUTTI_HWY_SVE)
#endif

#include <hwy/detect_targets.h>

#if HWY_ARCH_ARM_A64
#define TUTTI_HAS_NEON ((HWY_TARGETS & HWY_NEON) != 0)
#else
#define TUTTI_HAS_NEON 0
#endif
#define TUTTI_HAS_AVX2 ((HWY_TARGETS & HWY_AVX2) != 0)
#define TUTTI_HAS_AVX3 ((HWY_TARGETS & HWY_AVX3) != 0)
