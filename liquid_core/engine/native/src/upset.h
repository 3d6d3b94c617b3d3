// Values far beyond everything so far, and what was usual before them (learner/upset.py). One stream, float64.
#pragma once

#include <cstring>

#include "parts.h"

namespace liquid {
namespace LIQUID_ISA {

constexpr double kWild = 50.0, kCalm = 10.0, kCredit = 3.0, kRefill = 1.0 / 20000.0, kMostOwed = 8.0;
constexpr int64_t kFirstWild = 50, kCalmRecords = 16, kLongestUpset = 1000;
constexpr double kMostCalm = kCalmRecords * (int64_t{1} << (1 + static_cast<int>(kMostOwed)));

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
    int64_t &age = *row.integer(at.upset_age), &calm = *row.integer(at.upset_calm), &broken = *row.integer(at.upset_broken);
    uint8_t& by_label = *row.array<uint8_t>(at.upset_by_label);
    double &credit = *row.real(at.upset_credit), *kept = row.real(at.upset_kept);
    // Where what was usual begins in what is kept.
    const int features = plan.features, tracks = plan.tracks;
    const double *of_sample = kept, *of_label = kept + 3 * features + plan.outputs;
    const bool under_way = age > 0, may_begin = age == 0 || age > kLongestUpset;
    const auto of_x = [&](const double* means, const double* variances) {
        return x ? farthest(x, features, row.integer(at.scaler_count), means, variances) : -1.0;
    };
    const auto of_y = [&](const double* means, const double* variances) {
        return y ? farthest(y, tracks, row.integer(at.history_count), means, variances) : -1.0;
    };
    double sample = -1.0, label = -1.0;
    bool begins = false;
    if (may_begin) {
        sample = of_x(row.real(at.scaler_mean), row.real(at.scaler_variance));
        label = of_y(row.real(at.history_mean), row.real(at.history_variance));
        begins = sample > kWild || label > kWild;
    }
    if (begins) {
        by_label = !(sample > kWild);
        age = calm = broken = 0;
        double* to = kept;
        visit_kept(plan, [&](int64_t from, int count) {
            std::memcpy(to, row.real(from), sizeof(double) * static_cast<size_t>(count));
            to += count;
        });
    } else if (under_way) {
        sample = of_x(of_sample, of_sample + features);
        label = of_y(of_label, of_label + tracks);
    }
    const double judged_before = credit;
    if (sample >= 0 || label >= 0) credit = smaller(credit + kRefill, kCredit);
    if (!begins && !under_way) return;
    const bool counts = (by_label ? label : sample) >= 0;
    const bool rough = sample > kCalm || label > kCalm;
    if (counts) age = rough || age <= 1 ? age + rough : age - 1;
    if (rough && calm > broken) broken = calm;
    calm = rough ? 0 : calm + counts;
    const double by_credit = kCalmRecords * std::exp2(larger(std::ceil(1.0 - judged_before), 0.0));
    if (static_cast<double>(calm) >= smaller(larger(by_credit, 2.0 * static_cast<double>(broken)), kMostCalm)) {
        age = calm = broken = 0;
        credit = larger(credit - 1.0, -kMostOwed);
        const double* from = kept;
        visit_kept(plan, [&](int64_t to, int count) {
            std::memcpy(row.real(to), from, sizeof(double) * static_cast<size_t>(count));
            from += count;
        });
    }
}

}  // namespace LIQUID_ISA
}  // namespace liquid
