// From rows, a stream each, to vectors, a stream a lane, and back.
#pragma once

#include "simd.h"

namespace liquid {
namespace LIQUID_ISA {

// Transposes a square of `width` vectors in place.
template <class Real>
LIQUID_INLINE void transpose(Vec<Real>* square) {
    constexpr int width = Simd<Real>::width;
    Real entries[width * width];
    for (int i = 0; i < width; ++i) store(entries + i * width, square[i]);
    for (int i = 0; i < width; ++i) {
        for (int j = 0; j < width; ++j) square[i][j] = entries[j * width + i];
    }
}

#if defined(__AVX512F__)
template <>
LIQUID_INLINE void transpose<float>(FloatVector* square) {
    // Four rounds, each of which interleaves the upper half of the vectors with the lower one.
    const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const __m512i high = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    FloatVector next[16];
    for (int round = 0; round < 4; ++round) {
        for (int i = 0; i < 8; ++i) {
            next[2 * i] = _mm512_permutex2var_ps(square[i], low, square[i + 8]);
            next[2 * i + 1] = _mm512_permutex2var_ps(square[i], high, square[i + 8]);
        }
        for (int i = 0; i < 16; ++i) square[i] = next[i];
    }
}
#elif defined(__AVX2__)
template <>
LIQUID_INLINE void transpose<float>(FloatVector* square) {
    __m256 pairs[8], quads[8];
    for (int i = 0; i < 8; i += 2) {
        pairs[i] = _mm256_unpacklo_ps(square[i], square[i + 1]);
        pairs[i + 1] = _mm256_unpackhi_ps(square[i], square[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        quads[i] = _mm256_shuffle_ps(pairs[i], pairs[i + 2], 0x44);
        quads[i + 1] = _mm256_shuffle_ps(pairs[i], pairs[i + 2], 0xee);
        quads[i + 2] = _mm256_shuffle_ps(pairs[i + 1], pairs[i + 3], 0x44);
        quads[i + 3] = _mm256_shuffle_ps(pairs[i + 1], pairs[i + 3], 0xee);
    }
    for (int i = 0; i < 4; ++i) {
        square[i] = _mm256_permute2f128_ps(quads[i], quads[i + 4], 0x20);
        square[i + 4] = _mm256_permute2f128_ps(quads[i], quads[i + 4], 0x31);
    }
}
#elif defined(__x86_64__)
template <>
LIQUID_INLINE void transpose<float>(FloatVector* square) {
    __m128 a = square[0], b = square[1], c = square[2], d = square[3];
    _MM_TRANSPOSE4_PS(a, b, c, d);
    square[0] = a, square[1] = b, square[2] = c, square[3] = d;
}
#elif defined(__aarch64__)
template <>
LIQUID_INLINE void transpose<float>(FloatVector* square) {
    const float32x4x2_t ab = vtrnq_f32(square[0], square[1]), cd = vtrnq_f32(square[2], square[3]);
    square[0] = vcombine_f32(vget_low_f32(ab.val[0]), vget_low_f32(cd.val[0]));
    square[1] = vcombine_f32(vget_low_f32(ab.val[1]), vget_low_f32(cd.val[1]));
    square[2] = vcombine_f32(vget_high_f32(ab.val[0]), vget_high_f32(cd.val[0]));
    square[3] = vcombine_f32(vget_high_f32(ab.val[1]), vget_high_f32(cd.val[1]));
}
#endif

// `packed` (count, width) from `width` rows of `count` entries; a row that is null leaves its lane as it was.
template <class Real>
static void pack_rows(const Real* const* rows, int count, Real* packed) {
    constexpr int width = Simd<Real>::width;
    int i = 0;
    bool complete = true;
    for (int lane = 0; lane < width; ++lane) complete &= rows[lane] != nullptr;
    if (complete) {
        for (; i + width <= count; i += width) {
            Vec<Real> square[width];
            for (int lane = 0; lane < width; ++lane) square[lane] = load(rows[lane] + i);
            transpose<Real>(square);
            for (int k = 0; k < width; ++k) store(packed + (i + k) * width, square[k]);
        }
    }
    for (; i < count; ++i) {
        for (int lane = 0; lane < width; ++lane) {
            if (rows[lane] != nullptr) packed[i * width + lane] = rows[lane][i];
        }
    }
}

// The reverse; rows have room for whole vectors.
template <class Real>
static void unpack_rows(const Real* packed, int count, Real* const* rows) {
    constexpr int width = Simd<Real>::width;
    for (int i = 0; i < count; i += width) {
        Vec<Real> square[width];
        for (int k = 0; k < width; ++k) square[k] = load(packed + (i + k) * width);
        transpose<Real>(square);
        for (int lane = 0; lane < width; ++lane) store(rows[lane] + i, square[lane]);
    }
}

}  // namespace LIQUID_ISA
}  // namespace liquid
