// One vector register of the instruction set that this translation unit is built for, and what can be done with it.
//
// Vectors are the compilers' own (GCC's and Clang's vector extensions); only what these have no operator for is written
// in intrinsics. The compiler is told not to contract a * b + c (-ffp-contract=off): where one rounding is wanted there
// is `fma`, and so a result has the same bits in whatever order a compiler arranges the code.
//
// Everything here lives in a namespace of the instruction set, and leaves no function of the standard library's templates
// in the object (`nm -C` would list it): one that two objects share would be taken from either of them, and an old
// processor would meet the instructions of a new one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#if defined(__AVX512F__)
#define LIQUID_VECTOR_BYTES 64
#elif defined(__AVX2__)
#define LIQUID_VECTOR_BYTES 32
#else
#define LIQUID_VECTOR_BYTES 16
#endif

#define LIQUID_INLINE inline __attribute__((always_inline))

namespace liquid {
namespace LIQUID_ISA {

typedef float FloatVector __attribute__((vector_size(LIQUID_VECTOR_BYTES)));
typedef double DoubleVector __attribute__((vector_size(LIQUID_VECTOR_BYTES)));
typedef int32_t FloatMask __attribute__((vector_size(LIQUID_VECTOR_BYTES)));
typedef int64_t DoubleMask __attribute__((vector_size(LIQUID_VECTOR_BYTES)));

template <class Real>
struct Simd;

template <>
struct Simd<float> {
    using Vector = FloatVector;
    using Mask = FloatMask;
    using Bits = int32_t;
    static constexpr int width = LIQUID_VECTOR_BYTES / 4;
    static constexpr int mantissa_bits = 23;
    static constexpr int exponent_bias = 127;
    static constexpr float round_shift = 12582912.0f;  // 1.5 * 2^23: adding it rounds to a whole number
    static constexpr float max_exponent = 125.0f;      // 2^k and 1 + 2^k are normal numbers up to it
    static constexpr int exp2_degree = 5;
};

template <>
struct Simd<double> {
    using Vector = DoubleVector;
    using Mask = DoubleMask;
    using Bits = int64_t;
    static constexpr int width = LIQUID_VECTOR_BYTES / 8;
    static constexpr int mantissa_bits = 52;
    static constexpr int exponent_bias = 1023;
    static constexpr double round_shift = 6755399441055744.0;  // 1.5 * 2^52
    static constexpr double max_exponent = 1021.0;
    static constexpr int exp2_degree = 11;
};

template <class Real>
using Vec = typename Simd<Real>::Vector;

// Vectors in memory need no more alignment than their entries; compilers count them among arrays of these.
typedef float UnalignedFloats __attribute__((vector_size(LIQUID_VECTOR_BYTES), aligned(4)));
typedef double UnalignedDoubles __attribute__((vector_size(LIQUID_VECTOR_BYTES), aligned(8)));

LIQUID_INLINE FloatVector load(const float* from) { return *reinterpret_cast<const UnalignedFloats*>(from); }
LIQUID_INLINE DoubleVector load(const double* from) { return *reinterpret_cast<const UnalignedDoubles*>(from); }
LIQUID_INLINE void store(float* to, FloatVector vector) { *reinterpret_cast<UnalignedFloats*>(to) = vector; }
LIQUID_INLINE void store(double* to, DoubleVector vector) { *reinterpret_cast<UnalignedDoubles*>(to) = vector; }

// The same value everywhere.
LIQUID_INLINE FloatVector splat(float value) { return value - FloatVector{}; }
LIQUID_INLINE DoubleVector splat(double value) { return value - DoubleVector{}; }

// a * b + c with one rounding where the instruction set has it, with two where it has not.
LIQUID_INLINE FloatVector fma(FloatVector a, FloatVector b, FloatVector c) {
#if defined(__AVX512F__)
    return _mm512_fmadd_ps(a, b, c);
#elif defined(__FMA__)
    return _mm256_fmadd_ps(a, b, c);
#elif defined(__aarch64__)
    return vfmaq_f32(c, a, b);
#else
    return a * b + c;
#endif
}

LIQUID_INLINE DoubleVector fma(DoubleVector a, DoubleVector b, DoubleVector c) {
#if defined(__AVX512F__)
    return _mm512_fmadd_pd(a, b, c);
#elif defined(__FMA__)
    return _mm256_fmadd_pd(a, b, c);
#elif defined(__aarch64__)
    return vfmaq_f64(c, a, b);
#else
    return a * b + c;
#endif
}

// c - a * b
template <class Vector>
LIQUID_INLINE Vector fnma(Vector a, Vector b, Vector c) {
    return fma(-a, b, c);
}

LIQUID_INLINE FloatVector sqrt(FloatVector a) {
#if defined(__AVX512F__)
    return _mm512_sqrt_ps(a);
#elif defined(__AVX2__)
    return _mm256_sqrt_ps(a);
#elif defined(__aarch64__)
    return vsqrtq_f32(a);
#else
    return _mm_sqrt_ps(a);
#endif
}

LIQUID_INLINE DoubleVector sqrt(DoubleVector a) {
#if defined(__AVX512F__)
    return _mm512_sqrt_pd(a);
#elif defined(__AVX2__)
    return _mm256_sqrt_pd(a);
#elif defined(__aarch64__)
    return vsqrtq_f64(a);
#else
    return _mm_sqrt_pd(a);
#endif
}

// `a` where the mask is set, `b` elsewhere.
LIQUID_INLINE FloatVector select(FloatMask mask, FloatVector a, FloatVector b) { return mask ? a : b; }
LIQUID_INLINE DoubleVector select(DoubleMask mask, DoubleVector a, DoubleVector b) { return mask ? a : b; }

// `a` within [-limit, limit]; what is no number stays none, so that the guard sees it.
LIQUID_INLINE FloatVector clamp(FloatVector a, float limit) {
#if defined(__AVX512F__)
    return _mm512_max_ps(splat(-limit), _mm512_min_ps(splat(limit), a));
#elif defined(__AVX2__)
    return _mm256_max_ps(splat(-limit), _mm256_min_ps(splat(limit), a));
#elif defined(__aarch64__)
    return vmaxq_f32(splat(-limit), vminq_f32(splat(limit), a));
#else
    return _mm_max_ps(splat(-limit), _mm_min_ps(splat(limit), a));
#endif
}

LIQUID_INLINE DoubleVector clamp(DoubleVector a, double limit) {
#if defined(__AVX512F__)
    return _mm512_max_pd(splat(-limit), _mm512_min_pd(splat(limit), a));
#elif defined(__AVX2__)
    return _mm256_max_pd(splat(-limit), _mm256_min_pd(splat(limit), a));
#elif defined(__aarch64__)
    return vmaxq_f64(splat(-limit), vminq_f64(splat(limit), a));
#else
    return _mm_max_pd(splat(-limit), _mm_min_pd(splat(limit), a));
#endif
}

template <class Vector>
LIQUID_INLINE Vector absolute(Vector a) {
    return a < 0 ? -a : a;
}

// Entries of `from` at `places`, which lie one after another.
template <class Real>
LIQUID_INLINE Vec<Real> gather(const Real* from, const int32_t* places) {
    Vec<Real> vector;
    for (int lane = 0; lane < Simd<Real>::width; ++lane) vector[lane] = from[places[lane]];
    return vector;
}

#if defined(__AVX512F__)
template <>
LIQUID_INLINE FloatVector gather<float>(const float* from, const int32_t* places) {
    return _mm512_i32gather_ps(_mm512_loadu_si512(places), from, 4);
}
#elif defined(__AVX2__)
template <>
LIQUID_INLINE FloatVector gather<float>(const float* from, const int32_t* places) {
    return _mm256_i32gather_ps(from, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(places)), 4);
}
#endif

// Sum of a vector's entries, always as a tree of halves: ((a0 + a4) + (a2 + a6)) + ((a1 + a5) + (a3 + a7)) for eight.
template <class Real>
LIQUID_INLINE Real sum(Vec<Real> vector) {
    Real terms[Simd<Real>::width];
    store(terms, vector);
    for (int half = Simd<Real>::width / 2; half > 0; half /= 2) {
        for (int lane = 0; lane < half; ++lane) terms[lane] += terms[lane + half];
    }
    return terms[0];
}

// The first `count` entries, fewer than a vector has, with zeros behind them; and a vector's first entries written back.
#if defined(__AVX512F__)
LIQUID_INLINE FloatVector load_part(const float* from, int count) {
    return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1u), from);
}
LIQUID_INLINE DoubleVector load_part(const double* from, int count) {
    return _mm512_maskz_loadu_pd(static_cast<__mmask8>((1u << count) - 1u), from);
}
LIQUID_INLINE void store_part(float* to, FloatVector vector, int count) {
    _mm512_mask_storeu_ps(to, static_cast<__mmask16>((1u << count) - 1u), vector);
}
LIQUID_INLINE void store_part(double* to, DoubleVector vector, int count) {
    _mm512_mask_storeu_pd(to, static_cast<__mmask8>((1u << count) - 1u), vector);
}
#elif defined(__AVX2__)
constexpr int32_t kMask32[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
constexpr int64_t kMask64[8] = {-1, -1, -1, -1, 0, 0, 0, 0};
LIQUID_INLINE __m256i mask_of(const void* place) { return _mm256_loadu_si256(static_cast<const __m256i*>(place)); }
LIQUID_INLINE FloatVector load_part(const float* from, int count) {
    return _mm256_maskload_ps(from, mask_of(kMask32 + 8 - count));
}
LIQUID_INLINE DoubleVector load_part(const double* from, int count) {
    return _mm256_maskload_pd(from, mask_of(kMask64 + 4 - count));
}
LIQUID_INLINE void store_part(float* to, FloatVector vector, int count) {
    _mm256_maskstore_ps(to, mask_of(kMask32 + 8 - count), vector);
}
LIQUID_INLINE void store_part(double* to, DoubleVector vector, int count) {
    _mm256_maskstore_pd(to, mask_of(kMask64 + 4 - count), vector);
}
#else
template <class Real>
LIQUID_INLINE Vec<Real> load_part(const Real* from, int count) {
    Vec<Real> vector{};
    for (int i = 0; i < count; ++i) vector[i] = from[i];
    return vector;
}
template <class Vector, class Real>
LIQUID_INLINE void store_part(Real* to, Vector vector, int count) {
    for (int i = 0; i < count; ++i) to[i] = vector[i];
}
#endif

// Copies `count` entries and whatever comes with them to fill whole vectors: both sides have room for it.
template <class Real>
LIQUID_INLINE void copy_roomy(Real* to, const Real* from, int count) {
    for (int i = 0; i < count; i += Simd<Real>::width) store(to + i, load(from + i));
}

template <class Real>
LIQUID_INLINE void zero_roomy(Real* to, int count) {
    for (int i = 0; i < count; i += Simd<Real>::width) store(to + i, Vec<Real>{});
}

// Dot product of `count` entries, which need not fill whole vectors.
template <class Real>
LIQUID_INLINE Real dot(const Real* a, const Real* b, int count) {
    constexpr int width = Simd<Real>::width;
    Vec<Real> total{};
    int i = 0;
    for (; i + width <= count; i += width) total = fma(load(a + i), load(b + i), total);
    if (i < count) total = fma(load_part(a + i, count - i), load_part(b + i, count - i), total);
    return sum<Real>(total);
}

// `count` rounded up to whole vectors.
template <class Real>
constexpr int padded(int count) {
    return (count + Simd<Real>::width - 1) / Simd<Real>::width * Simd<Real>::width;
}

}  // namespace LIQUID_ISA
}  // namespace liquid
