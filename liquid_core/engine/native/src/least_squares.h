// Recursive least squares with forgetting (learner/rls.py), in float64 whatever the weights are.
//
// A covariance is an upper triangle, row after row: row r holds columns r to the last.
#pragma once

#include "parts.h"

namespace liquid {
namespace LIQUID_ISA {

constexpr double kPrior = 1.0, kMaxStepError = 3.0;

static inline int triangle(int width) { return width * (width + 1) / 2; }

static inline void forget_everything(double* covariance, int width) {
    for (int r = 0; r < width; covariance += width - r, ++r) {
        covariance[0] = kPrior;
        for (int c = 1; c < width - r; ++c) covariance[c] = 0.0;
    }
}

// Where a variance has grown beyond the prior, its row and its column are scaled back. `shrink` is scratch, (width,), with a
// vector of slack.
static inline void cap_variances(double* covariance, int width, double* shrink) {
    constexpr int W = Simd<double>::width;
    double* row = covariance;
    for (int r = 0; r < width; row += width - r, ++r) shrink[r] = row[0] > kPrior ? std::sqrt(kPrior / row[0]) : 1.0;
    row = covariance;
    for (int r = 0; r < width; row += width - r, ++r) {
        const DoubleVector shrink_r = splat(shrink[r]);
        double* entries = row - r;
        int c = r;
        for (; c + W <= width; c += W) store(entries + c, load(entries + c) * shrink_r * load(shrink + c));
        for (; c < width; ++c) entries[c] = entries[c] * shrink[r] * shrink[c];
    }
}

// rls.inflate
static inline void inflate(double* covariance, int width, double factor, double* scratch) {
    for (int i = 0; i < triangle(width); ++i) covariance[i] = covariance[i] * factor;
    cap_variances(covariance, width, scratch);
}

// The covariance times the features. Each entry of the triangle is read once, for its row and for its column.
static inline void see(const double* covariance, const double* features, int width, double* seen) {
    constexpr int W = Simd<double>::width;
    for (int i = 0; i < width; ++i) seen[i] = 0.0;
    for (int r = 0; r < width; covariance += width - r, ++r) {
        const double feature = features[r];
        const DoubleVector features_r = splat(feature);
        DoubleVector total{};
        const double *row = covariance - r, *z = features;
        double rest = row[r] * feature;
        int c = r + 1;
        for (; c + W <= width; c += W) {
            const DoubleVector entries = load(row + c);
            total = fma(entries, load(z + c), total);
            store(seen + c, fma(entries, features_r, load(seen + c)));
        }
        for (; c < width; ++c) {
            rest += row[c] * z[c];
            seen[c] += row[c] * feature;
        }
        seen[r] += rest + sum<double>(total);
    }
}

// rls.gain: the covariance after a sample, in place, and the gain, into `gain`. `seen` is scratch. All (width,), with a
// vector of slack.
static inline void least_squares_gain(double* covariance, const double* features, int width, double forgetting, double curvature,
                                      double* seen, double* gain) {
    constexpr int W = Simd<double>::width;
    see(covariance, features, width, seen);
    double power = forgetting / curvature;
    for (int i = 0; i < width; ++i) power += features[i] * seen[i];
    for (int i = 0; i < width; ++i) gain[i] = seen[i] / power;
    const double inverse = 1.0 / forgetting;
    const DoubleVector inverses = splat(inverse);
    bool sound = true, grown = false;
    double* row = covariance;
    for (int r = 0; r < width; row += width - r, ++r) {
        const DoubleVector gain_r = splat(gain[r]);
        double* entries = row - r;
        int c = r;
        for (; c + W <= width; c += W) store(entries + c, fnma(gain_r, load(seen + c), load(entries + c)) * inverses);
        for (; c < width; ++c) entries[c] = (entries[c] - gain[r] * seen[c]) * inverse;
        sound &= row[0] > 0;
        grown |= row[0] > kPrior;
    }
    if (!sound) {
        forget_everything(covariance, width);
        for (int i = 0; i < width; ++i) gain[i] = 0.0;
        return;
    }
    if (grown) cap_variances(covariance, width, seen);
}

}  // namespace LIQUID_ISA
}  // namespace liquid
