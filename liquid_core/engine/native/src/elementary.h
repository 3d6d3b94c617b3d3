// The functions of cells: exp, sigmoid, tanh, softplus, activations, for vectors of float and of double.
//
// All of them are made of sums, products, one division and a polynomial, lane by lane. The polynomials interpolate at
// Chebyshev nodes; their relative errors are 1.2e-8 (2^r, float), 3e-19 (double), 4e-9 and 2e-18 (log1p).
#pragma once

#include "simd.h"

namespace liquid {
namespace LIQUID_ISA {

// Coefficients of (2^r - 1) / r on [-1/2, 1/2], lowest power first.
constexpr float kExp2Float[] = {
    0.6931471880f, 0.2402265076f, 0.05550357114f, 0.009618082557f,
    0.001339086336f, 0.0001545316295f};
constexpr double kExp2Double[] = {
    0.6931471805599453093, 0.2402265069591007123, 0.05550410866482162704, 0.009618129107628479493,
    0.001333355814640647070, 0.0001540353039337073341, 0.00001525273384155677259, 1.321548680870556279e-6,
    1.017805708773394110e-7, 7.054897304155499277e-9, 4.455817908336064493e-10, 2.572932417736230421e-11};

// Coefficients of atanh(f) / f as a polynomial in f^2 on [0, 1/9], lowest power first.
constexpr float kAtanhFloat[] = {
    1.000000004f, 0.3333316082f, 0.2001229762f, 0.1398257887f,
    0.1407888918f};
constexpr double kAtanhDouble[] = {
    1.000000000000000001, 0.3333333333333307480, 0.2000000000009287373, 0.1428571427272705727,
    0.1111111204037383659, 0.09090870416252402255, 0.07693307021152003881, 0.06650187016337312169,
    0.06055084364034608827, 0.04162253255930410288, 0.08522081781390699065};

template <class Vector, class Real, size_t N>
LIQUID_INLINE Vector polynomial(Vector x, const Real (&coefficients)[N]) {
    Vector value = splat(coefficients[N - 1]);
    for (size_t i = N - 1; i-- > 0;) value = fma(value, x, splat(coefficients[i]));
    return value;
}

template <class Real>
LIQUID_INLINE constexpr Real exp2_coefficient(int i);
template <>
LIQUID_INLINE constexpr float exp2_coefficient<float>(int i) { return kExp2Float[i]; }
template <>
LIQUID_INLINE constexpr double exp2_coefficient<double>(int i) { return kExp2Double[i]; }

LIQUID_INLINE FloatVector atanh_polynomial(FloatVector s) { return polynomial(s, kAtanhFloat); }
LIQUID_INLINE DoubleVector atanh_polynomial(DoubleVector s) { return polynomial(s, kAtanhDouble); }

constexpr double kLog2E = 1.4426950408889634074;

// 2^x = 2^r 2^k with r in [-1/2, 1/2] and k whole, of N vectors at once.
//
// Operation by operation, not vector by vector: a processor has room for few waiting instructions, and the chain of a
// single vector would leave it idle.
template <class Real, int N>
struct Exp2 {
    Vec<Real> r[N], q[N];  // 2^r = 1 + r q
    Vec<Real> power[N];    // 2^k
};

template <class Real, int N>
LIQUID_INLINE Exp2<Real, N> exp2_parts(const Vec<Real> (&x)[N]) {
    using S = Simd<Real>;
    constexpr int degree = S::exp2_degree;
    Exp2<Real, N> parts;
    for (int n = 0; n < N; ++n) parts.r[n] = clamp(x[n], S::max_exponent);
    for (int n = 0; n < N; ++n) {
        const Vec<Real> shifted = parts.r[n] + splat(S::round_shift);
        parts.r[n] = parts.r[n] - (shifted - splat(S::round_shift));
        typename S::Mask bits;
        std::memcpy(&bits, &shifted, sizeof bits);
        // The low bits of `shifted` are the whole number; moved into the exponent's place they make a power of two.
        bits = (bits + S::exponent_bias) << S::mantissa_bits;
        std::memcpy(&parts.power[n], &bits, sizeof bits);
    }
    for (int n = 0; n < N; ++n) parts.q[n] = splat(exp2_coefficient<Real>(degree));
    for (int i = degree; i-- > 0;) {
        for (int n = 0; n < N; ++n) parts.q[n] = fma(parts.q[n], parts.r[n], splat(exp2_coefficient<Real>(i)));
    }
    return parts;
}

template <class Real>
LIQUID_INLINE Vec<Real> exp2(Vec<Real> x) {
    const Exp2<Real, 1> parts = exp2_parts<Real, 1>({x});
    return fma(parts.q[0], parts.r[0], splat(Real(1))) * parts.power[0];
}

template <class Real>
LIQUID_INLINE Vec<Real> exp(Vec<Real> x) {
    return exp2<Real>(x * splat(static_cast<Real>(kLog2E)));
}

// 1 + 2^x from the n-th x's parts.
template <class Real, int N>
LIQUID_INLINE Vec<Real> one_and_exp2(const Exp2<Real, N>& parts, int n) {
    const Vec<Real> one = splat(Real(1));
    return fma(fma(parts.q[n], parts.r[n], one), parts.power[n], one);
}

// 2^x - 1 from the n-th x's parts, as r q 2^k + (2^k - 1): it keeps its precision where x is small.
template <class Real, int N>
LIQUID_INLINE Vec<Real> exp2_less_one(const Exp2<Real, N>& parts, int n) {
    return fma(parts.q[n] * parts.r[n], parts.power[n], parts.power[n] - splat(Real(1)));
}

// 1 / (1 + 2^x), in place: the sigmoids of -x ln 2. Who scales x beforehand saves the product.
template <class Real, int N>
LIQUID_INLINE void sigmoids_of_minus_log2(Vec<Real> (&x)[N]) {
    const Exp2<Real, N> parts = exp2_parts<Real, N>(x);
    for (int n = 0; n < N; ++n) x[n] = one_and_exp2(parts, n);
    for (int n = 0; n < N; ++n) x[n] = splat(Real(1)) / x[n];
}

template <class Real>
LIQUID_INLINE Vec<Real> sigmoid(Vec<Real> x) {
    Vec<Real> value[1] = {x * splat(static_cast<Real>(-kLog2E))};
    sigmoids_of_minus_log2<Real, 1>(value);
    return value[0];
}

// e / (e + 2) with e = exp(2 x) - 1
template <class Real>
LIQUID_INLINE Vec<Real> tanh(Vec<Real> x) {
    const Vec<Real> e = exp2_less_one(exp2_parts<Real, 1>({x * splat(static_cast<Real>(2 * kLog2E))}), 0);
    return e / (e + splat(Real(2)));
}

// What a closed-form neuron needs, in place and in one go.
template <class Real>
LIQUID_INLINE void two_tanhs_and_a_sigmoid(Vec<Real>& a, Vec<Real>& b, Vec<Real>& gate) {
    const Vec<Real> two = splat(Real(2)), scale = splat(static_cast<Real>(2 * kLog2E));
    const Exp2<Real, 3> parts = exp2_parts<Real, 3>({a * scale, b * scale, gate * splat(static_cast<Real>(-kLog2E))});
    a = exp2_less_one(parts, 0);
    b = exp2_less_one(parts, 1);
    gate = splat(Real(1)) / one_and_exp2(parts, 2);
    a = a / (a + two);
    b = b / (b + two);
}

// log(1 + exp(x)), and x itself above 20 as the reference has it; with its derivative.
template <class Real>
struct Softplus {
    Vec<Real> value, slope;
};

template <class Real>
LIQUID_INLINE Softplus<Real> softplus(Vec<Real> x) {
    const Vec<Real> one = splat(Real(1)), zero{};
    const Vec<Real> e = exp<Real>(-absolute(x));
    // log1p(e) = 2 atanh(e / (2 + e)), and e lies in [0, 1].
    const Vec<Real> f = e / (e + splat(Real(2)));
    const Vec<Real> log1p = splat(Real(2)) * f * atanh_polynomial(f * f);
    const Vec<Real> positive = x > zero ? x : zero;
    const auto large = x > splat(Real(20));
    const Vec<Real> nearer = one / (one + e);
    const Vec<Real> slope = select(x < zero, e * nearer, nearer);
    // What is no number stays none.
    const Vec<Real> value = select(x == x, positive + log1p, x);
    return {select(large, x, value), select(large, one, slope)};
}

// --- activations of a backbone -------------------------------------------------------------------------------------

enum class Activation : int32_t { silu, relu, tanh, gelu, lecun_tanh };

template <class Real>
struct Activated {
    Vec<Real> value, slope;
};

template <class Real>
LIQUID_INLINE Vec<Real> error_function(Vec<Real> x) {
    Vec<Real> value;
    for (int lane = 0; lane < Simd<Real>::width; ++lane) {
        value[lane] = static_cast<Real>(__builtin_erf(static_cast<double>(x[lane])));
    }
    return value;
}

template <class Real>
LIQUID_INLINE Activated<Real> activate(Activation kind, Vec<Real> x) {
    const Vec<Real> one = splat(Real(1)), half = splat(Real(0.5)), zero{};
    switch (kind) {
        case Activation::silu: {
            const Vec<Real> s = sigmoid<Real>(x);
            return {x * s, s * fma(x, one - s, one)};
        }
        case Activation::relu: {
            // What is no number stays none.
            return {select(x < zero, zero, x), select(x > zero, one, zero)};
        }
        case Activation::tanh: {
            const Vec<Real> y = tanh<Real>(x);
            return {y, fnma(y, y, one)};
        }
        case Activation::gelu: {
            const Vec<Real> share = half * (one + error_function<Real>(x * splat(Real(0.70710678118654752440))));
            const Vec<Real> density = splat(Real(0.39894228040143267794)) * exp<Real>(-half * x * x);
            return {x * share, fma(x, density, share)};
        }
        case Activation::lecun_tanh: {
            const Vec<Real> y = tanh<Real>(x * splat(Real(0.666)));
            return {splat(Real(1.7159)) * y, splat(Real(1.7159 * 0.666)) * fnma(y, y, one)};
        }
    }
    __builtin_unreachable();
}

}  // namespace LIQUID_ISA
}  // namespace liquid
