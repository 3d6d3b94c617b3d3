// The optimiser on a flat vector of parameters: Adam with a guard on the weights (learner/adam.py, learner/guard.py).
//
// Weights and moments are updated where they lie. What was there is kept aside until every weight is known to be within
// its bounds, and put back if one is not: an unsafe update leaves no trace.
#pragma once

#include "seat.h"

namespace liquid {
namespace LIQUID_ISA {

constexpr double kMaxWeight = 1e3;     // guard.py
constexpr double kMaxGradient = 1e15;  // guard.py

// Factor that brings a gradient of this norm down to the limit.
template <class Real>
static inline Real clip_factor(Real norm, double limit) {
    return static_cast<double>(norm) > limit ? static_cast<Real>(limit / static_cast<double>(norm)) : Real(1);
}

// Norm of a gradient `(params,)`.
template <class Real>
static inline Real gradient_norm(const Real* gradient, int count) {
    constexpr int width = Simd<Real>::width;
    Vec<Real> total{};
    int i = 0;
    for (; i + width <= count; i += width) {
        const Vec<Real> g = load(gradient + i);
        total = fma(g, g, total);
    }
    if (i < count) {
        const Vec<Real> g = load_part(gradient + i, count - i);
        total = fma(g, g, total);
    }
    return static_cast<Real>(__builtin_sqrt(static_cast<double>(sum<Real>(total))));
}

// Adam's constants in the kernels' type.
template <class Real>
struct AdamStep {
    Vec<Real> beta1, beta2, rest1, rest2, epsilon, scale, rate, correction;

    // Weights after a step for a vector of them, and their new moments.
    LIQUID_INLINE Vec<Real> operator()(Vec<Real> weight, Vec<Real>& first, Vec<Real>& second, Vec<Real> gradient) const {
        gradient = gradient * scale;
        first = fma(beta1, first, rest1 * gradient);
        second = fma(beta2, second, rest2 * gradient * gradient);
        return weight - rate * first / fma(sqrt(second), correction, epsilon);
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

    // One step for the stream in a seat; `applied` tells whether it was kept.
    void step(Seat<Real>& seat, const Real* gradient) {
        const Row row = seat.row(*plan_);
        double &decay1 = *row.real(plan_->at.adam_decay1), &decay2 = *row.real(plan_->at.adam_decay2);
        const double next1 = decay1 * plan_->beta1, next2 = decay2 * plan_->beta2;
        const AdamStep<Real> adam{splat(static_cast<Real>(plan_->beta1)),
                                  splat(static_cast<Real>(plan_->beta2)),
                                  splat(static_cast<Real>(1 - plan_->beta1)),
                                  splat(static_cast<Real>(1 - plan_->beta2)),
                                  splat(static_cast<Real>(plan_->epsilon)),
                                  splat(clip_factor(seat.norm, plan_->clip_norm)),
                                  splat(static_cast<Real>(plan_->learning_rate / (1.0 - next1))),
                                  splat(static_cast<Real>(1.0 / __builtin_sqrt(1.0 - next2)))};
        Real *weights = row.array<Real>(plan_->at.network_weights), *firsts = row.array<Real>(plan_->at.adam_first);
        Real* seconds = row.array<Real>(plan_->at.adam_second);
        const int count = plan_->num_params;
        bool safe = true;
        int from = 0;
        for (int p = 0; p < plan_->num_positive; ++p) {
            const Run& run = plan_->positive[p];
            safe &= range<false>(adam, weights, firsts, seconds, gradient, from, run.stored);
            from = run.stored + run.length;
            safe &= range<true>(adam, weights, firsts, seconds, gradient, run.stored, from);
        }
        safe &= range<false>(adam, weights, firsts, seconds, gradient, from, count);
        seat.applied = safe;
        if (safe) {
            decay1 = next1;
            decay2 = next2;
        } else {
            Real* places[3] = {weights, firsts, seconds};
            for (int i = 0; i < 3; ++i) std::memcpy(places[i], kept_[i], sizeof(Real) * static_cast<size_t>(count));
        }
    }

   private:
    // Parameters [from, to), kept at or above zero where `Positive`; whether all stayed within their bounds.
    template <bool Positive>
    bool range(const AdamStep<Real>& adam, Real* weights, Real* firsts, Real* seconds, const Real* gradient, int from,
               int to) {
        constexpr int width = Simd<Real>::width;
        const Vec<Real> bound = splat(Real(kMaxWeight)), zero{};
        typename Simd<Real>::Mask safe = bound == bound;
        for (int i = from; i < to; i += width) {
            const int rest = to - i;
            const bool whole = rest >= width;
            const Vec<Real> weight = whole ? load(weights + i) : load_part(weights + i, rest);
            Vec<Real> first = whole ? load(firsts + i) : load_part(firsts + i, rest);
            Vec<Real> second = whole ? load(seconds + i) : load_part(seconds + i, rest);
            store(kept_[0] + i, weight);
            store(kept_[1] + i, first);
            store(kept_[2] + i, second);
            Vec<Real> after = adam(weight, first, second, whole ? load(gradient + i) : load_part(gradient + i, rest));
            if (Positive) after = select(after < zero, zero, after);
            safe &= absolute(after) <= bound;
            if (whole) {
                store(weights + i, after);
                store(firsts + i, first);
                store(seconds + i, second);
            } else {
                std::memcpy(weights + i, &after, sizeof(Real) * static_cast<size_t>(rest));
                std::memcpy(firsts + i, &first, sizeof(Real) * static_cast<size_t>(rest));
                std::memcpy(seconds + i, &second, sizeof(Real) * static_cast<size_t>(rest));
            }
        }
        bool all = true;
        for (int lane = 0; lane < width; ++lane) all &= safe[lane] != 0;
        return all;
    }

    const Plan* plan_ = nullptr;
    Real* kept_[3];
};

}  // namespace LIQUID_ISA
}  // namespace liquid
