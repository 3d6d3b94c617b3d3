// The formulas of a liquid time-constant cell, a vector at a time (cells/ltc.py), and their derivatives.
//
// Two kernels use them: one runs a group of streams, a stream a lane (ltc_group.h), the other a single stream, a neuron a
// lane (ltc_chain.h). Both apply these functions to the same numbers in the same order, so that a stream gets the same
// bits from either.
//
// The solver's step is v' = v + q (current - conductance v) with q = δ / (cm + δ conductance). For a gradient g by v':
//
//     by v: g (1 - q conductance) = g cm / (cm + δ conductance)       by current: g q
//     by conductance: -g q v'                                         by cm: -g (v' - v) / (cm + δ conductance)
#pragma once

#include "elementary.h"
#include "seat.h"

namespace liquid {
namespace LIQUID_ISA {

// A synapse ready to use: its gate is 1 / (1 + 2^(slope v + shift)).
template <class Real>
struct ReadySynapse {
    Vec<Real> slope, shift, conductance, current, derivative;  // `derivative`: of the conductance by the stored w
};

template <class Real>
LIQUID_INLINE Softplus<Real> positive(Vec<Real> raw, bool implicit) {
    return implicit ? softplus<Real>(raw) : Softplus<Real>{raw, splat(Real(1))};
}

template <class Real>
LIQUID_INLINE ReadySynapse<Real> ready(Vec<Real> sigma, Vec<Real> mu, Vec<Real> w, Vec<Real> erev, bool implicit) {
    const Vec<Real> slope = sigma * splat(static_cast<Real>(-kLog2E));
    const Softplus<Real> conductance = positive<Real>(w, implicit);
    return {slope, -slope * mu, conductance.value, conductance.value * erev, conductance.slope};
}

// Sums of conductances and currents into a neuron.
template <class Real>
struct Inflow {
    Vec<Real> conductance, current;
};

// Gates of `count` vectors of synapses, one after the other: `slopes`, `shifts` and `gates` lie in a row, and
// `source(i)` is what the i-th vector listens to.
template <class Real, class Source>
LIQUID_INLINE void open_gates(const Real* slopes, const Real* shifts, Real* gates, int count, Source source) {
    constexpr int W = Simd<Real>::width, N = 4;
    int i = 0;
    for (; i + N <= count; i += N) {
        Vec<Real> x[N];
        for (int n = 0; n < N; ++n) x[n] = fma(load(slopes + (i + n) * W), source(i + n), load(shifts + (i + n) * W));
        sigmoids_of_minus_log2<Real, N>(x);
        for (int n = 0; n < N; ++n) store(gates + (i + n) * W, x[n]);
    }
    for (; i < count; ++i) {
        Vec<Real> x[1] = {fma(load(slopes + i * W), source(i), load(shifts + i * W))};
        sigmoids_of_minus_log2<Real, 1>(x);
        store(gates + i * W, x[0]);
    }
}

template <class Real>
LIQUID_INLINE void flow(Inflow<Real>& inflow, Vec<Real> gate, Vec<Real> conductance, Vec<Real> current) {
    inflow.conductance = fma(conductance, gate, inflow.conductance);
    inflow.current = fma(current, gate, inflow.current);
}

// One solver step of a neuron.
template <class Real>
struct Relaxed {
    Vec<Real> v;
    // 1 / (cm + δ conductance); -1 where that is 1 / 0 and one was divided by instead (explicit constraints only).
    Vec<Real> inverse;
};

template <class Real>
LIQUID_INLINE Relaxed<Real> relax(Vec<Real> v, const Inflow<Real>& inflow, Vec<Real> cm, Vec<Real> step_time, bool implicit) {
    const Vec<Real> one = splat(Real(1)), zero{};
    Vec<Real> denominator = fma(step_time, inflow.conductance, cm);
    const auto none = denominator == zero;
    if (!implicit) denominator = select(none, one, denominator);
    const Vec<Real> inverse = one / denominator;
    const Vec<Real> next = fma(step_time * inverse, fnma(inflow.conductance, v, inflow.current), v);
    return {next, implicit ? inverse : select(none, -one, inverse)};
}

// The way back through it.
template <class Real>
struct Strained {
    Vec<Real> d_v, d_cm;
    Inflow<Real> d_inflow;
};

template <class Real>
LIQUID_INLINE Strained<Real> strain(Vec<Real> g, Vec<Real> before, Vec<Real> after, Vec<Real> inverse, Vec<Real> cm,
                                    Vec<Real> step_time, bool implicit) {
    const Vec<Real> one = splat(Real(1)), zero{};
    const auto none = inverse < zero;
    if (!implicit) inverse = select(none, one, inverse);
    Vec<Real> share = cm * inverse;
    if (!implicit) share = select(none, one, share);
    const Vec<Real> d_current = g * (step_time * inverse);
    return {g * share, -(g * (after - before) * inverse), {-(d_current * after), d_current}};
}

// Gradient before a gate's sigmoid, given its output and the gradients of the sums that it flows into.
template <class Real>
LIQUID_INLINE Vec<Real> close_gate(Vec<Real> gate, Vec<Real> conductance, Vec<Real> current, const Inflow<Real>& d_inflow) {
    return fma(current, d_inflow.current, conductance * d_inflow.conductance) * fnma(gate, gate, gate);
}

// What a synapse's parameters gain over a window, before it is divided among them.
template <class Real>
struct Gains {
    Vec<Real> conductance, current, shift, slope;
};

template <class Real>
LIQUID_INLINE void gain(Gains<Real>& gains, Vec<Real> gate, Vec<Real> d_gate, Vec<Real> distance, const Inflow<Real>& d_inflow) {
    gains.conductance = fma(gate, d_inflow.conductance, gains.conductance);
    gains.current = fma(gate, d_inflow.current, gains.current);
    gains.shift += d_gate;
    gains.slope = fma(d_gate, distance, gains.slope);
}

// Gradients by a synapse's stored parameters.
template <class Real>
struct SynapseGradient {
    Vec<Real> sigma, mu, w, erev;
};

template <class Real>
LIQUID_INLINE SynapseGradient<Real> divide(const Gains<Real>& gains, Vec<Real> sigma, Vec<Real> erev, Vec<Real> conductance,
                                           Vec<Real> derivative) {
    return {gains.slope, -(sigma * gains.shift), fma(erev, gains.current, gains.conductance) * derivative,
            conductance * gains.current};
}

// More than this is not kept of a window: gates are then opened a second time on the way back.
constexpr int64_t kMaxGateBytes = 16 << 20;

}  // namespace LIQUID_ISA
}  // namespace liquid
