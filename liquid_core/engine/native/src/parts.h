// The parts of a learner that measure: clock, scaler, residual scale, guess, intervals, errors.
//
// Each function is the update of the part of the same name in liquid_core/learner, for one stream, in float64 and with
// the operations in the same order: the reference's bits, not only its numbers. Why they are what they are is said there.
#pragma once

#include <cmath>
#include <cstdint>

#include "plan.h"
#include "simd.h"

namespace liquid {
namespace LIQUID_ISA {

constexpr double kMaxElapsed = 10.0, kMinClockRate = 0.01;                   // clock.py
constexpr double kMaxScaled = 5.0;                                            // scaler.py
constexpr double kMaxDistance = 10.0;                                         // moments.py
constexpr int64_t kSettled = 10;
constexpr double kRelativeFloor = 1e-9;
constexpr double kMaxResidual = 10.0;                                         // residual.py
constexpr double kGuessErrorRate = 0.01;                                      // guess.py
constexpr double kConformalStep = 0.05, kMinRadius = 1e-3, kMaxRadius = 1e3;  // conformal.py
constexpr double kHalfScore = 3.0, kMaxStanding = 10.0, kMaxTargetDistance = 1e6;  // anomaly.py
constexpr double kUsualFloor[3] = {1.0, 0.01, 0.01}, kLeastSurprise = 0.04;
constexpr double kMaxWeight = 1e3;                                            // guard.py
constexpr double kRecentRate = 0.01;                                          // metrics/prequential.py, anomaly.py
constexpr double kSurgeRate = 0.07, kUsualRate = 0.002, kMaxSurgeSquare = 9.0, kSurgeBeginning = 3.0, kSurgeDoubt = 0.4, kMaxGrowth = 1.5;
constexpr int64_t kFirstLimited = 20, kFirstSurge = 50;                       // surge.py

// The arrays of one row.
struct Row {
    const Plan& plan;
    uint8_t* bytes;

