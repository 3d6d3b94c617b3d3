// Holds the vector primitives to plain loops and to the C library; prints what differs and fails.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>

#include "dense.h"
#include "elementary.h"
#include "transpose.h"

using namespace liquid::LIQUID_ISA;

static int failures = 0;

static void expect(bool holds, const char* what, double found, double wanted) {
    if (holds) return;
    ++failures;
    std::printf("%s: %.17g instead of %.17g\n", what, found, wanted);
}

static double uniform(double low, double high) { return low + (high - low) * (std::rand() / (RAND_MAX + 1.0)); }

template <class Real>
static void near(const char* what, Real found, double wanted, double tolerance) {
    expect(std::fabs(static_cast<double>(found) - wanted) <= tolerance * (1e-3 + std::fabs(wanted)), what,
           static_cast<double>(found), wanted);
}

template <class Real>
static void check_elementary(double tolerance) {
    constexpr int width = Simd<Real>::width;
    for (int round = 0; round < 20000; ++round) {
        Real x[width], y[width];
        for (Real& value : x) value = static_cast<Real>(uniform(-1, 1) * std::pow(10.0, uniform(-6, 2)));
        store(y, tanh<Real>(load(x)));
        for (int i = 0; i < width; ++i) near("tanh", y[i], std::tanh(static_cast<double>(x[i])), tolerance);
        store(y, sigmoid<Real>(load(x)));
        for (int i = 0; i < width; ++i) {
            if (x[i] > -80) near("sigmoid", y[i], 1 / (1 + std::exp(-static_cast<double>(x[i]))), 8 * tolerance);
        }
        const Softplus<Real> soft = softplus<Real>(load(x));
        store(y, soft.value);
        for (int i = 0; i < width; ++i) {
            const double v = static_cast<double>(x[i]);
            near("softplus", y[i], v > 20 ? v : std::log1p(std::exp(v)), 8 * tolerance);
        }
        store(y, soft.slope);
        for (int i = 0; i < width; ++i) {
            const double v = static_cast<double>(x[i]);
            near("softplus's slope", y[i], v > 20 ? 1 : 1 / (1 + std::exp(-v)), 8 * tolerance);
        }
        Vec<Real> a = load(x), b = a * splat(Real(0.5)), gate = a;
        two_tanhs_and_a_sigmoid<Real>(a, b, gate);
        store(y, a - tanh<Real>(load(x)));
        for (Real value : y) expect(value == 0, "tanh in company", static_cast<double>(value), 0);
        store(y, gate - sigmoid<Real>(load(x)));
        for (Real value : y) expect(value == 0, "sigmoid in company", static_cast<double>(value), 0);
    }
    const Real none = static_cast<Real>(NAN);
    Real y[width];
    store(y, tanh<Real>(splat(none)) + sigmoid<Real>(splat(none)) + softplus<Real>(splat(none)).value + clamp(splat(none), Real(1)));
    for (Real value : y) expect(value != value, "a function of what is no number", static_cast<double>(value), NAN);
    for (const double far : {1e30, -1e30, HUGE_VAL, -HUGE_VAL}) {
        store(y, tanh<Real>(splat(static_cast<Real>(far))));
        for (Real value : y) near("tanh far out", value, far > 0 ? 1 : -1, tolerance);
        store(y, sigmoid<Real>(splat(static_cast<Real>(far))));
        for (Real value : y) expect(value >= 0 && value <= 1 && (value > 0.5) == (far > 0), "sigmoid far out", value, far);
    }
}

