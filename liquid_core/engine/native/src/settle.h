// Settling: a target has arrived and is held against the answers that waited for it (learner/settle.py, engine/tile.py).
#pragma once

#include "drift.h"
#include "least_squares.h"
#include "memory.h"
#include "seat.h"

namespace liquid {
namespace LIQUID_ISA {

// What the arrival of targets says about the answers.
struct Outcome {
    double surprise = -1.0, naive_surprise = -1.0, anomaly = -1.0;
    bool alarm = false;
};

constexpr double kMaxLogit = 50.0, kMinCurvature = 0.1;  // readout.py
constexpr double kCertainty = 0.1, kWide = 1.0;          // experts.py

// Softmax of `count` logits, in place; returns the logarithm of the sum of their exponentials.
static inline double softmax(double* logits, int count) {
    double largest = logits[0], total = 0.0;
    for (int c = 1; c < count; ++c) largest = logits[c] > largest ? logits[c] : largest;
    for (int c = 0; c < count; ++c) total += logits[c] = std::exp(logits[c] - largest);
    for (int c = 0; c < count; ++c) logits[c] /= total;
    return largest + std::log(total);
}

// readout.softmax: the same, within limits.
static inline void probable(double* logits, int count) {
    for (int c = 0; c < count; ++c) logits[c] = logits[c] == logits[c] ? within(logits[c], -kMaxLogit, kMaxLogit) : 0.0;
    softmax(logits, count);
}

// How many samples the answers of a horizon have waited for the target that has come; and delay.forgetting.
template <class Real>
static inline double delay_of(const Plan& plan, const Seat<Real>& seat, int horizon) {
    if (plan.task == Task::forecast) return static_cast<double>(plan.horizons[horizon]);
    return 1.0 + static_cast<double>(*seat.row(plan).integer(plan.at.stream_samples) - seat.anchor);
}
static inline double delayed_forgetting(double prompt, double delay) { return 1.0 - (1.0 - prompt) / delay; }

// What the experts said about an output: the first's; the others' lie `outputs` apart.
static inline const double* said_of(const Row& row, int64_t slot, int output) {
    return row.real(row.plan.at.window_said) + slot * kExperts * row.plan.outputs + output;
}

// What the mix made of it: the answer's; what each memory alone would have said, and the median, lie `outputs` apart.
static inline const double* mixed_of(const Row& row, int64_t slot, int output) {
    return row.real(row.plan.at.window_mixed) + slot * row.plan.mix_losses * (1 + kMemories) * row.plan.outputs + output;
}

// experts.autoregression_features of an output of the sample in a slot of the window.
template <class Real>
static inline void fill_autoregression(const Row& row, int64_t slot, int output, double* features) {
    const Plan& plan = row.plan;
    const int horizon = output / plan.tracks, track = output % plan.tracks;
    const Real* view = row.array<Real>(plan.at.window_history) + (slot * plan.tracks + track) * kView;
    const Real* waves = row.array<Real>(plan.at.window_inputs) + (slot + 1) * plan.inputs - kWaves;
    const Real* past = row.array<Real>(plan.at.window_past) + ((slot * plan.num_horizons + horizon) * plan.tracks + track) * kPast;
    *features++ = 1.0;
    for (int i = 0; i < kView; ++i) *features++ = static_cast<double>(view[i]);
    for (int i = 0; i < kWaves; ++i) *features++ = static_cast<double>(waves[i]);
    for (int i = 0; i < kPast; ++i) *features++ = static_cast<double>(past[i]);
}

// Tile._keep_expert for the outputs of a group: where their weights are not sound, they begin again. `covariance` is null where
// they are not learned by least squares.
static inline void guard_expert(double* weights, double* covariance, int outputs, int width) {
    const int64_t count = static_cast<int64_t>(outputs) * width;
    bool sound = true;
    for (int64_t i = 0; i < count; ++i) sound &= std::fabs(weights[i]) <= kMaxWeight;
    if (sound) return;
    std::memset(weights, 0, sizeof(double) * static_cast<size_t>(count));
    if (covariance) forget_everything(covariance, width);
}

// Tile._learn_autoregression for one output.
template <class Real>
static inline void learn_autoregression(const Plan& plan, Seat<Real>& seat, int64_t slot, int output, double delay, double wanted) {
    constexpr int width = kAutoregressionWidth;
    const Row row = seat.row(plan);
    double* weights = row.real(plan.at.autoregression_weights) + output * width;
    double* covariance = row.real(plan.at.autoregression_covariance) + static_cast<int64_t>(output) * triangle(width);
    fill_autoregression<Real>(row, slot, output, seat.wide);
    double error = wanted;
    for (int i = 0; i < width; ++i) error -= weights[i] * seat.wide[i];
    const double forgetting = delayed_forgetting(plan.autoregression_forgetting, delay);
    least_squares_gain(covariance, seat.wide, width, forgetting, kCertainty / delay, seat.seen, seat.gain);
    error = within(error, -kMaxStepError, kMaxStepError);
    for (int i = 0; i < width; ++i) weights[i] = weights[i] + error * seat.gain[i];
    guard_expert(weights, covariance, 1, width);
}

// experts.linear_features of the sample in a slot of the window, as a horizon sees it; (linear features,).
template <class Real>
static inline void fill_linear(const Row& row, int64_t slot, int horizon, double* features) {
    const Plan& plan = row.plan;
    const Real* inputs = row.array<Real>(plan.at.window_inputs) + slot * plan.inputs;
    for (int i = 0; i < plan.inputs; ++i) *features++ = static_cast<double>(inputs[i]);
    // Of a forecast's history, whose inputs show level and last change, the two changes before.
    const bool forecast = plan.task == Task::forecast;
    const int from = forecast ? 2 : 0, to = forecast ? 4 : kView;
    const Real* view = row.array<Real>(plan.at.window_history) + slot * plan.tracks * kView;
    const Real* past = row.array<Real>(plan.at.window_past) + (slot * plan.num_horizons + horizon) * plan.tracks * kPast;
    for (int track = 0; track < plan.tracks; ++track, view += kView, past += kPast) {
        for (int i = from; i < to; ++i) *features++ = static_cast<double>(view[i]);
        *features++ = static_cast<double>(past[0]);
        *features++ = static_cast<double>(past[3]);
        for (int i = kPeriods; i < kPast; ++i) *features++ = static_cast<double>(past[i]);
    }
    *features = 1.0;
}

// readout.class_curvature
static inline double class_curvature(const double* probabilities, int classes) {
    double largest = 0.0;
    for (int c = 0; c < classes; ++c) largest = larger(probabilities[c] * (1.0 - probabilities[c]), largest);
    return larger(largest * (static_cast<double>(classes) / (classes - 1.0)), kMinCurvature);
}

// experts.credence of the outputs of one horizon, the first of which is `first`.
template <class Real>
static inline double credence(const Seat<Real>& seat, int first, int tracks) {
    double square = 0.0, known = 0.0;
    for (int o = first; o < first + tracks; ++o) {
        if (!seat.scaled[o]) continue;
        const double error = seat.target[o] - seat.linear[o];
        square += error * error;
        known += 1.0;
    }
    const double size = std::sqrt(safe_divide(square, known));
    return size > kWide ? kWide / size : 1.0;
}

// Tile._learn_linear for one horizon, whose answers were about the sample in `slot`.
template <class Real>
static void learn_linear(const Plan& plan, Seat<Real>& seat, int64_t slot, int horizon, double delay) {
    const Row row = seat.row(plan);
    const int width = plan.linear_features, tracks = plan.tracks, first = horizon * tracks;
    double* const weights = row.real(plan.at.linear_weights) + static_cast<int64_t>(first) * width;
    fill_linear<Real>(row, slot, horizon, seat.wide);
    bool known = false;
    for (int j = 0; j < tracks; ++j) {
        seat.linear[first + j] = dot(weights + static_cast<int64_t>(j) * width, seat.wide, width);
        known |= seat.scaled[first + j] != 0;
    }
    if (!known) return;
    double curvature = 1.0;
    double* const probabilities = seat.outputs;  // free until the next answer
    if (plan.task == Task::classification) {
        std::memcpy(probabilities, seat.linear, sizeof(double) * static_cast<size_t>(tracks));
        probable(probabilities, tracks);
        curvature = class_curvature(probabilities, tracks);
    }
    double power = 1.0, *covariance = nullptr;
    if (plan.exact_linear) {
        const double told = kCertainty / delay * (plan.task == Task::classification ? 1.0 : credence(seat, first, tracks));
        covariance = row.real(plan.at.linear_covariance) + horizon * static_cast<int64_t>(triangle(width));
        least_squares_gain(covariance, seat.wide, width, delayed_forgetting(plan.forgetting, delay), curvature * told,
                           seat.seen, seat.gain);
    } else {
        power += dot(seat.wide, seat.wide, width);
    }
    for (int j = 0; j < tracks; ++j) {
        if (!seat.scaled[first + j]) continue;
        const bool values = plan.task != Task::classification;
        const double error = seat.target[first + j] - (values ? seat.linear[first + j] : probabilities[j]);
        double* const kept = weights + static_cast<int64_t>(j) * width;
        if (plan.exact_linear) {
            const double step = within(error / curvature, -kMaxStepError, kMaxStepError);
            for (int i = 0; i < width; ++i) kept[i] = kept[i] + step * seat.gain[i];
        } else {
            const double step = plan.readout_rate * within(error, -kMaxStepError, kMaxStepError) / power;
            for (int i = 0; i < width; ++i) kept[i] = kept[i] + step * seat.wide[i];
        }
    }
    guard_expert(weights, covariance, tracks, width);
}

// Tile._doubt
template <class Real>
static inline void doubt(const Plan& plan, Seat<Real>& seat, double factor) {
    const Row row = seat.row(plan);
    if (!plan.exact_readout || !(factor > 1.0) || is_frozen(row)) return;
    double* covariance = row.real(plan.at.readout_covariance);
    for (int h = 0; h < plan.num_horizons; ++h, covariance += triangle(plan.readout_features)) {
        inflate(covariance, plan.readout_features, factor, seat.seen);
    }
}

// anomaly.class_distance
static inline double class_distance(double probability, int classes) {
    const double odds = (1.0 - probability) / larger(probability, 1.0 / (kMaxTargetDistance * kMaxTargetDistance));
    return std::sqrt(larger(odds, 0.0) / (classes - 1.0));
}

template <class Real>
static inline void watch(const Plan& plan, Seat<Real>& seat, int64_t seq, Outcome& outcome) {
    if (outcome.surprise < 0) return;
    const Row row = seat.row(plan);
    outcome.alarm = update_drift(row, outcome.surprise);
    doubt(plan, seat, update_surge(row, outcome.surprise, outcome.naive_surprise) * (outcome.alarm ? plan.drift_inflation : 1.0));
    if (outcome.alarm) {
        ++*row.integer(plan.at.stream_drifts);
        *row.integer(plan.at.stream_last_drift_seq) = seq;
    }
}

// Forecasts and regressions. `truth` holds a value a target, NaN where it is missing.
template <class Real>
static Outcome settle_values(const Plan& plan, Seat<Real>& seat, int64_t seq, const double* truth) {
    const Row row = seat.row(plan);
    const Offsets& at = plan.at;
    const bool forecast = plan.task == Task::forecast, frozen = is_frozen(row);
    const int64_t* seen = row.integer(at.scaler_count);
    Outcome outcome;
    double worst = -1.0, farthest = 0.0;
    seat.learns = false;
    for (int h = 0; h < plan.num_horizons; ++h) {
        const int64_t age = forecast ? plan.horizons[h] : 0;
        const int64_t number = seat.anchor - age;
        const int64_t slot = modulo(number, plan.window_length);
        const double delay = delay_of(plan, seat, h);
        double errors = 0.0, naive_errors = 0.0, distances = 0.0, naive_distances = 0.0;
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
            const double base = row.real(at.window_base)[slot * plan.tracks + j];
            const double scale = row.real(at.window_scale)[entry];
            const double half_width = row.real(at.window_half_width)[entry];
            const double error = truth[j] - row.real(at.window_prediction)[entry];
            const double residual = truth[j] - base;
            ++known;
            if (h == 0) farthest = larger(farthest, update_level(row, j, truth[j]));
            errors += std::fabs(error);
            naive_errors += std::fabs(residual);
            distances += smaller(safe_divide(std::fabs(error), scale), kMaxResidual);
            naive_distances += smaller(safe_divide(std::fabs(residual), scale), kMaxResidual);
            if (scale > 0) {
                seat.scaled[output] = 1;
                seat.learns = true;
                seat.target[output] = within(residual / scale, -kMaxResidual, kMaxResidual);
                worst = larger(worst, safe_divide(std::fabs(error), half_width));
                if (!frozen) {
                    update_mix(row, output, seat.target[output], said_of(row, slot, output), mixed_of(row, slot, output));
                    learn_autoregression(plan, seat, slot, output, delay, seat.target[output]);
                }
                update_radius(row, output, std::fabs(error) > half_width);
            }
            update_square(row.integer(at.residual_count)[output], row.real(at.residual_square)[output], residual,
                          plan.scaler_rate);
        }
        if (!frozen) learn_linear(plan, seat, slot, h, delay);
        if (known > 0) {
            update_errors(row, h, errors / known, naive_errors / known);
            if (outcome.surprise < 0) {
                outcome.surprise = distances / known;
                outcome.naive_surprise = naive_distances / known;
            }
        }
    }
    if (worst >= 0) outcome.anomaly = update_anomaly(row, smaller(worst, kMaxTargetDistance), farthest);
    watch(plan, seat, seq, outcome);
    return outcome;
}

// Classifications. `label` is the class's index.
template <class Real>
static Outcome settle_class(const Plan& plan, Seat<Real>& seat, int64_t seq, double label) {
    const Row row = seat.row(plan);
    const Offsets& at = plan.at;
    const int64_t slot = modulo(seat.anchor, plan.window_length);
    const double* probabilities = row.real(at.window_prediction) + slot * plan.outputs;
    const double* base = row.real(at.window_base) + slot * plan.tracks;
    const bool frozen = is_frozen(row);
    const double delay = delay_of(plan, seat, 0);
    int likeliest = 0, guessed = 0;
    double probability = 0.0, farthest = 0.0;
    for (int c = 0; c < plan.outputs; ++c) {
        if (probabilities[c] > probabilities[likeliest]) likeliest = c;
        if (base[c] > base[guessed]) guessed = c;
        const bool right = label == c;
        if (right) probability = probabilities[c];
        seat.target[c] = right ? 1.0 : 0.0;
        seat.scaled[c] = 1;
        if (!frozen) {
            const double wanted = seat.target[c] - base[c];
            update_mix(row, c, wanted, said_of(row, slot, c), mixed_of(row, slot, c));
            learn_autoregression(plan, seat, slot, c, delay, wanted);
        }
        update_radius(row, c, false);
        farthest = larger(farthest, update_level(row, c, seat.target[c]));
        update_square(row.integer(at.residual_count)[c], row.real(at.residual_square)[c], 0.0, plan.scaler_rate);
    }
    if (!frozen) learn_linear(plan, seat, slot, 0, delay);
    seat.learns = true;
    const double error = likeliest != label ? 1.0 : 0.0;
    const double naive = guessed != label ? 1.0 : 0.0;
    update_errors(row, 0, error, naive);
    Outcome outcome;
    outcome.surprise = error;
    outcome.naive_surprise = naive;
    outcome.anomaly = update_anomaly(row, class_distance(probability, plan.outputs), farthest);
    watch(plan, seat, seq, outcome);
    return outcome;
}

}  // namespace LIQUID_ISA
}  // namespace liquid