    template <class T>
    T* array(int64_t offset) const {
        return reinterpret_cast<T*>(bytes + offset);
    }
    double* real(int64_t offset) const { return array<double>(offset); }
    int64_t* integer(int64_t offset) const { return array<int64_t>(offset); }
};

static inline double larger(double a, double b) { return a > b ? a : b; }
static inline double smaller(double a, double b) { return a < b ? a : b; }
static inline double within(double value, double low, double high) { return smaller(larger(value, low), high); }
static inline double safe_divide(double a, double b) { return b > 0 ? a / b : 0.0; }
static inline double inverse_of(int64_t count) { return 1.0 / static_cast<double>(count > 1 ? count : 1); }
static inline int64_t modulo(int64_t a, int64_t b) {
    const int64_t rest = a % b;
    return rest < 0 ? rest + b : rest;
}

// Whether what the stream has learned stands still.
static inline bool is_frozen(const Row& row) { return *row.array<uint8_t>(row.plan.at.stream_frozen) != 0; }

// Clock.tick: elapsed time in typical gaps.
static inline double tick(const Row& row, double t) {
    double &last_t = *row.real(row.plan.at.clock_last_t), &gap = *row.real(row.plan.at.clock_gap);
    int64_t& count = *row.integer(row.plan.at.clock_count);
    const double dt = larger(t - last_t, 0.0);
    double new_gap = gap;
    if (count > 0 && dt > 0) {
        if (gap > 0) {
            const double rate = larger(inverse_of(count), kMinClockRate);
            const bool near = std::fabs(dt - gap) <= rate * gap;
            new_gap = near ? dt : dt > gap ? gap * (1.0 + rate) : gap * (1.0 - rate);
        } else {
            new_gap = dt;
        }
    }
    const double unit = gap > 0 ? gap : new_gap;
    double elapsed = unit > 0 ? dt / unit : 0.0;
    elapsed = count == 0 ? 1.0 : smaller(elapsed, kMaxElapsed);
    if (count == 0) *row.real(row.plan.at.clock_first_t) = t;
    last_t = count == 0 ? t : larger(t, last_t);
    gap = new_gap;
    ++count;
    return elapsed;
}

// Residual.update for one value.
static inline void update_square(int64_t& count, double& square, double residual, double forgetting) {
    ++count;
    const double weight = larger(inverse_of(count), forgetting);
    double size = std::fabs(residual);
    if (square > 0) size = smaller(size, kMaxResidual * std::sqrt(square));
    square = square + weight * (size * size - square);
}

// Moments.capped for one value.
static inline double capped(int64_t count, double mean, double variance, double value) {
    if (count < kSettled) return value;
    const double reach = kMaxDistance * std::sqrt(variance);
    return reach > 0 ? within(value, mean - reach, mean + reach) : value;
}

// Moments.update for one value, which counts no further than the cap.
static inline void update_moments(int64_t& count, double& mean, double& variance, double value, double rate) {
    const double counted = capped(count, mean, variance, value);
    ++count;
    const double weight = larger(inverse_of(count), rate);
    const double delta = counted - mean;
    mean = mean + weight * delta;
    variance = (1.0 - weight) * (variance + weight * delta * delta);
}

// Scaler.take: `inputs` (levels, changes, missing flags) of a sample, and its `values` with the missing ones filled in.
template <class Real>
static inline void take_sample(const Row& row, const double* x, Real* inputs, double* values) {
    const Plan& plan = row.plan;
    const int features = plan.features;
    int64_t *counts = row.integer(plan.at.scaler_count), *change_counts = row.integer(plan.at.scaler_change_count);
    double *means = row.real(plan.at.scaler_mean), *variances = row.real(plan.at.scaler_variance);
    double *change_squares = row.real(plan.at.scaler_change_square), *lasts = row.real(plan.at.scaler_last);
    for (int f = 0; f < features; ++f) {
        const bool observed = x[f] == x[f];
        const double value = observed ? x[f] : lasts[f];
        const int64_t seen = counts[f];
        double level = 0.0, movement = 0.0;
        if (observed) {
            update_moments(counts[f], means[f], variances[f], value, plan.scaler_rate);
            if (seen > 0) {
                const double change = value - lasts[f];
                update_square(change_counts[f], change_squares[f], change, plan.scaler_rate);
                movement = safe_divide(change, std::sqrt(change_squares[f]));
            }
        }
        if (counts[f] > 0) {
            double deviation = std::sqrt(variances[f]);
            if (!(deviation > kRelativeFloor * std::fabs(means[f]))) deviation = 0.0;
            level = safe_divide(value - means[f], deviation);
        }
        lasts[f] = values[f] = value;
        inputs[f] = static_cast<Real>(within(level, -kMaxScaled, kMaxScaled));
        inputs[features + f] = static_cast<Real>(within(movement, -kMaxScaled, kMaxScaled));
        inputs[2 * features + f] = observed ? Real(0) : Real(1);
    }
}

// conformal.update for one output.
static inline void update_radius(const Row& row, int output, bool missed) {
    double& radius = row.real(row.plan.at.conformal_radius)[output];
    const double step = 1.0 + kConformalStep * ((missed ? 1.0 : 0.0) - (1.0 - row.plan.coverage));
    radius = within(radius * step, kMinRadius, kMaxRadius);
}

// Anomaly.update for the value of one track: how far its recent mean lies from the usual one.
static inline double update_level(const Row& row, int track, double value) {
    const Offsets& at = row.plan.at;
    double& level = row.real(at.anomaly_level)[track];
    const double deviation = std::sqrt(row.real(at.history_variance)[track]);
    const double standing = safe_divide(value - row.real(at.history_mean)[track], deviation);
    const double weight = larger(inverse_of(row.integer(at.history_count)[track] + 1), kRecentRate);
    level = level + weight * (within(standing, -kMaxStanding, kMaxStanding) - level);
    return std::fabs(level);
}

static inline double score_of(double square) { return square / (kHalfScore * kHalfScore + square); }

// The rest of Anomaly.update: the score of a target, once the levels have been updated.
static inline double update_anomaly(const Row& row, double distance, double farthest) {
    const Offsets& at = row.plan.at;
    int64_t* count = row.integer(at.anomaly_count);
    double* square = row.real(at.anomaly_square);
    double &recent = *row.real(at.anomaly_recent), &usual = *row.real(at.anomaly_usual);
    const double alone = score_of(distance * distance / larger(square[0], kUsualFloor[0]));
    const double share = inverse_of(count[0] + 1);
    recent = recent + larger(share, kRecentRate) * (alone - recent);
    usual = usual + larger(share, row.plan.scaler_rate) * (alone - usual);
    const double lately = larger((recent - usual) / larger(usual, kLeastSurprise), 0.0);
    const double views[3] = {distance, lately, farthest};
    double most = 0.0;
    for (int i = 0; i < 3; ++i) {
        most = larger(most, views[i] * views[i] / larger(square[i], kUsualFloor[i]));
        update_square(count[i], square[i], views[i], row.plan.scaler_rate);
    }
    return score_of(most);
}

// Prequential.update for one horizon.
static inline void update_errors(const Row& row, int horizon, double error, double naive) {
    const Offsets& at = row.plan.at;
    int64_t& count = row.integer(at.metrics_count)[horizon];
    double &recent = row.real(at.metrics_recent)[horizon], &recent_naive = row.real(at.metrics_recent_naive)[horizon];
    ++count;
    const double weight = larger(inverse_of(count), kRecentRate);
    row.real(at.metrics_total)[horizon] += error;
    row.real(at.metrics_total_naive)[horizon] += naive;
    recent = recent + weight * (error - recent);
    recent_naive = recent_naive + weight * (naive - recent_naive);
}

// Surge.update, and Surge.doubt after it.
static inline double update_surge(const Row& row, double error, double naive_error) {
    const Offsets& at = row.plan.at;
    int64_t& count = *row.integer(at.surge_count);
    double *recent = row.real(at.surge_recent), *usual = row.real(at.surge_usual);
    const double share = inverse_of(count + 1);
    double grown[2] = {error, naive_error};
    for (int i = 0; i < 2; ++i) {
        double square = grown[i] * grown[i];
        if (count >= kFirstLimited) square = smaller(square, kMaxSurgeSquare * usual[i]);
        recent[i] = recent[i] + larger(share, kSurgeRate) * (square - recent[i]);
        usual[i] = usual[i] + larger(share, kUsualRate) * (square - usual[i]);
        grown[i] = safe_divide(recent[i], usual[i]);
    }
    ++count;
    if (count < kFirstSurge) return 1.0;
    const double above = larger(grown[0] / std::sqrt(larger(grown[1], 1.0)) - kSurgeBeginning, 0.0);
    return smaller(1.0 + kSurgeDoubt * above, kMaxGrowth);
}

// Guess.update for one target; `mean_then` and `last_then` are the guesses of when the sample came.
static inline void update_guess(const Row& row, int target, double label, double mean_then, double last_then, bool guessed) {
    const Offsets& at = row.plan.at;
    if (!guessed) return;
    const int64_t count = row.integer(at.history_count)[target];
    const double counted =
        capped(count, row.real(at.history_mean)[target], row.real(at.history_variance)[target], label);
    double &mean_error = row.real(at.guess_mean_error)[target], &last_error = row.real(at.guess_last_error)[target];
    const double weight = larger(inverse_of(count), kGuessErrorRate);
    mean_error = mean_error + weight * (std::fabs(counted - mean_then) - mean_error);
    last_error = last_error + weight * (std::fabs(counted - last_then) - last_error);
}

static inline double best_guess(const Row& row, int target) {
    const Offsets& at = row.plan.at;
    const bool last_is_closer = row.real(at.guess_last_error)[target] < row.real(at.guess_mean_error)[target];
    return row.real(last_is_closer ? at.history_last : at.history_mean)[target];
}

}  // namespace LIQUID_ISA
}  // namespace liquid
