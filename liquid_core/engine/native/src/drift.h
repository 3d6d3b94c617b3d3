// The drift detectors: does a value raise an alarm?
//
// Each is the update of the class of the same name in liquid_core/learner/drift, for one stream, in float64 and with the
// operations in the same order: the reference's bits. Why they are what they are is said there.
#pragma once

#include <cmath>
#include <cstdint>

#include "parts.h"
#include "plan.h"

namespace liquid {
namespace LIQUID_ISA {

// PageHinkley.update.
static inline bool page_hinkley(const Row& row, double value) {
    const DriftPlan& drift = row.plan.drift;
    const Offsets& at = row.plan.at;
    int64_t& count = *row.integer(at.drift_count);
    double &mean = *row.real(at.drift_mean), &rise = *row.real(at.drift_rise), &fall = *row.real(at.drift_fall);
    double &lowest = *row.real(at.drift_lowest_rise), &highest = *row.real(at.drift_highest_fall);
    const bool first = count == 0;
    ++count;
    mean = mean + (value - mean) / static_cast<double>(count);
    const double deviation = value - mean;
    rise = drift.alpha * rise + deviation - drift.delta;
    fall = drift.alpha * fall + deviation + drift.delta;
    lowest = first ? rise : smaller(rise, lowest);
    highest = larger(fall, first ? -1.0 : highest);
    const bool up = drift.up && rise - lowest > drift.threshold;
    const bool down = drift.down && highest - fall > drift.threshold;
    const bool alarm = count >= drift.min_samples && (up || down);
    if (alarm) {
        count = 0;
        mean = rise = fall = lowest = highest = 0.0;
    }
    return alarm;
}

// adwin.logarithm, of a positive number.
static inline double exact_logarithm(double x) {
    int exponent;
    double fraction = std::frexp(x, &exponent);
    if (fraction < 0.7071067811865476) {
        fraction = 2.0 * fraction;
        --exponent;
    }
    const double s = (fraction - 1.0) / (fraction + 1.0);
    const double square = s * s;
    double series = 0.0;
    for (int n = 11; n > 0; --n) series = (series + 1.0 / (2 * n + 1)) * square;
    return exponent * 0.6931471805599453 + (2.0 * s + 2.0 * s * series);
}

// The arrays of an ADWIN.
struct Buckets {
    int64_t &seen, &width;
    double &total, &squares;
    int64_t* count;  // (levels,)
    double* sums;    // (levels, max_buckets + 1)
};

// Adwin._take, after which the value is in the window.
static inline void take_into_buckets(const DriftPlan& drift, Buckets& window, double value) {
    const double before = static_cast<double>(window.width);
    const double deviation = value - window.total / larger(before, 1.0);
    window.squares = window.squares + before * deviation * deviation / (before + 1.0);
    window.total = window.total + value;
    ++window.seen;
    ++window.width;
    const int capacity = drift.max_buckets + 1;
    for (int level = 0; level < drift.levels; ++level) {
        double* sums = window.sums + level * capacity;
        sums[window.count[level]] = value;
        if (++window.count[level] <= drift.max_buckets) return;
        const bool last = level == drift.levels - 1;
        const int leaving = last ? 1 : 2;
        const double oldest = sums[0];
        value = oldest + sums[1];
        for (int k = 0; k < capacity; ++k) sums[k] = k < capacity - leaving ? sums[k + leaving] : 0.0;
        window.count[level] -= leaving;
        if (!last) continue;
        const int64_t size = int64_t{1} << level;
        const double width = static_cast<double>(window.width);
        window.squares = window.squares * ((width - static_cast<double>(size)) / width);
        window.total = window.total - oldest;
        window.width -= size;
    }
}

enum class Cut { none, rise, fall };

// Adwin._look: the first cut with different means on its sides, if there is one.
static inline Cut find_cut(const DriftPlan& drift, const Buckets& window) {
    const int capacity = drift.max_buckets + 1;
    const double width = static_cast<double>(window.width), least = static_cast<double>(drift.min_length);
    const double confidence = exact_logarithm(2.0 * exact_logarithm(larger(width, 2.0)) / drift.delta);
    const double variance = window.squares / width;
    double older = 0.0, older_total = 0.0, newer_total = window.total;
    for (int level = drift.levels - 1; level >= 0; --level) {
        const double size = static_cast<double>(int64_t{1} << level);
        for (int k = 0; k < window.count[level]; ++k) {
            const double sum = window.sums[level * capacity + k];
            older = older + size;
            older_total = older_total + sum;
            newer_total = newer_total - sum;
            const double newer = width - older;
            if (older < least || newer < least) continue;
            const double gap = older_total / older - newer_total / newer;
            const double inverse = 1.0 / (older - least + 1.0) + 1.0 / (newer - least + 1.0);
            const double spread = std::sqrt(2.0 * inverse * variance * confidence);
            if (std::fabs(gap) > spread + 2.0 / 3.0 * confidence * inverse) return gap > 0 ? Cut::fall : Cut::rise;
        }
    }
    return Cut::none;
}

// Adwin.update.
static inline bool adwin(const Row& row, double value) {
    const DriftPlan& drift = row.plan.drift;
    const Offsets& at = row.plan.at;
    Buckets window{*row.integer(at.drift_seen), *row.integer(at.drift_width), *row.real(at.drift_total),
                   *row.real(at.drift_squares), row.integer(at.drift_buckets), row.real(at.drift_sums)};
    take_into_buckets(drift, window, value);
    if (window.seen % drift.clock != 0 || window.width <= drift.grace_period) return false;
    const Cut cut = find_cut(drift, window);
    if (cut == Cut::none) return false;
    window.seen = window.width = 0;
    window.total = window.squares = 0.0;
    for (int level = 0; level < drift.levels; ++level) window.count[level] = 0;
    for (int k = 0; k < drift.levels * (drift.max_buckets + 1); ++k) window.sums[k] = 0.0;
    return cut == Cut::rise ? drift.up : drift.down;
}

// Values below another one, and values up to it.
struct Standing {
    int64_t below = 0, up_to = 0;

