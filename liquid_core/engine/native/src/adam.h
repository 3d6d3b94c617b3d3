// The optimiser on a flat vector of parameters: Adam with a guard on the weights (learner/adam.py, learner/guard.py).
//
// Weights and moments are updated where they lie. No step is longer than kMaxStep, so that an update is safe where every
// weight keeps that distance from its bound. Where one does not, which is rare, what was there is kept aside and put back if
// a weight leaves its bounds: an unsafe update leaves no trace.
#pragma once

#include "seat.h"

namespace liquid {
namespace LIQUID_ISA {

constexpr double kMaxGradient = 1e15;  // guard.py
constexpr double kMaxStep = 1.0;       // adam.py

// Factor that brings a gradient of this norm down to the limit.
template <class Real>
static inline Real clip_factor(Real norm, double limit) {
    return static_cast<double>(norm) > limit ? static_cast<Real>(limit / static_cast<double>(norm)) : Real(1);
}

// Norm of a gradient `(params,)`.
template <class Real>
static inline Real gradient_norm(const Real* gradient, int count) {
    constexpr int width = Simd<Real>::width;
    Vec<Real> total[4] = {};
    int i = 0;
    for (; i + 4 * width <= count; i += 4 * width) {
        for (int k = 0; k < 4; ++k) {
            const Vec<Real> g = load(gradient + i + k * width);
            total[k] = fma(g, g, total[k]);
        }
    }
    for (; i < count; i += width) {
        const Vec<Real> g = count - i < width ? load_part(gradient + i, count - i) : load(gradient + i);
        total[0] = fma(g, g, total[0]);
    }
    return static_cast<Real>(__builtin_sqrt(static_cast<double>(sum<Real>((total[0] + total[1]) + (total[2] + total[3])))));
}

// Whether all weights `(params,)` lie within [-limit, limit]; one that is no number does not.
template <class Real>
static inline bool all_within(const Real* weights, int count, Real limit) {
    constexpr int width = Simd<Real>::width;
    const Vec<Real> bound = splat(limit);
    typename Simd<Real>::Mask inside = bound == bound;
    int i = 0;
    for (; i + width <= count; i += width) inside &= absolute(load(weights + i)) <= bound;
    if (i < count) inside &= absolute(load_part(weights + i, count - i)) <= bound;
    bool all = true;
    for (int lane = 0; lane < width; ++lane) all &= inside[lane] != 0;
    return all;
}

// delay.learning_rate
static inline double delayed_rate(double prompt, double delay) { return prompt * 2.0 / (1.0 + delay); }

// Adam's constants in the kernels' type.
template <class Real>
struct AdamStep {
    Vec<Real> beta1, beta2, rest1, rest2, epsilon, scale, rate, correction;

    // Weights after a step for a vector of them, and their new moments.
    LIQUID_INLINE Vec<Real> operator()(Vec<Real> weight, Vec<Real>& first, Vec<Real>& second, Vec<Real> gradient) const {
        gradient = gradient * scale;
        first = fma(beta1, first, rest1 * gradient);
        second = fma(beta2, second, rest2 * gradient * gradient);
        return weight - clamp(rate * first / fma(sqrt(second), correction, epsilon), Real(kMaxStep));
    }
};

// Adam on the rows of streams, one after the other.
template <class Real>
class Optimiser {
   public:
    void lay_out(Arena& arena, const Plan& plan) {
        plan_ = &plan;
        for (Real*& kept : kept_) kept = arena.take<Real>(plan.num_params);
    }

    // One step for the stream in a seat, after targets of that delay; `applied` tells whether it was kept.
    void step(Seat<Real>& seat, const Real* gradient, double delay) {
        const Row row = seat.row(*plan_);
        double &decay1 = *row.real(plan_->at.adam_decay1), &decay2 = *row.real(plan_->at.adam_decay2);
        const double next1 = decay1 * plan_->beta1, next2 = decay2 * plan_->beta2;
        const AdamStep<Real> adam{splat(static_cast<Real>(plan_->beta1)),
                                  splat(static_cast<Real>(plan_->beta2)),
                                  splat(static_cast<Real>(1 - plan_->beta1)),
                                  splat(static_cast<Real>(1 - plan_->beta2)),
                                  splat(static_cast<Real>(plan_->epsilon)),
                                  splat(clip_factor(seat.norm, plan_->clip_norm)),
                                  splat(static_cast<Real>(delayed_rate(plan_->learning_rate, delay) / (1.0 - next1))),
                                  splat(static_cast<Real>(1.0 / __builtin_sqrt(1.0 - next2)))};
        Real *weights = row.array<Real>(plan_->at.network_weights), *firsts = row.array<Real>(plan_->at.adam_first);
        Real* seconds = row.array<Real>(plan_->at.adam_second);
        const auto count = static_cast<size_t>(plan_->num_params);
        Real* const places[3] = {weights, firsts, seconds};
        const bool surely_safe = all_within(weights, plan_->num_params, Real(kMaxWeight - kMaxStep));
        if (!surely_safe) {
            for (int i = 0; i < 3; ++i) std::memcpy(kept_[i], places[i], sizeof(Real) * count);
        }
        int from = 0;
        for (int p = 0; p < plan_->num_positive; ++p) {
            const Run& run = plan_->positive[p];
            range<false>(adam, weights, firsts, seconds, gradient, from, run.stored);
            from = run.stored + run.length;
            range<true>(adam, weights, firsts, seconds, gradient, run.stored, from);
        }
        range<false>(adam, weights, firsts, seconds, gradient, from, plan_->num_params);
        seat.applied = surely_safe || all_within(weights, plan_->num_params, Real(kMaxWeight));
        if (seat.applied) {
            decay1 = next1;
            decay2 = next2;
        } else {
            for (int i = 0; i < 3; ++i) std::memcpy(places[i], kept_[i], sizeof(Real) * count);
        }
    }

   private:
    // Parameters [from, to), kept at or above zero where `Positive`.
    template <bool Positive>
    void range(const AdamStep<Real>& adam, Real* weights, Real* firsts, Real* seconds, const Real* gradient, int from, int to) {
        constexpr int width = Simd<Real>::width;
        int i = from;
        for (; i + width <= to; i += width) {
            Vec<Real> first = load(firsts + i), second = load(seconds + i);
            Vec<Real> after = adam(load(weights + i), first, second, load(gradient + i));
            if (Positive) after = select(after < Vec<Real>{}, Vec<Real>{}, after);
            store(weights + i, after);
            store(firsts + i, first);
            store(seconds + i, second);
        }
        if (i < to) {
            const int rest = to - i;
            Vec<Real> first = load_part(firsts + i, rest), second = load_part(seconds + i, rest);
            Vec<Real> after = adam(load_part(weights + i, rest), first, second, load_part(gradient + i, rest));
            if (Positive) after = select(after < Vec<Real>{}, Vec<Real>{}, after);
            store_part(weights + i, after, rest);
            store_part(firsts + i, first, rest);
            store_part(seconds + i, second, rest);
        }
    }

    const Plan* plan_ = nullptr;
    Real* kept_[3];
};

}  // namespace LIQUID_ISA
}  // namespace liquid
