// Settling: a target has arrived and is held against the answers that waited for it (learner/settle.py, engine/tile.py).
#pragma once

#include "seat.h"

namespace liquid {
namespace LIQUID_ISA {

// What the arrival of targets says about the answers.
struct Outcome {
    double surprise = -1.0, anomaly = -1.0;
    bool alarm = false;
};

static inline void watch(const Row& row, int64_t seq, Outcome& outcome) {
    if (outcome.surprise < 0) return;
    outcome.alarm = update_drift(row, outcome.surprise);
    if (outcome.alarm) {
        ++*row.integer(row.plan.at.stream_drifts);
        *row.integer(row.plan.at.stream_last_drift_seq) = seq;
    }
}

// Forecasts and regressions. `truth` holds a value a target, NaN where it is missing.
template <class Real>
static Outcome settle_values(const Plan& plan, Seat<Real>& seat, int64_t seq, const double* truth) {
    const Row row = seat.row(plan);
    const Offsets& at = plan.at;
    const bool forecast = plan.task == Task::forecast;
    const int64_t* seen = row.integer(at.scaler_count);
    Outcome outcome;
    double worst = -1.0;
    seat.learns = false;
    for (int h = 0; h < plan.num_horizons; ++h) {
        const int64_t age = forecast ? plan.horizons[h] : 0;
        const int64_t number = seat.anchor - age;
        const int64_t slot = modulo(number, plan.window_length);
        double errors = 0.0, naive_errors = 0.0, distances = 0.0;
        int known = 0;
        for (int j = 0; j < plan.targets; ++j) {
            const int output = h * plan.targets + j;
            seat.scaled[output] = 0;
            seat.target[output] = 0.0;
            // An answer from before a feature's first value, or before the first label, had nothing to go by.
            const bool had_a_guess =
                forecast ? seen[plan.target_columns[j]] >= age : row.array<uint8_t>(at.window_guessed)[slot] != 0;
            if (number < 1 || !had_a_guess || truth[j] != truth[j]) continue;
            const int64_t entry = slot * plan.outputs + output;
            const double base = row.real(at.window_base)[slot * plan.targets + j];
            const double scale = row.real(at.window_scale)[entry];
            const double half_width = row.real(at.window_half_width)[entry];
            const double error = truth[j] - row.real(at.window_prediction)[entry];
            const double residual = truth[j] - base;
            ++known;
            errors += std::fabs(error);
            naive_errors += std::fabs(residual);
            distances += smaller(safe_divide(std::fabs(error), scale), kMaxResidual);
            if (scale > 0) {
                seat.scaled[output] = 1;
                seat.learns = true;
                seat.target[output] = within(residual / scale, -kMaxResidual, kMaxResidual);
                worst = larger(worst, safe_divide(std::fabs(error), half_width));
                update_trust(row, output, seat.target[output], row.real(at.window_output)[entry]);
                update_radius(row, output, std::fabs(error) > half_width);
            }
            update_square(row.integer(at.residual_count)[output], row.real(at.residual_square)[output], residual,
                          plan.scaler_rate);
        }
        if (known > 0) {
            update_errors(row, h, errors / known, naive_errors / known);
            if (outcome.surprise < 0) outcome.surprise = distances / known;
        }
    }
    if (worst >= 0) outcome.anomaly = anomaly_score(worst);
    watch(row, seq, outcome);
    return outcome;
}

// Classifications. `label` is the class's index.
template <class Real>
static Outcome settle_class(const Plan& plan, Seat<Real>& seat, int64_t seq, double label) {
    const Row row = seat.row(plan);
    const Offsets& at = plan.at;
    const int64_t slot = modulo(seat.anchor, plan.window_length);
    const double* probabilities = row.real(at.window_prediction) + slot * plan.outputs;
    int likeliest = 0;
    double probability = 0.0;
    for (int c = 0; c < plan.outputs; ++c) {
        if (probabilities[c] > probabilities[likeliest]) likeliest = c;
        const bool right = label == c;
        if (right) probability = probabilities[c];
        seat.target[c] = right ? 1.0 : 0.0;
        seat.scaled[c] = 1;
        update_trust(row, c, seat.target[c], row.real(at.window_output)[slot * plan.outputs + c]);
        update_radius(row, c, false);
        update_square(row.integer(at.residual_count)[c], row.real(at.residual_square)[c], 0.0, plan.scaler_rate);
    }
    seat.learns = true;
    const double error = likeliest != label ? 1.0 : 0.0;
    const double naive = row.real(at.window_base)[slot] != label ? 1.0 : 0.0;
    update_errors(row, 0, error, naive);
    Outcome outcome;
    outcome.surprise = error;
    outcome.anomaly = 1.0 - probability;
    watch(row, seq, outcome);
    return outcome;
}

}  // namespace LIQUID_ISA
}  // namespace liquid
