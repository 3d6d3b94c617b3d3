// The lesson: loss and its gradient at the readout, and the readout's own update (learner/loss.py, learner/readout.py).
#pragma once

#include <cmath>

#include "adam.h"
#include "seat.h"

namespace liquid {
namespace LIQUID_ISA {

constexpr double kHuberDelta = 3.0;    // loss.py
constexpr double kMaxReadoutError = 3.0;  // readout.py
constexpr double kMaxHidden = 1e3, kMaxOutput = 20.0;  // guard.py

// What the readout sees: the cell's output, the inputs, and a constant; zeros behind them.
template <class Real>
static inline void fill_features(const Plan& plan, const Real* said, const Real* inputs, Real* features) {
    std::memcpy(features, said, sizeof(Real) * static_cast<size_t>(plan.output_size));
    std::memcpy(features + plan.output_size, inputs, sizeof(Real) * static_cast<size_t>(plan.inputs));
    features[plan.output_size + plan.inputs] = Real(1);
    for (int i = plan.readout_features; i < padded<Real>(plan.readout_features); ++i) features[i] = Real(0);
}

// Softmax of `count` logits, in place; returns the logarithm of the sum of their exponentials.
static inline double softmax(double* logits, int count) {
    double largest = logits[0], total = 0.0;
    for (int c = 1; c < count; ++c) largest = logits[c] > largest ? logits[c] : largest;
    for (int c = 0; c < count; ++c) total += logits[c] = std::exp(logits[c] - largest);
    for (int c = 0; c < count; ++c) logits[c] /= total;
    return largest + std::log(total);
}

// Begin a lesson: nothing is lost yet.
template <class Real>
static void begin_lesson(const Plan& plan, Seat<Real>& seat) {
    seat.loss = Real(0);
    std::memset(seat.error, 0, sizeof(Real) * static_cast<size_t>(plan.outputs));
    std::memset(seat.features, 0,
                sizeof(Real) * static_cast<size_t>(plan.num_horizons * padded<Real>(plan.readout_features)));
}

// From what the cell said at the anchors of a stretch to the loss, the readout's errors, and the gradient by it.
template <class Real>
static void teach(const Plan& plan, Seat<Real>& seat, const Stretch& stretch) {
    const Row row = seat.row(plan);
    const Real* readout = row.array<Real>(plan.at.readout_weights);
    const int per_horizon = plan.outputs / plan.num_horizons;
    int known = 0;
    for (int o = 0; o < plan.outputs; ++o) known += seat.scaled[o];
    const Real share = Real(1) / static_cast<Real>(known > 0 ? known : 1);
    for (int a = 0; a < stretch.num_anchors; ++a) {
        const int h = stretch.first_horizon - a;
        const int64_t number = seat.anchor + stretch.first + stretch.anchors[a];
        Real* d_read = seat.d_read + a * plan.output_size;
        std::memset(d_read, 0, sizeof(Real) * static_cast<size_t>(plan.output_size));
        if (number < 1) continue;
        Real* features = seat.features + h * padded<Real>(plan.readout_features);
        fill_features(plan, seat.read + a * plan.output_size, window_step<Real>(row, number).inputs, features);
        for (int j = 0; j < per_horizon; ++j) {
            const int o = h * per_horizon + j;
            seat.error[o] = dot(readout + o * plan.readout_features, features, plan.readout_features);  // as yet the output
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

// The readout after a normalised LMS step, into `seat.readout`; whether all of it is sound.
template <class Real>
static bool update_readout(const Plan& plan, Seat<Real>& seat) {
    const Real* readout = seat.row(plan).template array<Real>(plan.at.readout_weights);
    const int per_horizon = plan.outputs / plan.num_horizons, width = plan.readout_features;
    bool sound = true;
    for (int h = 0; h < plan.num_horizons; ++h) {
        const Real* features = seat.features + h * padded<Real>(width);
        const Real power = Real(1) + dot(features, features, width);
        for (int j = 0; j < per_horizon; ++j) {
            const int o = h * per_horizon + j;
            const Real *before = readout + o * width, limit = Real(kMaxReadoutError);
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

// Outputs, intervals and what else is remembered of an answer, once the cell has moved over a sample
// (Tile._advance). `seat.said` and `seat.hidden` are the cell's.
template <class Real>
static void answer(const Plan& plan, Seat<Real>& seat, int64_t seq, double* prediction, double* half_width) {
    const Row row = seat.row(plan);
    const Offsets& at = plan.at;
    const int64_t number = *row.integer(at.stream_samples) + 1;
    const int64_t slot = modulo(number, plan.window_length);
    const int per_horizon = plan.outputs / plan.num_horizons;
    const Real* readout = row.array<Real>(at.readout_weights);

    fill_features(plan, seat.said, seat.inputs, seat.features);
    for (int o = 0; o < plan.outputs; ++o) {
        seat.outputs[o] = static_cast<double>(dot(readout + o * plan.readout_features, seat.features, plan.readout_features));
    }
    double* base = row.real(at.window_base) + slot * plan.targets;
    for (int j = 0; j < plan.targets; ++j) {
        base[j] = plan.task == Task::forecast     ? seat.values[plan.target_columns[j]]
                  : plan.task == Task::regression ? best_guess(row, j)
                                                  : row.real(at.guess_last)[j];
    }
    if (plan.task == Task::classification) {
        for (int c = 0; c < plan.outputs; ++c) {
            const double logit = seat.outputs[c];
            seat.outputs[c] = logit == logit ? within(logit, -50.0, 50.0) : 0.0;
        }
        softmax(seat.outputs, plan.outputs);
    }
    double *scales = row.real(at.window_scale) + slot * plan.outputs, *said = row.real(at.window_output) + slot * plan.outputs;
    double* kept = row.real(at.window_prediction) + slot * plan.outputs;
    double* kept_width = row.real(at.window_half_width) + slot * plan.outputs;
    for (int o = 0; o < plan.outputs; ++o) {
        // Cut off, and the naive prediction where it is no number.
        const double output = std::isfinite(seat.outputs[o]) ? within(seat.outputs[o], -kMaxOutput, kMaxOutput) : 0.0;
        const bool values = plan.task != Task::classification;
        const double scale = values ? std::sqrt(row.real(at.residual_square)[o]) : 1.0;
        const int lead = plan.horizons[o / per_horizon];
        said[o] = output;
        scales[o] = scale;
        prediction[o] = kept[o] =
            values ? base[o % plan.targets] + scale * trust_share(row, o, lead) * output : output;
        half_width[o] = kept_width[o] = row.real(at.conformal_radius)[o] * (values ? scale : 0.0);
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
    std::memcpy(row.array<Real>(at.window_inputs) + slot * plan.inputs, seat.inputs,
                sizeof(Real) * static_cast<size_t>(plan.inputs));
    row.array<Real>(at.window_elapsed)[slot] = seat.elapsed;
    row.integer(at.window_seq)[slot] = seq;
    if (plan.task != Task::forecast) {
        row.array<uint8_t>(at.window_labelled)[slot] = 0;
        row.array<uint8_t>(at.window_guessed)[slot] = row.integer(at.guess_count)[0] > 0;
        for (int j = 0; j < plan.targets; ++j) {
            row.real(at.window_mean_guess)[slot * plan.targets + j] = row.real(at.guess_mean)[j];
            row.real(at.window_last_guess)[slot * plan.targets + j] = row.real(at.guess_last)[j];
        }
    }
    *row.integer(at.stream_seq) = seq;
    *row.integer(at.stream_samples) = number;
}

}  // namespace LIQUID_ISA
}  // namespace liquid
