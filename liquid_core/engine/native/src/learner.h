// The step: what a record does to a stream, for as many streams side by side as a network has seats.
//
// The order is that of engine/tile.py. A forecast settles and learns from a sample before it advances over it; a label that
// came with its own sample must not help to predict it, so regression and classification advance first.
#pragma once

#include "lesson.h"
#include "settle.h"
#include "upset.h"

namespace liquid {
namespace LIQUID_ISA {

template <class Real, class Network>
class Learner {
   public:
    static constexpr int seats = Network::group_size;

    void lay_out(Arena& arena, const Plan& plan) {
        plan_ = &plan;
        network_.lay_out(arena, plan);
        optimiser_.lay_out(arena, plan);
        for (Seat<Real>& seat : seats_) seat.lay_out(arena, plan);
    }

    // Folds the records of each chain into its row, a record of each at a time; `count` chains, as many as there are seats
    // or fewer. Stops when fewer than `fewest` chains are left that have records; returns how many each has had.
    int64_t step(const Records& records, const Results& results, const Chain* chains, int count, int fewest) {
        seat(chains, count);
        for (int64_t round = 0;; ++round) {
            int busy = 0;
            for (int i = 0; i < count; ++i) {
                const bool has_one = round < chains[i].count;
                seats_[i].record = has_one ? chains[i].records[round] : -1;
                busy += has_one;
            }
            if (busy == 0 || busy < fewest) return round;
            one_round(records, results, count);
        }
    }

    void look_ahead(const Records& records, const Results& results, uint8_t* row) {
        const int64_t index = 0;
        const Chain chain{row, &index, 1};
        seat(&chain, 1);
        seats_[0].record = 0;
        advance(records, results, 1);
    }

    // The gradient for targets that arrived at a sample, all seats being taken by the same row.
    void lesson(uint8_t* row, int64_t anchor, const double* targets, const uint8_t* known, const Lesson& lesson) {
        Chain chains[seats];
        for (Chain& chain : chains) chain = {row, nullptr, 0};
        seat(chains, seats);
        const size_t outputs = static_cast<size_t>(plan_->outputs);
        for (Seat<Real>& seat : seats_) {
            seat.anchor = anchor;
            seat.learns = true;
            std::memcpy(seat.target, targets, sizeof(double) * outputs);
            std::memcpy(seat.scaled, known, outputs);
            std::memset(seat.linear, 0, sizeof(double) * outputs);
        }
        differentiate(seats);
        // Of several equal streams, take one from the middle.
        const int lane = seats / 2;
        const Seat<Real>& seat = seats_[lane];
        std::memcpy(lesson.loss, &seat.loss, sizeof(Real));
        std::memcpy(lesson.gradient, network_.gradient(lane), sizeof(Real) * static_cast<size_t>(plan_->num_params));
        const int per_horizon = plan_->outputs / plan_->num_horizons, width = plan_->readout_features;
        for (int o = 0; o < plan_->outputs; ++o) {
            std::memcpy(static_cast<Real*>(lesson.features) + o * width,
                        seat.features + o / per_horizon * padded<Real>(width), sizeof(Real) * static_cast<size_t>(width));
        }
        std::memcpy(lesson.error, seat.error, sizeof(Real) * outputs);
    }

   private:
    void seat(const Chain* chains, int count) {
        for (int i = 0; i < seats; ++i) {
            seats_[i].bytes = i < count ? chains[i].row : nullptr;
            seats_[i].record = -1;
            seats_[i].learns = seats_[i].advances = false;
        }
        network_.bind(seats_, count);
    }

    void one_round(const Records& records, const Results& results, int count) {
        for (int i = 0; i < count; ++i) begin(records, seats_[i]);
        if (plan_->task != Task::forecast) advance(records, results, count);
        bool any = false;
        for (int i = 0; i < count; ++i) any |= settle(records, results, seats_[i]);
        if (any) learn(results, count);
        if (plan_->task == Task::forecast) advance(records, results, count);
        for (int i = 0; i < count; ++i) conclude(records, results, seats_[i]);
    }

    // Before anything else takes a record in.
    void begin(const Records& records, const Seat<Real>& seat) {
        if (seat.record < 0) return;
        const bool judged_by_label = plan_->task == Task::regression && records.has_label[seat.record];
        return_from_upset(seat.row(*plan_), records.is_sample[seat.record] ? records.x + seat.record * plan_->features : nullptr,
                          judged_by_label ? records.y + seat.record * plan_->targets : nullptr);
    }

