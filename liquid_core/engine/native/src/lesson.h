// The lesson: loss and its gradient at the readout, and the readout's own update (learner/loss.py, learner/readout.py).
#pragma once

#include <cmath>

#include "adam.h"
#include "settle.h"

namespace liquid {
namespace LIQUID_ISA {

constexpr double kHuberDelta = 3.0;    // loss.py
constexpr double kMaxHidden = 1e3, kMaxOutput = 20.0;  // guard.py

// What the readout sees: the cell's output, and a constant; zeros behind them.
template <class Real>
static inline void fill_features(const Plan& plan, const Real* said, Real* features) {
    std::memcpy(features, said, sizeof(Real) * static_cast<size_t>(plan.output_size));
    features[plan.output_size] = Real(1);
    for (int i = plan.readout_features; i < padded<Real>(plan.readout_features); ++i) features[i] = Real(0);
}

// delay.typical
template <class Real>
static inline double typical_delay(const Plan& plan, const Seat<Real>& seat) {
    const int per_horizon = plan.outputs / plan.num_horizons;
    double promptness = 0.0, known = 0.0;
    for (int o = 0; o < plan.outputs; ++o) {
        if (!seat.scaled[o]) continue;
        promptness += 1.0 / delay_of(plan, seat, o / per_horizon);
        known += 1.0;
    }
    return promptness > 0 ? known / promptness : 1.0;
}

// Begin a lesson: nothing is lost yet.
template <class Real>
static void begin_lesson(const Plan& plan, Seat<Real>& seat) {
    seat.loss = Real(0);
    std::memset(seat.error, 0, sizeof(Real) * static_cast<size_t>(plan.outputs));
    std::memset(seat.features, 0,
                sizeof(Real) * static_cast<size_t>(plan.num_horizons * padded<Real>(plan.readout_features)));
}

// loss.importance
static inline double importance(const Plan& plan, int horizon) { return 1.0 / plan.horizons[horizon]; }

// From what the cell said at the anchors of a stretch to the loss, the readout's errors, and the gradient by it.
template <class Real>
static void teach(const Plan& plan, Seat<Real>& seat, const Stretch& stretch) {
    const Row row = seat.row(plan);
    const Real* readout = row.array<Real>(plan.at.readout_weights);
    const int per_horizon = plan.outputs / plan.num_horizons;
    double total = 0.0;  // of the targets' importance
    for (int o = 0; o < plan.outputs; ++o) total += seat.scaled[o] ? importance(plan, o / per_horizon) : 0.0;
    for (int a = 0; a < stretch.num_anchors; ++a) {
        const int h = stretch.first_horizon - a;
        const Real share = static_cast<Real>(total > 0 ? importance(plan, h) / total : 0.0);
        const int64_t number = seat.anchor + stretch.first + stretch.anchors[a];
        Real* d_read = seat.d_read + a * plan.output_size;
        std::memset(d_read, 0, sizeof(Real) * static_cast<size_t>(plan.output_size));
        if (number < 1) continue;
        Real* features = seat.features + h * padded<Real>(plan.readout_features);
        fill_features(plan, seat.read + a * plan.output_size, features);
        for (int j = 0; j < per_horizon; ++j) {
            const int o = h * per_horizon + j;
            seat.error[o] = static_cast<Real>(seat.linear[o]) +
                            dot(readout + o * plan.readout_features, features, plan.readout_features);  // as yet the output
        }
        if (plan.task == Task::classification) {
            double* probabilities = seat.outputs;  // free until the next answer
            for (int c = 0; c < plan.outputs; ++c) probabilities[c] = static_cast<double>(seat.error[c]);
            const double log_total = softmax(probabilities, plan.outputs);
            for (int c = 0; c < plan.outputs; ++c) {
                if (seat.target[c] > 0) seat.loss += static_cast<Real>(log_total) - seat.error[c];
                seat.error[c] = static_cast<Real>(seat.target[c] - probabilities[c]);
            }
        } else {
            for (int j = 0; j < per_horizon; ++j) {
                const int o = h * per_horizon + j;
                if (!seat.scaled[o]) {
                    seat.error[o] = Real(0);
                    continue;
                }
                const Real error = static_cast<Real>(seat.target[o]) - seat.error[o];
                const Real size = error < 0 ? -error : error, delta = Real(kHuberDelta);
                seat.loss += share * (size <= delta ? Real(0.5) * error * error : delta * (size - Real(0.5) * delta));
                seat.error[o] = error;
            }
        }
        for (int j = 0; j < per_horizon; ++j) {
            const int o = h * per_horizon + j;
            Real pull = seat.error[o];
            if (plan.task != Task::classification) {
                const Real delta = Real(kHuberDelta);
                pull = share * (pull > delta ? delta : pull < -delta ? -delta : pull);
            }
            if (pull == 0) continue;
            const Real* weights = readout + o * plan.readout_features;
            for (int i = 0; i < plan.output_size; ++i) d_read[i] -= pull * weights[i];
        }
    }
}

// The readout after a step of recursive least squares, into `seat.readout`, and its covariances, into `seat.covariance`;
// whether all weights are sound.
template <class Real>
static bool relearn_exactly(const Plan& plan, Seat<Real>& seat) {
    const Row row = seat.row(plan);
    const Real* readout = row.array<Real>(plan.at.readout_weights);
    const int per_horizon = plan.outputs / plan.num_horizons, width = plan.readout_features;
    double curvature = 1.0;
    if (plan.task == Task::classification) {
        for (int c = 0; c < plan.outputs; ++c) seat.outputs[c] = seat.target[c] - static_cast<double>(seat.error[c]);
        curvature = class_curvature(seat.outputs, plan.outputs);
    }
    bool sound = true;
    for (int h = 0; h < plan.num_horizons; ++h) {
        const int64_t place = static_cast<int64_t>(h) * triangle(width);
        const double* covariance = row.real(plan.at.readout_covariance) + place;
        bool known = false;
        for (int j = 0; j < per_horizon; ++j) known |= seat.scaled[h * per_horizon + j] != 0;
        std::memcpy(seat.covariance + place, covariance, sizeof(double) * static_cast<size_t>(triangle(width)));
        const Real* features = seat.features + h * padded<Real>(width);
        if (known) {
            for (int i = 0; i < width; ++i) seat.wide[i] = static_cast<double>(features[i]);
            const double delay = delay_of(plan, seat, h);
            least_squares_gain(seat.covariance + place, seat.wide, width, delayed_forgetting(plan.forgetting, delay),
                               curvature * (1.0 / delay), seat.seen, seat.gain);
        }
        for (int j = 0; j < per_horizon; ++j) {
            const int o = h * per_horizon + j;
            const Real* before = readout + o * width;
            Real* after = seat.readout + o * width;
            const double step =
                known ? within(static_cast<double>(seat.error[o]) / curvature, -kMaxStepError, kMaxStepError) : 0.0;
            for (int i = 0; i < width; ++i) {
                after[i] = step == 0.0 ? before[i] : static_cast<Real>(static_cast<double>(before[i]) + step * seat.gain[i]);
                sound &= std::fabs(after[i]) <= Real(kMaxWeight);
            }
        }
    }
    return sound;
}

// The readout after a step, exact or of normalised LMS, into `seat.readout`; whether all of it is sound.
template <class Real>
static bool update_readout(const Plan& plan, Seat<Real>& seat) {
    if (plan.exact_readout) return relearn_exactly(plan, seat);
    const Real* readout = seat.row(plan).template array<Real>(plan.at.readout_weights);
    const int per_horizon = plan.outputs / plan.num_horizons, width = plan.readout_features;
    bool sound = true;
    for (int h = 0; h < plan.num_horizons; ++h) {
        const Real* features = seat.features + h * padded<Real>(width);
        const Real power = Real(1) + dot(features, features, width);
        for (int j = 0; j < per_horizon; ++j) {
            const int o = h * per_horizon + j;
            const Real *before = readout + o * width, limit = Real(kMaxStepError);
            Real* after = seat.readout + o * width;
            Real error = seat.error[o];
            error = error > limit ? limit : error < -limit ? -limit : error;
            const Real step = static_cast<Real>(plan.readout_rate) * error / power;
            for (int i = 0; i < width; ++i) {
                after[i] = before[i] + step * features[i];
                sound &= std::fabs(after[i]) <= Real(kMaxWeight);
            }
        }
    }
    return sound;
}

// --- answers -----------------------------------------------------------------------------------------------------------

// An expert's word: cut off, and the naive prediction where it is no number.
static inline double safe_output(double output) {
    return std::isfinite(output) ? within(output, -kMaxOutput, kMaxOutput) : 0.0;
}

// Tile._remember: the targets' history as it is known at this sample; a forecast's takes the sample in first.
static inline void remember(const Row& row, int64_t number, const double* x, double* lags) {
    const Plan& plan = row.plan;
    const Offsets& at = plan.at;
    const bool forecast = plan.task == Task::forecast;
    bool any = false;
    for (int track = 0; track < plan.tracks; ++track) {
        if (forecast) {
            const double value = x[plan.target_columns[track]];
            if (value == value) {
                mend_season(row, number - 1, track, value);
                update_history(row, track, value);
                any = true;
            }
        }
        put_season(row, number, number, track, row.real(at.history_last)[track]);
    }
    if (any) *row.integer(at.history_newest) = number;
    if (forecast) measure_season(row, number, number, lags);
}

// Tile._look_back: how far the targets were from `base` at the same point of past periods and on average, and what the
// seasonal expert says.
template <class Real>
static void look_back(const Row& row, int64_t number, int64_t slot, const double* base, const double* scales, double* said) {
    const Plan& plan = row.plan;
    const int64_t lag = season_lag(row), length = plan.season_length;
    Real* apart_by = row.array<Real>(plan.at.window_past) + slot * plan.num_horizons * plan.tracks * kPast;
    const double* slow = row.real(plan.at.history_slow);
    for (int h = 0; h < plan.num_horizons; ++h) {
        const int ahead = plan.task == Task::forecast ? plan.horizons[h] : 0;
        for (int place = 0; place < kPeriods; ++place) {
            const int64_t past = season_back(plan, number, ahead, lag, kPeriodsBack[place]);
            for (int track = 0; track < plan.tracks; ++track) {
                const int output = h * plan.tracks + track;
                double apart = 0.0;
                if (past > 0) {
                    const double value = row.real(plan.at.season_values)[track * length + season_slot(plan, past)];
                    apart = safe_divide(value - base[track], scales[output]);
                }
                apart_by[output * kPast + place] = static_cast<Real>(within(apart, -kMaxScaled, kMaxScaled));
                if (place == 0) said[output] = safe_output(apart);
            }
        }
        for (int track = 0; track < plan.tracks; ++track) {
            const int output = h * plan.tracks + track;
            for (int i = 0; i < kSlow; ++i) {
                const double apart = safe_divide(slow[track * kSlow + i] - base[track], scales[output]);
                apart_by[output * kPast + kPeriods + i] = static_cast<Real>(within(apart, -kMaxScaled, kMaxScaled));
            }
        }
    }
}

// Outputs, intervals and what else is remembered of an answer, once the cell has moved over a sample
// (Tile._advance). `seat.said` and `seat.hidden` are the cell's.
template <class Real>
static void answer(const Plan& plan, Seat<Real>& seat, int64_t seq, double* prediction, double* median, double* half_width) {
    const Row row = seat.row(plan);
    const Offsets& at = plan.at;
    const int64_t number = *row.integer(at.stream_samples) + 1;
    const int64_t slot = modulo(number, plan.window_length);
    const int per_horizon = plan.outputs / plan.num_horizons;
    const Real* readout = row.array<Real>(at.readout_weights);

    // What the readout and the autoregression go by is read from the window, where it is kept for the lesson.
    std::memcpy(row.array<Real>(at.window_inputs) + slot * plan.inputs, seat.inputs,
                sizeof(Real) * static_cast<size_t>(plan.inputs));
    double* base = row.real(at.window_base) + slot * plan.tracks;
    double* scales = row.real(at.window_scale) + slot * plan.outputs;
    double* mixed = row.real(at.window_mixed) + slot * plan.mix_losses * (1 + kMemories) * plan.outputs;
    double* said = row.real(at.window_said) + slot * kExperts * plan.outputs;
    for (int j = 0; j < plan.tracks; ++j) {
        base[j] = plan.task == Task::forecast     ? seat.values[plan.target_columns[j]]
                  : plan.task == Task::regression ? best_guess(row, j)
                                                  : row.real(at.history_last)[j];
    }
    const bool values = plan.task != Task::classification;
    for (int o = 0; o < plan.outputs; ++o) scales[o] = values ? std::sqrt(row.real(at.residual_square)[o]) : 1.0;
    view_history(row, number, row.array<Real>(at.window_history) + slot * plan.tracks * kView);
    look_back<Real>(row, number, slot, base, scales, said);
    fill_features(plan, seat.said, seat.features);
    for (int o = 0; o < plan.outputs; ++o) {
        if (o % per_horizon == 0) fill_linear<Real>(row, slot, o / per_horizon, seat.wide);
        seat.linear[o] =
            dot(row.real(at.linear_weights) + static_cast<int64_t>(o) * plan.linear_features, seat.wide, plan.linear_features);
        const Real rest = dot(readout + o * plan.readout_features, seat.features, plan.readout_features);
        seat.outputs[o] = seat.linear[o] + (std::isfinite(rest) ? static_cast<double>(rest) : 0.0);
    }
    if (!values) {
        probable(seat.linear, plan.outputs);
        probable(seat.outputs, plan.outputs);
    }
    double* kept = row.real(at.window_prediction) + slot * plan.outputs;
    double* kept_width = row.real(at.window_half_width) + slot * plan.outputs;
    double total = 0.0;
    for (int o = 0; o < plan.outputs; ++o) {
        fill_autoregression<Real>(row, slot, o, seat.wide);
        const double* weights = row.real(at.autoregression_weights) + o * kAutoregressionWidth;
        double expected = 0.0;
        for (int i = 0; i < kAutoregressionWidth; ++i) expected += weights[i] * seat.wide[i];
        said[plan.outputs + o] = safe_output(expected);
        said[2 * plan.outputs + o] = safe_output(values ? seat.linear[o] : seat.linear[o] - base[o]);
        said[3 * plan.outputs + o] = safe_output(values ? seat.outputs[o] : seat.outputs[o] - base[o]);
        const double answer = combine(row, o, said + o, mixed + o);
        kept[o] = values ? base[o % plan.tracks] + scales[o] * answer : within(base[o] + answer, 0.0, 1.0);
        kept_width[o] = row.real(at.conformal_radius)[o] * (values ? scales[o] : 0.0);
        total += kept[o];
    }
    for (int o = 0; o < plan.outputs; ++o) {
        if (!values) kept[o] = total > 0 ? kept[o] / total : 1.0 / plan.outputs;
        prediction[o] = kept[o];
        half_width[o] = kept_width[o];
    }
    for (int o = 0; o < plan.medians; ++o) {
        median[o] = base[o % plan.tracks] + scales[o] * mixed[(1 + kMemories) * plan.outputs + o];
    }

    bool sound = true;
    for (int i = 0; i < plan.state_size; ++i) sound &= std::fabs(seat.hidden[i]) <= Real(kMaxHidden);
    if (!sound) ++*row.integer(at.stream_hidden_resets);
    Real* hidden = row.array<Real>(at.window_hidden) + slot * plan.state_size;
    if (sound) {
        std::memcpy(hidden, seat.hidden, sizeof(Real) * static_cast<size_t>(plan.state_size));
    } else {
        std::memset(hidden, 0, sizeof(Real) * static_cast<size_t>(plan.state_size));
    }
    row.array<Real>(at.window_elapsed)[slot] = seat.elapsed;
    row.integer(at.window_seq)[slot] = seq;
    if (plan.task != Task::forecast) {
        row.array<uint8_t>(at.window_labelled)[slot] = 0;
        row.array<uint8_t>(at.window_guessed)[slot] = row.integer(at.history_count)[0] > 0;
        for (int j = 0; j < plan.tracks; ++j) {
            row.real(at.window_mean_guess)[slot * plan.tracks + j] = row.real(at.history_mean)[j];
            row.real(at.window_last_guess)[slot * plan.tracks + j] = row.real(at.history_last)[j];
        }
    }
    *row.integer(at.stream_seq) = seq;
    *row.integer(at.stream_samples) = number;
}

}  // namespace LIQUID_ISA
}  // namespace liquid
