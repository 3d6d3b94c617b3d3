// A seat: one stream at the kernels' table, with what its current record makes of it.
//
// A network (cfc.h, ltc_chain.h, ltc_group.h) has one seat or as many as there are lanes; what the learner does around
// it is done seat by seat, with the same code whichever network it is.
#pragma once

#include "arena.h"
#include "parts.h"

namespace liquid {
namespace LIQUID_ISA {

template <class Real>
struct Seat {
    uint8_t* bytes = nullptr;  // the row; null where nobody sits here
    int64_t record = -1;       // index into the batch; -1 where there is none this time

    // Settling: targets in the network's terms, and where they can be learned from; both (outputs,).
    double* target;
    uint8_t* scaled;
    int64_t anchor;  // the sample at which targets arrive
    bool learns;

    // The lesson. What the cell said at the anchors of a stretch, and the loss's gradient by it: (anchors, output_size).
    Real *read, *d_read;
    Real* features;  // (horizons, readout features), padded
    Real* error;     // (outputs,)
    Real loss, norm;
    Real* readout;  // (outputs, readout features): the readout after the update
    bool applied;

    // Advancing over a sample.
    bool advances;
    Real *inputs, *hidden, *said;  // (inputs,), (state,), (output_size,)
    Real elapsed;
    double *values, *outputs;  // (features,), (outputs,)
    // Scratch: features, their product with a covariance, and its gain, (readout features,); distances by lag.
    double *wide, *seen, *gain, *lags;
    double* linear;      // what the linear expert said before its update, (outputs,)
    double* covariance;  // of the readout after the update, (horizons, triangle)

    void lay_out(Arena& arena, const Plan& plan) {
        target = arena.take<double>(plan.outputs);
        scaled = arena.take<uint8_t>(plan.outputs);
        read = arena.take<Real>(plan.num_horizons * plan.output_size);
        d_read = arena.take<Real>(plan.num_horizons * plan.output_size);
        features = arena.take<Real>(plan.num_horizons * padded<Real>(plan.readout_features));
        error = arena.take<Real>(plan.outputs);
        readout = arena.take<Real>(static_cast<int64_t>(plan.outputs) * plan.readout_features);
        inputs = arena.take<Real>(plan.inputs);
        hidden = arena.take<Real>(plan.state_size);
        said = arena.take<Real>(plan.output_size);
        values = arena.take<double>(plan.features);
        outputs = arena.take<double>(plan.outputs);
        int width = plan.readout_features > kAutoregressionWidth ? plan.readout_features : kAutoregressionWidth;
        width = width > plan.linear_features ? width : plan.linear_features;
        linear = arena.take<double>(plan.outputs);
        for (double** scratch : {&wide, &seen, &gain}) *scratch = arena.take<double>(width);
        lags = arena.take<double>(plan.season_length);
        const int64_t entries = static_cast<int64_t>(plan.readout_features) * (plan.readout_features + 1) / 2;
        covariance = arena.take<double>(plan.exact_readout ? plan.num_horizons * entries : 0);
    }

    Row row(const Plan& plan) const { return Row{plan, bytes}; }
};

// One sample of a window, where it lies in a row.
template <class Real>
struct WindowStep {
    const Real* inputs;
    Real elapsed;
};

template <class Real>
static inline WindowStep<Real> window_step(const Row& row, int64_t number) {
    const Plan& plan = row.plan;
    const int64_t slot = modulo(number, plan.window_length);
    return {row.array<Real>(plan.at.window_inputs) + slot * plan.inputs, row.array<Real>(plan.at.window_elapsed)[slot]};
}

// Goes along a stretch, step by step in either direction, and tells at which of its anchors it is; -1 at none.
class AnchorWalk {
   public:
    AnchorWalk(const Stretch& stretch, int start) : stretch_(stretch), next_(start) {}
    static AnchorWalk forwards(const Stretch& stretch) { return {stretch, 0}; }
    static AnchorWalk backwards(const Stretch& stretch) { return {stretch, stretch.num_anchors - 1}; }

    int on_to(int step) {
        while (next_ < stretch_.num_anchors && stretch_.anchors[next_] < step) ++next_;
        return at(step);
    }
    int back_to(int step) {
        while (next_ >= 0 && stretch_.anchors[next_] > step) --next_;
        return at(step);
    }

   private:
    int at(int step) const {
        return next_ >= 0 && next_ < stretch_.num_anchors && stretch_.anchors[next_] == step ? next_ : -1;
    }

    const Stretch& stretch_;
    int next_;
};

// How many steps of a stretch lie before the stream's first sample; `first`: the number of the stretch's first one.
static inline int steps_before_the_first(int64_t first, int length) {
    const int64_t before = 1 - first;
    return static_cast<int>(before < 0 ? 0 : before > length ? length : before);
}

// The hidden state after sample `number`; zeros before the stream began.
template <class Real>
static inline void read_hidden(const Row& row, int64_t number, Real* hidden) {
    const Plan& plan = row.plan;
    if (number < 1) {
        std::memset(hidden, 0, sizeof(Real) * static_cast<size_t>(plan.state_size));
        return;
    }
    const int64_t slot = modulo(number, plan.window_length);
    std::memcpy(hidden, row.array<Real>(plan.at.window_hidden) + slot * plan.state_size,
                sizeof(Real) * static_cast<size_t>(plan.state_size));
}

}  // namespace LIQUID_ISA
}  // namespace liquid