    // Holds what a record brings against the answers that waited for it; whether there is something to learn.
    bool settle(const Records& records, const Results& results, Seat<Real>& seat) {
        seat.learns = false;
        const bool forecast = plan_->task == Task::forecast;
        if (seat.record < 0 || !(forecast ? records.is_sample : records.has_label)[seat.record]) return false;
        const Row row = seat.row(*plan_);
        const int64_t seq = records.seq[seat.record];
        const double* y = records.y + seat.record * plan_->targets;
        Outcome outcome;
        if (forecast) {
            double* truth = seat.outputs;  // as yet unused, and longer than the targets
            const double* x = records.x + seat.record * plan_->features;
            for (int j = 0; j < plan_->targets; ++j) truth[j] = x[plan_->target_columns[j]];
            seat.anchor = *row.integer(plan_->at.stream_samples) + 1;
            outcome = settle_values(*plan_, seat, seq, truth);
        } else {
            seat.anchor = number_of(row, seq);
            outcome = plan_->task == Task::regression ? settle_values(*plan_, seat, seq, y)
                                                      : settle_class(*plan_, seat, seq, y[0]);
        }
        results.surprise[seat.record] = outcome.surprise;
        results.anomaly[seat.record] = outcome.anomaly;
        results.drift[seat.record] = outcome.alarm;
        seat.learns &= *row.integer(plan_->at.stream_samples) >= plan_->warmup && !is_frozen(row);
        return seat.learns;
    }

    // Number of the sample that has `seq`; 0 where it is not in the window.
    int64_t number_of(const Row& row, int64_t seq) const {
        const int64_t *seqs = row.integer(plan_->at.window_seq), newest = *row.integer(plan_->at.stream_samples);
        const int64_t length = plan_->window_length;
        // Where no number was skipped, it stands as far back as the numbers differ.
        const int64_t likely = newest - (*row.integer(plan_->at.stream_seq) - seq);
        if (likely >= 1 && newest - likely < length && seqs[modulo(likely, length)] == seq) return likely;
        for (int64_t slot = 0; slot < length; ++slot) {
            if (seqs[slot] == seq) return newest - modulo(newest - slot, length);
        }
        return 0;
    }

    // Loss, errors and gradient, over all stretches of the window.
    void differentiate(int count) {
        for (int i = 0; i < count; ++i) {
            if (seats_[i].learns) begin_lesson(*plan_, seats_[i]);
        }
        for (int s = 0; s < plan_->num_stretches; ++s) {
            const Stretch& stretch = plan_->stretches[s];
            network_.unroll(stretch);
            for (int i = 0; i < count; ++i) {
                if (seats_[i].learns) teach(*plan_, seats_[i], stretch);
            }
            network_.back_through(stretch, s == 0);
        }
        network_.finish();
    }

    // One weight update for the seats that got a target.
    void learn(const Results& results, int count) {
        differentiate(count);
        bool changed = false;
        for (int i = 0; i < count; ++i) {
            Seat<Real>& seat = seats_[i];
            if (!seat.learns) continue;
            const Row row = seat.row(*plan_);
            const Real* gradient = network_.gradient(i);
            seat.norm = gradient_norm(gradient, plan_->num_params);
            seat.applied = false;
            // A comparison with what is no number is false.
            const bool sound = update_readout(*plan_, seat) && seat.norm <= Real(kMaxGradient) && __builtin_isfinite(seat.loss);
            if (sound) optimiser_.step(seat, gradient, typical_delay(*plan_, seat));
            if (seat.applied) {
                std::memcpy(row.array<Real>(plan_->at.readout_weights), seat.readout,
                            sizeof(Real) * static_cast<size_t>(plan_->outputs) * static_cast<size_t>(plan_->readout_features));
                if (plan_->exact_readout) {
                    std::memcpy(row.real(plan_->at.readout_covariance), seat.covariance,
                                sizeof(double) * static_cast<size_t>(plan_->num_horizons) *
                                    static_cast<size_t>(triangle(plan_->readout_features)));
                }
                ++*row.integer(plan_->at.stream_updates);
                changed = true;
            } else {
                ++*row.integer(plan_->at.stream_skipped);
            }
            results.update[seat.record] = seat.applied ? 1 : 2;
        }
        if (changed) network_.reload();
    }