    void count(const double* values, int64_t first, int64_t end, double bound) {
        for (int64_t i = first; i < end; ++i) {
            below += values[i] < bound;
            up_to += values[i] <= bound;
        }
    }
    // Slots of a ring, which may go over its end.
    void count_ring(const double* values, int64_t size, int64_t first, int64_t length, double bound) {
        const int64_t over = first + length - size;
        count(values, first, over > 0 ? size : first + length, bound);
        if (over > 0) count(values, 0, over, bound);
    }
};

// WindowTest.update.
static inline bool window_test(const Row& row, double value) {
    const DriftPlan& drift = row.plan.drift;
    int64_t& seen = *row.integer(row.plan.at.drift_seen);
    double* values = row.real(row.plan.at.drift_values);
    const int64_t size = drift.window, m = drift.recent, n = size - m;
    values[seen % size] = value;
    ++seen;
    if (seen < size || seen % drift.clock != 0) return false;
    const int64_t oldest = seen % size, newest = (oldest + n) % size;
    int64_t rise = 0, fall = 0;
    for (int64_t i = 0; i < m; ++i) {
        const double bound = values[(newest + i) % size];
        Standing older, newer;
        older.count_ring(values, size, oldest, n, bound);
        newer.count_ring(values, size, newest, m, bound);
        const int64_t older_leads = older.below * m - newer.below * n;
        const int64_t newer_leads = newer.up_to * n - older.up_to * m;
        if (older_leads > rise) rise = older_leads;
        if (newer_leads > fall) fall = newer_leads;
    }
    const bool up = drift.up && static_cast<double>(rise) > drift.critical_gap;
    const bool down = drift.down && static_cast<double>(fall) > drift.critical_gap;
    if (!up && !down) return false;
    seen = 0;
    for (int64_t i = 0; i < size; ++i) values[i] = 0.0;
    return true;
}

static inline bool update_drift(const Row& row, double value) {
    switch (row.plan.drift.kind) {
        case DriftKind::page_hinkley: return page_hinkley(row, value);
        case DriftKind::adwin: return adwin(row, value);
        case DriftKind::window_test: return window_test(row, value);
        case DriftKind::none: return false;
    }
    return false;
}

}  // namespace LIQUID_ISA
}  // namespace liquid
