// Dense linear maps of one stream, outputs side by side in vectors: y = b + W z, and back.
//
// Weights lie as (inputs, outputs), each input's row padded to whole vectors. The order of every sum is fixed by the
// shapes alone.
#pragma once

#include "plan.h"
#include "simd.h"

namespace liquid {
namespace LIQUID_ISA {

// --- forward: outputs stay in registers while inputs pass by ------------------------------------------------------------

template <class Real, int N>
static inline void affine_columns(const Real* weights, int stride, const Real* biases, const Real* z, int inputs, Real* y) {
    constexpr int width = Simd<Real>::width;
    Vec<Real> total[N];
    for (int i = 0; i < N; ++i) total[i] = load(biases + i * width);
    int k = 0;
    if (N <= 4) {
        // Few columns: two sums each, so that one addition need not wait for the last.
        Vec<Real> other[N] = {};
        for (; k + 2 <= inputs; k += 2) {
            const Vec<Real> a = splat(z[k]), b = splat(z[k + 1]);
            for (int i = 0; i < N; ++i) total[i] = fma(load(weights + k * stride + i * width), a, total[i]);
            for (int i = 0; i < N; ++i) other[i] = fma(load(weights + (k + 1) * stride + i * width), b, other[i]);
        }
        for (int i = 0; i < N; ++i) total[i] += other[i];
    }
    for (; k < inputs; ++k) {
        const Vec<Real> a = splat(z[k]);
        for (int i = 0; i < N; ++i) total[i] = fma(load(weights + k * stride + i * width), a, total[i]);
    }
    for (int i = 0; i < N; ++i) store(y + i * width, total[i]);
}

// y (stride,) from z (inputs,). `turn` alternates from step to step: blocks of columns are then taken in reverse, so that
// the ones that are still in the nearest cache come first.
template <class Real>
static void affine(const Linear& map, const Real* working, const Real* z, Real* y, int turn) {
    constexpr int width = Simd<Real>::width, most = 8;
    const int columns = map.stride / width, blocks = (columns + most - 1) / most;
    const Real *weights = working + map.weights, *biases = working + map.biases;
    for (int i = 0; i < blocks; ++i) {
        const int block = turn % 2 == 0 ? i : blocks - 1 - i;
        const int from = columns * block / blocks, count = columns * (block + 1) / blocks - from;
        const Real *w = weights + from * width, *b = biases + from * width;
        Real* out = y + from * width;
        switch (count) {
            case 1: affine_columns<Real, 1>(w, map.stride, b, z, map.inputs, out); break;
            case 2: affine_columns<Real, 2>(w, map.stride, b, z, map.inputs, out); break;
            case 3: affine_columns<Real, 3>(w, map.stride, b, z, map.inputs, out); break;
            case 4: affine_columns<Real, 4>(w, map.stride, b, z, map.inputs, out); break;
            case 5: affine_columns<Real, 5>(w, map.stride, b, z, map.inputs, out); break;
            case 6: affine_columns<Real, 6>(w, map.stride, b, z, map.inputs, out); break;
            case 7: affine_columns<Real, 7>(w, map.stride, b, z, map.inputs, out); break;
            case 8: affine_columns<Real, 8>(w, map.stride, b, z, map.inputs, out); break;
        }
    }
}

// --- back to the inputs: rows of the matrix times the outputs' gradient ------------------------------------------------

// Sums of the entries of several vectors, as many as `rows_at_once`, one beside the other.
#if defined(__x86_64__)
template <class Real>
constexpr int rows_at_once = LIQUID_VECTOR_BYTES >= 32 ? 32 / static_cast<int>(sizeof(Real)) : 16 / static_cast<int>(sizeof(Real));

#if defined(__AVX2__)
LIQUID_INLINE void store_sums(const __m256* a, float* to) {
    const __m256 low = _mm256_hadd_ps(_mm256_hadd_ps(a[0], a[1]), _mm256_hadd_ps(a[2], a[3]));
    const __m256 high = _mm256_hadd_ps(_mm256_hadd_ps(a[4], a[5]), _mm256_hadd_ps(a[6], a[7]));
    _mm256_storeu_ps(to, _mm256_add_ps(_mm256_permute2f128_ps(low, high, 0x20), _mm256_permute2f128_ps(low, high, 0x31)));
}
LIQUID_INLINE void store_sums(const __m256d* a, double* to) {
    const __m256d low = _mm256_hadd_pd(a[0], a[1]), high = _mm256_hadd_pd(a[2], a[3]);
    _mm256_storeu_pd(to, _mm256_add_pd(_mm256_permute2f128_pd(low, high, 0x20), _mm256_permute2f128_pd(low, high, 0x31)));
}
#endif
#if defined(__AVX512F__)
LIQUID_INLINE void store_sums(const FloatVector* a, float* to) {
    __m256 halves[8];
    for (int i = 0; i < 8; ++i) halves[i] = _mm256_add_ps(_mm512_castps512_ps256(a[i]), _mm512_extractf32x8_ps(a[i], 1));
    store_sums(halves, to);
}
LIQUID_INLINE void store_sums(const DoubleVector* a, double* to) {
    __m256d halves[4];
    for (int i = 0; i < 4; ++i) halves[i] = _mm256_add_pd(_mm512_castpd512_pd256(a[i]), _mm512_extractf64x4_pd(a[i], 1));
    store_sums(halves, to);
}
#elif !defined(__AVX2__)
LIQUID_INLINE void store_sums(const FloatVector* a, float* to) {
    _mm_storeu_ps(to, _mm_hadd_ps(_mm_hadd_ps(a[0], a[1]), _mm_hadd_ps(a[2], a[3])));
}
LIQUID_INLINE void store_sums(const DoubleVector* a, double* to) { _mm_storeu_pd(to, _mm_hadd_pd(a[0], a[1])); }
#endif

#else
template <class Real>
constexpr int rows_at_once = Simd<Real>::width;

#if defined(__aarch64__)
LIQUID_INLINE void store_sums(const FloatVector* a, float* to) {
    vst1q_f32(to, vpaddq_f32(vpaddq_f32(a[0], a[1]), vpaddq_f32(a[2], a[3])));
}
LIQUID_INLINE void store_sums(const DoubleVector* a, double* to) { vst1q_f64(to, vpaddq_f64(a[0], a[1])); }
#else
LIQUID_INLINE void store_sums(const FloatVector* a, float* to) {
    for (int i = 0; i < rows_at_once<float>; ++i) to[i] = sum<float>(a[i]);
}
LIQUID_INLINE void store_sums(const DoubleVector* a, double* to) {
    for (int i = 0; i < rows_at_once<double>; ++i) to[i] = sum<double>(a[i]);
}
#endif
#endif

// dz[k] for k in [from, inputs), from dy (stride,), whose padding must hold zeros. `turn` as of `affine`.
template <class Real>
static void back(const Linear& map, const Real* working, const Real* dy, int from, Real* dz, int turn) {
    constexpr int width = Simd<Real>::width, rows = rows_at_once<Real>;
    const int stride = map.stride, wanted = map.inputs - from, tiles = (wanted + rows - 1) / rows;
    const Real* weights = working + map.weights;
    if (wanted < rows) {
        for (int k = from; k < map.inputs; ++k) dz[k] = dot(weights + k * stride, dy, stride);
        return;
    }
    for (int tile = 0; tile < tiles; ++tile) {
        const int first = from + rows * (turn % 2 == 0 ? tile : tiles - 1 - tile), last_start = map.inputs - rows;
        // The last rows begin a whole tile before the end: some are worked out twice, with the same result.
        const int k = first < last_start ? first : last_start;
        const Real* w = weights + k * stride;
        Vec<Real> total[rows] = {};
        for (int o = 0; o < stride; o += width) {
            const Vec<Real> d = load(dy + o);
            for (int i = 0; i < rows; ++i) total[i] = fma(load(w + i * stride + o), d, total[i]);
        }
        store_sums(total, dz + k);
    }
}

// --- back to the weights: a sum over the steps of the window -------------------------------------------------------------

template <class Real, int Rows, int Columns>
static inline void weight_tile(const Real* z, int z_stride, const Real* d, int d_stride, int steps, Real* gradient,
                               int stride, bool add) {
    constexpr int width = Simd<Real>::width;
    Vec<Real> total[Rows][Columns];
    for (int k = 0; k < Rows; ++k) {
        for (int i = 0; i < Columns; ++i) total[k][i] = add ? load(gradient + k * stride + i * width) : Vec<Real>{};
    }
    for (int t = 0; t < steps; ++t) {
        Vec<Real> column[Columns];
        for (int i = 0; i < Columns; ++i) column[i] = load(d + t * d_stride + i * width);
        for (int k = 0; k < Rows; ++k) {
            const Vec<Real> value = splat(z[t * z_stride + k]);
            for (int i = 0; i < Columns; ++i) total[k][i] = fma(value, column[i], total[k][i]);
        }
    }
    for (int k = 0; k < Rows; ++k) {
        for (int i = 0; i < Columns; ++i) store(gradient + k * stride + i * width, total[k][i]);
    }
}

template <class Real, int Columns>
static void weight_columns(const Linear& map, const Real* z, int z_stride, const Real* d, int steps, Real* gradient,
                           bool add) {
    int k = 0;
    for (; k + 6 <= map.inputs; k += 6) {
        weight_tile<Real, 6, Columns>(z + k, z_stride, d, map.stride, steps, gradient + k * map.stride, map.stride, add);
    }
    for (; k + 2 <= map.inputs; k += 2) {
        weight_tile<Real, 2, Columns>(z + k, z_stride, d, map.stride, steps, gradient + k * map.stride, map.stride, add);
    }
    for (; k < map.inputs; ++k) {
        weight_tile<Real, 1, Columns>(z + k, z_stride, d, map.stride, steps, gradient + k * map.stride, map.stride, add);
    }
}

// Gradient by weights and biases, from what went in, z (steps, z_stride), and the outputs' gradient, d (steps, stride).
// `add`: to what is there already.
template <class Real>
static void weight_gradient(const Linear& map, const Real* z, int z_stride, const Real* d, int steps, Real* gradient,
                            bool add) {
    constexpr int width = Simd<Real>::width;
    const int columns = map.stride / width;
    Real* weights = gradient + map.weights;
    int i = 0;
    for (; i + 2 <= columns; i += 2) {
        weight_columns<Real, 2>(map, z, z_stride, d + i * width, steps, weights + i * width, add);
    }
    if (i < columns) weight_columns<Real, 1>(map, z, z_stride, d + i * width, steps, weights + i * width, add);
    for (int o = 0; o < map.stride; o += width) {
        Vec<Real> total = add ? load(gradient + map.biases + o) : Vec<Real>{};
        for (int t = 0; t < steps; ++t) total += load(d + t * map.stride + o);
        store(gradient + map.biases + o, total);
    }
}

}  // namespace LIQUID_ISA
}  // namespace liquid