    // Moves over the samples of this round and answers them.
    void advance(const Records& records, const Results& results, int count) {
        bool any = false;
        for (int i = 0; i < count; ++i) {
            Seat<Real>& seat = seats_[i];
            seat.advances = seat.record >= 0 && records.is_sample[seat.record];
            if (!seat.advances) continue;
            any = true;
            const Row row = seat.row(*plan_);
            const bool first = *row.integer(plan_->at.stream_seq) == 0;
            double& last_t = *row.real(plan_->at.stream_last_t);
            last_t = first ? records.t[seat.record] : larger(records.t[seat.record], last_t);
            seat.elapsed = static_cast<Real>(tick(row, records.t[seat.record]));
            const double* x = records.x + seat.record * plan_->features;
            take_sample(row, x, seat.inputs, seat.values);
            show_calendar(row, records.t[seat.record], seat.inputs + plan_->inputs - kWaves);
            remember(row, *row.integer(plan_->at.stream_samples) + 1, x, seat.lags);
        }
        if (!any) return;
        network_.advance();
        for (int i = 0; i < count; ++i) {
            Seat<Real>& seat = seats_[i];
            if (!seat.advances) continue;
            answer(*plan_, seat, records.seq[seat.record], results.prediction + seat.record * plan_->outputs,
                   results.median + seat.record * plan_->medians, results.half_width + seat.record * plan_->outputs);
        }
    }

    // Keeps the label, and what the next naive guess is made from; the answer, for clients that ask again; and counts.
    void conclude(const Records& records, const Results& results, Seat<Real>& seat) {
        if (seat.record < 0) return;
        const Row row = seat.row(*plan_);
        const Offsets& at = plan_->at;
        if (plan_->task != Task::forecast && records.has_label[seat.record]) {
            const int64_t slot = modulo(seat.anchor, plan_->window_length);
            const double* y = records.y + seat.record * plan_->targets;
            const bool guessed = row.array<uint8_t>(at.window_guessed)[slot] != 0;
            for (int j = 0; j < plan_->targets; ++j) row.real(at.window_label)[slot * plan_->targets + j] = y[j];
            const int64_t newest = *row.integer(at.stream_samples);
            for (int track = 0; track < plan_->tracks; ++track) {
                const int64_t entry = slot * plan_->tracks + track;
                const double value = plan_->task == Task::regression ? y[track] : y[0] == track ? 1.0 : 0.0;
                mend_season(row, newest, track, value);
                update_guess(row, track, value, row.real(at.window_mean_guess)[entry], row.real(at.window_last_guess)[entry],
                             guessed);
                update_history(row, track, value);
                put_season(row, seat.anchor, newest, track, value);
            }
            *row.integer(at.history_newest) = seat.anchor;
            measure_season(row, seat.anchor, newest, seat.lags);
            row.array<uint8_t>(at.window_labelled)[slot] = 1;
            ++*row.integer(at.stream_labels);
        }
        if (records.is_sample[seat.record]) {
            const int64_t slot = *row.integer(at.stream_samples) % plan_->answers_kept;
            const size_t size = sizeof(double) * static_cast<size_t>(plan_->outputs);
            row.integer(at.answers_seq)[slot] = records.seq[seat.record];
            row.integer(at.answers_fingerprint)[slot] = records.fingerprint[seat.record];
            std::memcpy(row.real(at.answers_prediction) + slot * plan_->outputs,
                        results.prediction + seat.record * plan_->outputs, size);
            std::memcpy(row.real(at.answers_median) + slot * plan_->medians, results.median + seat.record * plan_->medians,
                        sizeof(double) * static_cast<size_t>(plan_->medians));
            std::memcpy(row.real(at.answers_half_width) + slot * plan_->outputs,
                        results.half_width + seat.record * plan_->outputs, size);
            row.real(at.answers_anomaly)[slot] = results.anomaly[seat.record];
            row.array<uint8_t>(at.answers_drift)[slot] = results.drift[seat.record];
        }
        ++*row.integer(at.stream_records);
    }

    const Plan* plan_ = nullptr;
    Network network_;
    Optimiser<Real> optimiser_;
    Seat<Real> seats_[seats];
};

}  // namespace LIQUID_ISA
}  // namespace liquid
