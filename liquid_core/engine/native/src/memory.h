// What is remembered of the targets: calendar, history and season (learner/calendar.py, history.py, season.py), and how the
// experts are mixed (mix.py). One stream, float64, operations in the reference's order.
#pragma once

#include "parts.h"

namespace liquid {
namespace LIQUID_ISA {

constexpr double kDay = 86400.0, kWeek = 604800.0, kMinSamplesInPeriod = 4.0;         // calendar.py
constexpr double kHalfAge = 8.0, kSlowRates[kSlow] = {1.0 / 16.0, 1.0 / 128.0};       // history.py
constexpr double kSeasonRate = 0.002, kMaxSeasonDistance = 16.0, kDepth = 0.8, kMargin = 1.3, kPreference = 0.7;  // season.py
constexpr double kNegligible = 1e-9;
constexpr int kMaxDeciding = 8, kSeasonInterval = 16;
constexpr int kPeriodsBack[kPeriods] = {0, 1, 2, 6};
constexpr double kFades[kMemories] = {0.9998, 0.98}, kMaxMixError = 3.0, kAbsolute = 0.2, kNear = 0.03;           // mix.py
constexpr double kFloor = 1.0, kFloorAhead = 0.1, kHeadStart = 3.0, kHeadStartAhead = 0.5;                   // mix.py

// --- calendar ----------------------------------------------------------------------------------------------------------

static inline double wave(double phase) {
    const double half = (phase < 0.5 ? phase : phase - 0.5) * 2.0;
    const double hump = half * (1.0 - half);
    const double size = 16.0 * hump / (5.0 - 4.0 * hump);
    return phase < 0.5 ? size : -size;
}

// calendar.waves, once the clock has ticked.
template <class Real>
static inline void show_calendar(const Row& row, double t, Real* waves) {
    const double span = t - *row.real(row.plan.at.clock_first_t), gap = *row.real(row.plan.at.clock_gap);
    const double periods[3] = {kDay, kDay / 2, kWeek};
    for (int i = 0; i < 3; ++i) {
        const double basis = i == 2 ? kWeek : kDay;
        const bool supported = span >= basis && gap * kMinSamplesInPeriod <= basis;
        const double sine = t / periods[i], cosine = t / periods[i] + 0.25;
        waves[2 * i] = supported ? static_cast<Real>(wave(sine - std::floor(sine))) : Real(0);
        waves[2 * i + 1] = supported ? static_cast<Real>(wave(cosine - std::floor(cosine))) : Real(0);
    }
}

// --- history -----------------------------------------------------------------------------------------------------------

// History.update for one track that was observed.
static inline void update_history(const Row& row, int track, double value) {
    const Offsets& at = row.plan.at;
    const int64_t before = row.integer(at.history_count)[track];
    double &mean = row.real(at.history_mean)[track], &variance = row.real(at.history_variance)[track];
    double& last = row.real(at.history_last)[track];
    const double counted = capped(before, mean, variance, value);
    update_moments(row.integer(at.history_count)[track], mean, variance, value, row.plan.scaler_rate);
    double* slow = row.real(at.history_slow) + track * kSlow;
    for (int i = 0; i < kSlow; ++i) slow[i] = slow[i] + larger(inverse_of(before + 1), kSlowRates[i]) * (counted - slow[i]);
    if (before > 0) {
        const double change = value - last;
        update_square(row.integer(at.history_change_count)[track], row.real(at.history_change_square)[track], change,
                      row.plan.scaler_rate);
        double* changes = row.real(at.history_changes) + track * kChanges;
        for (int i = kChanges - 1; i > 0; --i) changes[i] = changes[i - 1];
        changes[0] = change;
    }
    last = value;
}

// History.view of every track at a sample.
template <class Real>
static inline void view_history(const Row& row, int64_t number, Real* view) {
    const Offsets& at = row.plan.at;
    const double age = static_cast<double>(number - *row.integer(at.history_newest));
    for (int track = 0; track < row.plan.tracks; ++track, view += kView) {
        const double deviation = std::sqrt(row.real(at.history_variance)[track]);
        const double level = safe_divide(row.real(at.history_last)[track] - row.real(at.history_mean)[track], deviation);
        const double scale = std::sqrt(row.real(at.history_change_square)[track]);
        view[0] = static_cast<Real>(within(level, -kMaxScaled, kMaxScaled));
        for (int i = 0; i < kChanges; ++i) {
            const double movement = safe_divide(row.real(at.history_changes)[track * kChanges + i], scale);
            view[1 + i] = static_cast<Real>(within(movement, -kMaxScaled, kMaxScaled));
        }
        view[1 + kChanges] = static_cast<Real>(age / (age + kHalfAge));
    }
}

// History._is_jump, and History.jumped for one track.
static inline bool is_jump(const Row& row, int track, double movement) {
    return std::fabs(movement) > kMaxResidual * std::sqrt(row.real(row.plan.at.history_change_square)[track]);
}
static inline bool has_jumped(const Row& row, int track) {
    return is_jump(row, track, row.real(row.plan.at.history_changes)[track * kChanges]);
}

// --- season ------------------------------------------------------------------------------------------------------------

static inline int64_t season_slot(const Plan& plan, int64_t number) { return modulo(-number, plan.season_length); }

// Season.put for one track.
static inline void put_season(const Row& row, int64_t number, int64_t newest, int track, double value) {
    const int64_t length = row.plan.season_length;
    if (number <= newest - length) return;
    row.real(row.plan.at.season_values)[track * length + season_slot(row.plan, number)] = value;
}

// History.rebound and Season.mend for one track, whose `value` is about to be taken in: where it jumps straight back from a
// last value that had jumped out, the middle of the values around it takes its place in the ring, up to sample `newest`.
static inline void mend_season(const Row& row, int64_t newest, int track, double value) {
    const Plan& plan = row.plan;
    const double last = row.real(plan.at.history_last)[track], back = value - last;
    const double out = row.real(plan.at.history_changes)[track * kChanges];
    if ((out > 0) == (back > 0) || !has_jumped(row, track) || !is_jump(row, track, back)) return;
    const int64_t outlier = *row.integer(plan.at.history_newest);
    if (outlier < 2 || outlier - 1 <= newest - plan.season_length) return;
    double* values = row.real(plan.at.season_values) + static_cast<int64_t>(track) * plan.season_length;
    const double middle = 0.5 * (values[season_slot(plan, outlier - 1)] + value);
    for (int64_t number = outlier; number <= newest; ++number) {
        double& kept = values[season_slot(plan, number)];
        if (kept == last) kept = middle;
    }
}

// The shortest of the good periods; zero where there is none.
// Only lags up to `last` are known.
static inline int64_t shortest_period(const double* distance, int length, int64_t number, int64_t last) {
    double largest = distance[1], best = 1e300;
    for (int turn = 0; turn < 2; ++turn) {
        largest = distance[1];
        for (int p = 2; p < length - 1 && p <= last && 2 * static_cast<int64_t>(p) <= number; ++p) {
            const double here = distance[p];
            if (here <= distance[p - 1] && here <= distance[p + 1] && here < kDepth * largest) {
                if (turn == 0) {
                    best = smaller(here, best);
                } else if (here <= kMargin * best + kNegligible) {
                    return p;
                }
            }
            largest = larger(here, largest);
        }
    }
    return 0;
}

// Season.measure; `squares` is scratch, (length,). Where a track has just jumped there is nothing to measure.
static inline void measure_season(const Row& row, int64_t number, int64_t newest, double* squares) {
    const Plan& plan = row.plan;
    const int length = plan.season_length, tracks = plan.tracks < kMaxDeciding ? plan.tracks : kMaxDeciding;
    for (int track = 0; track < tracks; ++track) {
        if (has_jumped(row, track)) return;
    }
    double* distance = row.real(plan.at.season_distance);
    const int64_t first = number - 1, kept = number - newest + length - 1;  // lags of the first sample, and of what is kept
    int64_t last = first < kept ? first : kept;
    last = last < length - 1 ? last : length - 1;
    if (last >= 1) {
        for (int lag = 0; lag <= last; ++lag) squares[lag] = 0.0;
        const int slot = static_cast<int>(season_slot(plan, number));
        for (int track = 0; track < tracks; ++track) {
            const double* values = row.real(plan.at.season_values) + static_cast<int64_t>(track) * length;
            const double now = values[slot], inverse = safe_divide(1.0, std::sqrt(row.real(plan.at.history_variance)[track]));
            // Slots from the sample's on to the end, then those from the beginning.
            const int turn = length - slot <= last ? length - slot : static_cast<int>(last) + 1;
            for (int part = 0; part < 2; ++part) {
                const double* then = part == 0 ? values + slot : values + slot - length;
                const int from = part == 0 ? 0 : turn, to = part == 0 ? turn : static_cast<int>(last) + 1;
                for (int lag = from; lag < to; ++lag) {
                    const double apart = (now - then[lag]) * inverse, square = apart * apart;
                    squares[lag] += square < kMaxSeasonDistance ? square : kMaxSeasonDistance;
                }
            }
        }
        for (int lag = 1; lag <= last; ++lag) {
            const double weight = larger(1.0 / static_cast<double>(number - lag), kSeasonRate);
            distance[lag] = distance[lag] + weight * (squares[lag] - distance[lag]);
        }
    }
    if (modulo(number, kSeasonInterval) == 0) *row.integer(plan.at.season_period) = shortest_period(distance, length, number, last);
}

// Season.lag
static inline int64_t season_lag(const Row& row) {
    const Offsets& at = row.plan.at;
    const int64_t period = *row.integer(at.season_period);
    const double day = std::floor(safe_divide(kDay, *row.real(at.clock_gap)) + 0.5);
    const bool fits = *row.real(at.clock_last_t) - *row.real(at.clock_first_t) >= kDay && day >= 2 && day < row.plan.season_length;
    if (!fits) return period;
    const double* distance = row.real(at.season_distance);
    const bool better = distance[period] < kPreference * distance[static_cast<int64_t>(day)];
    return period > 0 && better ? period : static_cast<int64_t>(day);
}

// Season.back: the number of the sample, or 0 where it is not kept.
static inline int64_t season_back(const Plan& plan, int64_t number, int ahead, int64_t lag, int periods) {
    if (lag <= 0) return 0;
    const int64_t whole = (ahead > 1 ? ahead : 1) + lag - 1;
    const int64_t at = number + ahead - lag * (whole / lag + periods);
    return at >= 1 && at > number - plan.season_length ? at : 0;
}

// --- mix ---------------------------------------------------------------------------------------------------------------

// How one output's arms are weighed, the first of which has a head start; the same ones lie `stride` apart.
struct Arms {
    double* regrets;
    double* squares;
    int count;
    int64_t stride;
};

// One arm after the other: regrets and squares, and the weight that follows. The sum of the weights.
template <class Saying>
static inline double weigh(const Arms& arms, double fade, double slope, double mixed, Saying said, double head_start, double floor,
                           double* weights) {
    double total = 0.0;
    for (int i = 0; i < arms.count; ++i) {
        double &regret = arms.regrets[i * arms.stride], &square = arms.squares[i * arms.stride];
        const double instant = slope * (mixed - said(i));
        regret = fade * regret + instant;
        square = fade * square + instant * instant;
        weights[i] = larger(i == 0 ? regret + head_start : regret, 0.0) / (floor + square);
        total = i == 0 ? weights[0] : total + weights[i];
    }
    return total;
}

// Slope at an error of the mix, in residual scales: of the answer's loss, and of the median's.
static inline double slope_at(const Plan& plan, int loss, double error) {
    const double absolute = within(error / kNear, -1.0, 1.0), squared = within(error, -kMaxMixError, kMaxMixError);
    if (loss == 1) return absolute;
    return plan.task == Task::classification ? squared : squared + kAbsolute * absolute;
}

// Mix.update for one output; what the experts said, and what the mix made of it, lies `plan.outputs` apart.
static inline void update_mix(const Row& row, int output, double target, const double* said, const double* mixed) {
    const Plan& plan = row.plan;
    const int64_t outputs = plan.outputs;
    const double further = plan.horizons[output / (plan.outputs / plan.num_horizons)] - 1;
    const double head_start = kHeadStart + kHeadStartAhead * further, floor = kFloor + kFloorAhead * further;
    double weights[1 + kExperts];
    for (int l = 0; l < plan.mix_losses; ++l, mixed += (1 + kMemories) * outputs) {
        for (int m = 0; m < kMemories; ++m) {
            const int64_t line = l * kMemories + m, from = line * (1 + kExperts) * outputs + output;
            const double own = mixed[(1 + m) * outputs], slope = slope_at(plan, l, own - target);
            const Arms experts{row.real(plan.at.mix_regret) + from, row.real(plan.at.mix_square) + from, 1 + kExperts, outputs};
            const double total = weigh(
                experts, kFades[m], slope, own, [&](int i) { return i == 0 ? 0.0 : said[(i - 1) * outputs]; }, head_start, floor, weights);
            double* shares = row.real(plan.at.mix_share) + line * kExperts * outputs + output;
            for (int e = 0; e < kExperts && total > 0; ++e) shares[e * outputs] = weights[e + 1] / total;
        }
        const int64_t from = l * kMemories * outputs + output;
        const Arms memories{row.real(plan.at.mix_trust_regret) + from, row.real(plan.at.mix_trust_square) + from, kMemories, outputs};
        const double total = weigh(
            memories, kFades[0], slope_at(plan, l, mixed[0] - target), mixed[0], [&](int i) { return mixed[(1 + i) * outputs]; },
            head_start, floor, weights);
        if (total > 0) row.real(plan.at.mix_trust)[l * outputs + output] = weights[1] / total;
    }
}

// What one loss makes of what the experts say, and after it what each of its memories would.
static inline double mixed_by(const Row& row, int loss, int output, const double* said, double* mixed) {
    const int64_t outputs = row.plan.outputs;
    for (int m = 0; m < kMemories; ++m) {
        const double* shares = row.real(row.plan.at.mix_share) + (loss * kMemories + m) * kExperts * outputs + output;
        double sum = shares[0] * said[0];
        for (int e = 1; e < kExperts; ++e) sum = sum + shares[e * outputs] * said[e * outputs];
        mixed[(1 + m) * outputs] = sum;
    }
    mixed[0] = mixed[outputs] + row.real(row.plan.at.mix_trust)[loss * outputs + output] * (mixed[2 * outputs] - mixed[outputs]);
    return mixed[0];
}

// Mix.combine for one output: the answer, which is returned, after it what each memory alone would say, and so the median.
static inline double combine(const Row& row, int output, const double* said, double* mixed) {
    const int64_t outputs = row.plan.outputs;
    const double answer = mixed_by(row, 0, output, said, mixed);
    for (int l = 1; l < row.plan.mix_losses; ++l) mixed_by(row, l, output, said, mixed + l * (1 + kMemories) * outputs);
    return answer;
}

}  // namespace LIQUID_ISA
}  // namespace liquid
