// Values far beyond everything so far, and what was usual before them (learner/upset.py). One stream, float64.
#pragma once

#include <cstring>

#include "parts.h"

namespace liquid {
namespace LIQUID_ISA {

constexpr double kWild = 50.0, kCalm = 10.0, kCredit = 3.0, kRefill = 1.0 / 20000.0;
constexpr int64_t kFirstWild = 50, kCalmRecords = 16, kLongestUpset = 1000;

// The numbers that are kept, in the order of upset.KEPT: `visit` is told where each array begins, and how long it is.
template <class Visit>
static inline void visit_kept(const Plan& plan, Visit visit) {
    const Offsets& at = plan.at;
    visit(at.scaler_mean, plan.features);
    visit(at.scaler_variance, plan.features);
    visit(at.scaler_change_square, plan.features);
    visit(at.residual_square, plan.outputs);
    visit(at.history_mean, plan.tracks);
    visit(at.history_variance, plan.tracks);
    visit(at.history_change_square, plan.tracks);
    visit(at.history_slow, plan.tracks * kSlow);
    visit(at.guess_mean_error, plan.tracks);
    visit(at.guess_last_error, plan.tracks);
    visit(at.conformal_radius, plan.outputs);
    visit(at.anomaly_square, 3);
    visit(at.anomaly_recent, 1);
    visit(at.anomaly_usual, 1);
    visit(at.anomaly_level, plan.tracks);
    visit(at.surge_recent, 2);
    visit(at.surge_usual, 2);
}

// upset.farthest of one stream.
static inline double farthest(const double* values, int count, const int64_t* seen, const double* means, const double* variances) {
    double most = -1.0;
    for (int i = 0; i < count; ++i) {
        const double deviation = std::sqrt(variances[i]);
        const bool known = values[i] == values[i] && seen[i] >= kFirstWild && deviation > kRelativeFloor * std::fabs(means[i]);
        if (known) most = larger(most, std::fabs(values[i] - means[i]) / deviation);
    }
    return most;
}

// Tile._return_from_upset: `x` and `y` are null where the record has none that is judged.
static inline void return_from_upset(const Row& row, const double* x, const double* y) {
    const Plan& plan = row.plan;
    const Offsets& at = plan.at;
    int64_t &age = *row.integer(at.upset_age), &calm = *row.integer(at.upset_calm);
    uint8_t& by_label = *row.array<uint8_t>(at.upset_by_label);
    double &credit = *row.real(at.upset_credit), *kept = row.real(at.upset_kept);
    // Where what was usual begins in what is kept.
    const int features = plan.features, tracks = plan.tracks;
    const double *of_sample = kept, *of_label = kept + 3 * features + plan.outputs;
    const bool under_way = age > 0;
    double sample = -1.0, label = -1.0;
    if (x) {
        sample = farthest(x, features, row.integer(at.scaler_count), under_way ? of_sample : row.real(at.scaler_mean),
                          under_way ? of_sample + features : row.real(at.scaler_variance));
    }
    if (y) {
        label = farthest(y, tracks, row.integer(at.history_count), under_way ? of_label : row.real(at.history_mean),
                         under_way ? of_label + tracks : row.real(at.history_variance));
    }
    const bool begins = !under_way && (sample > kWild || label > kWild);
    if (begins) {
        by_label = !(sample > kWild);
        double* to = kept;
        visit_kept(plan, [&](int64_t from, int count) {
            std::memcpy(to, row.real(from), sizeof(double) * static_cast<size_t>(count));
            to += count;
        });
    }
    const double judged_before = credit;
    if (sample >= 0 || label >= 0) credit = smaller(credit + kRefill, kCredit);
    if (!begins && !under_way) return;
    const bool counts = (by_label ? label : sample) >= 0;
    age += counts;
    calm = sample > kCalm || label > kCalm ? 0 : calm + counts;
    const bool passed = calm >= kCalmRecords;
    if (passed && judged_before >= 1) {
        credit -= 1;
        const double* from = kept;
        visit_kept(plan, [&](int64_t to, int count) {
            std::memcpy(row.real(to), from, sizeof(double) * static_cast<size_t>(count));
            from += count;
        });
    }
    if (passed || age > kLongestUpset) age = calm = 0;
}

}  // namespace LIQUID_ISA
}  // namespace liquid