template <class Real>
static void check_vectors(double tolerance) {
    constexpr int width = Simd<Real>::width;
    Real entries[width * width], back[width * width], row[width + 1];
    for (Real& value : entries) value = static_cast<Real>(uniform(-1, 1));
    Vec<Real> square[width];
    for (int i = 0; i < width; ++i) square[i] = load(entries + i * width);
    transpose<Real>(square);
    for (int i = 0; i < width; ++i) store(back + i * width, square[i]);
    for (int i = 0; i < width; ++i) {
        for (int j = 0; j < width; ++j) {
            expect(back[j * width + i] == entries[i * width + j], "transpose", back[j * width + i], entries[i * width + j]);
        }
    }
    int32_t places[width];
    for (int i = 0; i < width; ++i) places[i] = (7 * i + 3) % (width * width);
    store(row, gather<Real>(entries, places));
    for (int i = 0; i < width; ++i) expect(row[i] == entries[places[i]], "gather", row[i], entries[places[i]]);
    for (int count = 0; count < width; ++count) {
        store(row, load_part(entries, count));
        for (int i = 0; i < width; ++i) expect(row[i] == (i < count ? entries[i] : 0), "load_part", row[i], entries[i]);
        for (int i = 0; i <= width; ++i) row[i] = Real(9);
        store_part(row, load(entries), count);
        for (int i = 0; i <= width; ++i) expect(row[i] == (i < count ? entries[i] : 9), "store_part", row[i], entries[i]);
    }
    store(row, sqrt(absolute(load(entries))));
    for (int i = 0; i < width; ++i) near("sqrt", row[i], std::sqrt(std::fabs(static_cast<double>(entries[i]))), tolerance);
    store(row, fma(load(entries), splat(Real(3)), splat(Real(0.5))));
    for (int i = 0; i < width; ++i) near("fma", row[i], 3 * static_cast<double>(entries[i]) + 0.5, 4 * tolerance);
    double total = 0;
    for (int i = 0; i < width; ++i) total += static_cast<double>(entries[i]);
    expect(std::fabs(static_cast<double>(sum<Real>(load(entries))) - total) < 50 * tolerance, "sum", 0, total);
}

// A linear map and its gradients, at sizes that fill vectors and at sizes that do not.
template <class Real>
static void check_dense(double tolerance) {
    constexpr int most = 150;
    static Real weights[most * most + 2 * most], z[4 * most], y[most], dy[4 * most], dz[most], gradient[most * most + 2 * most];
    for (const int inputs : {1, 2, 7, 8, 9, 41}) {
        for (const int outputs : {1, 5, 16, 76, 128}) {
            const int stride = padded<Real>(outputs), steps = 3;
            const liquid::Linear map{inputs, outputs, stride, 0, inputs * stride};
            for (Real& value : weights) value = Real(0);
            for (int k = 0; k <= inputs; ++k) {
                for (int o = 0; o < outputs; ++o) weights[k * stride + o] = static_cast<Real>(uniform(-1, 1));
            }
            for (Real& value : z) value = static_cast<Real>(uniform(-1, 1));
            for (int i = 0; i < 4 * most; ++i) dy[i] = i % stride < outputs ? static_cast<Real>(uniform(-1, 1)) : Real(0);
            for (int turn = 0; turn < 2; ++turn) {
                affine(map, weights, z, y, turn);
                back(map, weights, dy, 0, dz, turn);
                for (int o = 0; o < outputs; ++o) {
                    double wanted = static_cast<double>(weights[map.biases + o]);
                    for (int k = 0; k < inputs; ++k) wanted += static_cast<double>(weights[k * stride + o]) * static_cast<double>(z[k]);
                    expect(std::fabs(static_cast<double>(y[o]) - wanted) < 100 * tolerance, "affine", y[o], wanted);
                }
                for (int k = 0; k < inputs; ++k) {
                    double wanted = 0;
                    for (int o = 0; o < outputs; ++o) wanted += static_cast<double>(weights[k * stride + o]) * static_cast<double>(dy[o]);
                    expect(std::fabs(static_cast<double>(dz[k]) - wanted) < 200 * tolerance, "back", dz[k], wanted);
                }
            }
            const bool fits = steps * stride <= 4 * most;
            for (int again = 0; fits && again < 2; ++again) {
                weight_gradient(map, z, inputs, dy, steps, gradient, again == 1);
                for (int k = 0; k <= inputs; ++k) {
                    for (int o = 0; o < outputs; ++o) {
                        double wanted = 0;
                        for (int t = 0; t < steps; ++t) {
                            wanted += (k < inputs ? static_cast<double>(z[t * inputs + k]) : 1.0) * static_cast<double>(dy[t * stride + o]);
                        }
                        wanted *= again + 1;
                        expect(std::fabs(static_cast<double>(gradient[k * stride + o]) - wanted) < 50 * tolerance, "weight gradient",
                               gradient[k * stride + o], wanted);
                    }
                }
            }
        }
    }
}

int main() {
    check_elementary<float>(2.5e-7);
    check_elementary<double>(1e-15);
    check_vectors<float>(2.5e-7);
    check_vectors<double>(1e-15);
    check_dense<float>(2.5e-7);
    check_dense<double>(1e-15);
    if (failures == 0) std::puts("all of it holds");
    return failures == 0 ? 0 : 1;
}
