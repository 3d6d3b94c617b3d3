// Liquid time-constant cells, a group of streams side by side: a stream a lane, as many as a vector holds.
//
// The kernel walks the synapses that exist; each is a handful of instructions for all streams of the group.
//
// Groups are packed on the fly: weights come from the streams' rows when a group is bound and when an update has changed
// them, and the gradient goes back for the optimiser, which works on rows. That takes about a fortieth of a step. Groups
// resident in memory would save it, but every stream that comes, goes, is saved or steps alone would have to be moved in or
// out of its lane; a row is copied as it is.
#pragma once

#include "ltc.h"
#include "transpose.h"

namespace liquid {
namespace LIQUID_ISA {

template <class Real>
class LtcGroup {
   public:
    static constexpr int group_size = Simd<Real>::width;
    static constexpr int W = Simd<Real>::width;

    void lay_out(Arena& arena, const Plan& plan) {
        plan_ = &plan;
        const LtcPlan& ltc = plan.ltc;
        const int64_t neurons = ltc.neurons, steps = plan.longest_stretch, solver_steps = steps * ltc.unfolds;
        weights_ = arena.take<Real>(static_cast<int64_t>(plan.num_params) * W);
        gradient_ = arena.take<Real>(static_cast<int64_t>(plan.num_params + W) * W);
        for (int lane = 0; lane < W; ++lane) flat_[lane] = arena.take<Real>(plan.num_params + W);
        for (Kind* kind : {&recurrent_, &sensory_}) {
            const int64_t count = kind == &recurrent_ ? ltc.recurrent.count : ltc.sensory.count;
            for (Real** part : {&kind->slope, &kind->shift, &kind->conductance, &kind->current, &kind->derivative}) {
                *part = arena.take<Real>(count * W);
            }
            kind->gains = arena.take<Real>(count * kGains * W);
        }
        for (Real** part : {&cm_, &cm_slope_, &leak_, &leak_slope_, &leak_conductance_, &leak_current_, &constant_conductance_,
                            &constant_current_, &d_v_, &d_before_, &d_cm_, &d_leak_conductance_, &d_leak_current_,
                            &d_constant_conductance_, &d_constant_current_}) {
            *part = arena.take<Real>(neurons * W);
        }
        for (Real** part : {&d_input_, &d_input_w_, &d_input_b_}) *part = arena.take<Real>(static_cast<int64_t>(plan.inputs) * W);
        d_output_w_ = arena.take<Real>(static_cast<int64_t>(plan.output_size) * W);
        d_output_b_ = arena.take<Real>(static_cast<int64_t>(plan.output_size) * W);
        raw_ = arena.take<Real>(steps * plan.inputs * W);
        mapped_ = arena.take<Real>(steps * plan.inputs * W);
        step_time_ = arena.take<Real>(steps * W);
        v_ = arena.take<Real>((solver_steps + 1) * neurons * W);
        inverse_ = arena.take<Real>(solver_steps * neurons * W);
        d_inflow_ = arena.take<Real>(ltc.unfolds * neurons * 2 * W);
        d_gate_ = arena.take<Real>(static_cast<int64_t>(ltc.unfolds) * ltc.recurrent.count * W);
        const int64_t gates = ltc.unfolds * static_cast<int64_t>(ltc.recurrent.count) + ltc.sensory.count;
        keeps_gates_ = gates * steps * W * static_cast<int64_t>(sizeof(Real)) <= kMaxGateBytes;
        gates_ = arena.take<Real>(gates * (keeps_gates_ ? steps : 1) * W);
    }

    void bind(Seat<Real>* seats, int count) {
        seats_ = seats;
        count_ = count;
        reload();
    }

    // The weights in the rows were changed.
    void reload() {
        const Real* rows[W] = {};
        for (int lane = 0; lane < count_; ++lane) {
            if (seats_[lane].bytes != nullptr) rows[lane] = seats_[lane].row(*plan_).template array<Real>(plan_->at.network_weights);
        }
        pack_rows(rows, plan_->num_params, weights_);
        const LtcPlan& ltc = plan_->ltc;
        make_ready(ltc.recurrent, recurrent_);
        make_ready(ltc.sensory, sensory_);
        for (int j = 0; j < ltc.neurons; ++j) {
            const Softplus<Real> leak = positive<Real>(weight(ltc.gleak + j), ltc.implicit);
            const Softplus<Real> cm = positive<Real>(weight(ltc.cm + j), ltc.implicit);
            set(cm_, j, cm.value);
            set(cm_slope_, j, cm.slope);
            set(leak_, j, leak.value);
            set(leak_slope_, j, leak.slope);
            set(leak_conductance_, j, leak.value + splat(static_cast<Real>(ltc.epsilon)));
            set(leak_current_, j, leak.value * weight(ltc.vleak + j));
        }
    }

    void unroll(const Stretch& stretch) {
        const LtcPlan& ltc = plan_->ltc;
        int skipped = stretch.length;
        for (int lane = 0; lane < W; ++lane) {
            missing_[lane] = 0;
            if (lane >= count_ || !seats_[lane].learns) continue;
            const Row row = seats_[lane].row(*plan_);
            const int64_t first = seats_[lane].anchor + stretch.first;
            missing_[lane] = steps_before_the_first(first, stretch.length);
            skipped = missing_[lane] < skipped ? missing_[lane] : skipped;
            seat_state(lane, first - 1);
            for (int step = 0; step < stretch.length; ++step) {
                const WindowStep<Real> sample = window_step<Real>(row, first + step);
                seat_sample(lane, step, sample.inputs, sample.elapsed);
            }
        }
        skipped_ = skipped;
        AnchorWalk walk = AnchorWalk::forwards(stretch);
        for (int step = skipped_; step < stretch.length; ++step) {
            const int t = step - skipped_;
            const Real* const before = v(t, 0);
            map_inputs(step);
            open_sensory(step, sensory_gates(t));
            solve(step, v(t, 0), inverse(t), recurrent_gates(t));
            hold(step, before, v(t, ltc.unfolds));
            const int anchor = walk.on_to(step);
            if (anchor < 0) continue;
            for (int lane = 0; lane < count_; ++lane) {
                if (seats_[lane].learns) say(lane, v(t, ltc.unfolds), seats_[lane].read + anchor * plan_->output_size);
            }
        }
    }

    void back_through(const Stretch& stretch, bool first) {
        const LtcPlan& ltc = plan_->ltc;
        if (first) forget_gains();
        clear(d_v_, ltc.neurons);
        AnchorWalk walk = AnchorWalk::backwards(stretch);
        for (int step = stretch.length - 1; step >= skipped_; --step) {
            const int t = step - skipped_;
            const int anchor = walk.back_to(step);
            if (anchor >= 0) hear(anchor, v(t, ltc.unfolds));
            // Before its first sample a stream has nothing to learn from.
            const typename Simd<Real>::Mask exists = mask([&](int lane) { return missing_[lane] <= step; });
            for (int j = 0; j < ltc.neurons; ++j) set(d_v_, j, select(exists, at(d_v_, j), Vec<Real>{}));
            if (!keeps_gates_) {
                open_sensory(step, sensory_gates(t));
                reopen(t);
            }
            strain_back(step, t);
            gain_recurrent(t);
            back_to_inputs(step, t);
        }
    }

    // From gains to gradients by the stored weights, in their order, a row a stream.
    void finish() {
        const LtcPlan& ltc = plan_->ltc;
        for (int kind = 0; kind < 2; ++kind) {
            const SynapseList& list = kind == 0 ? ltc.recurrent : ltc.sensory;
            const Kind& synapses = kind == 0 ? recurrent_ : sensory_;
            for (int e = 0; e < list.count; ++e) {
                const SynapseGradient<Real> gradient = divide(gains_at(synapses.gains, e), weight(list.sigma + e), weight(list.erev + e),
                                                              at(synapses.conductance, e), at(synapses.derivative, e));
                set(gradient_, list.sigma + e, gradient.sigma);
                set(gradient_, list.mu + e, gradient.mu);
                set(gradient_, list.w + e, gradient.w);
                set(gradient_, list.erev + e, gradient.erev);
            }
        }
        for (int j = 0; j < ltc.neurons; ++j) {
            const Vec<Real> d_current = at(d_leak_current_, j);
            set(gradient_, ltc.gleak + j,
                fma(weight(ltc.vleak + j), d_current, at(d_leak_conductance_, j)) * at(leak_slope_, j));
            set(gradient_, ltc.vleak + j, at(leak_, j) * d_current);
            set(gradient_, ltc.cm + j, at(d_cm_, j) * at(cm_slope_, j));
        }
        for (int k = 0; k < plan_->inputs; ++k) {
            if (ltc.input_mapping != Mapping::none) set(gradient_, ltc.input_w + k, at(d_input_w_, k));
            if (ltc.input_mapping == Mapping::affine) set(gradient_, ltc.input_b + k, at(d_input_b_, k));
        }
        for (int m = 0; m < plan_->output_size; ++m) {
            if (ltc.output_mapping != Mapping::none) set(gradient_, ltc.output_w + m, at(d_output_w_, m));
            if (ltc.output_mapping == Mapping::affine) set(gradient_, ltc.output_b + m, at(d_output_b_, m));
        }
        unpack_rows(gradient_, plan_->num_params, flat_);
    }

    // They, of one stream, (params,).
    const Real* gradient(int lane) const { return flat_[lane]; }

    void advance() {
        const LtcPlan& ltc = plan_->ltc;
        for (int lane = 0; lane < count_; ++lane) {
            if (!seats_[lane].advances) continue;
            seat_state(lane, *seats_[lane].row(*plan_).integer(plan_->at.stream_samples));
            seat_sample(lane, 0, seats_[lane].inputs, seats_[lane].elapsed);
        }
        skipped_ = 0;
        map_inputs(0);
        open_sensory(0, sensory_gates(0));
        solve(0, v(0, 0), inverse(0), recurrent_gates(0));
        const Real* after = v(0, ltc.unfolds);
        for (int lane = 0; lane < count_; ++lane) {
            if (!seats_[lane].advances) continue;
            for (int j = 0; j < ltc.neurons; ++j) seats_[lane].hidden[j] = after[j * W + lane];
            say(lane, after, seats_[lane].said);
        }
    }

   private:
    // Synapses of one kind, ready to use, and what they gained; all (synapses, W).
    struct Kind {
        Real *slope, *shift, *conductance, *current, *derivative;
        Real* gains;  // (synapses, kGains, W)
    };

    static LIQUID_INLINE Vec<Real> at(const Real* array, int64_t i) { return load(array + i * W); }
    static LIQUID_INLINE void set(Real* array, int64_t i, Vec<Real> value) { store(array + i * W, value); }
    static LIQUID_INLINE void add(Real* array, int64_t i, Vec<Real> value) { set(array, i, at(array, i) + value); }
    static void clear(Real* array, int count) { std::memset(array, 0, sizeof(Real) * static_cast<size_t>(count) * W); }
    LIQUID_INLINE Vec<Real> weight(int64_t i) const { return at(weights_, i); }

    template <class Holds>
    static typename Simd<Real>::Mask mask(Holds holds) {
        typename Simd<Real>::Mask lanes{};
        for (int lane = 0; lane < W; ++lane) lanes[lane] = holds(lane) ? -1 : 0;
        return lanes;
    }

    // Potentials (neurons, W) after `unfold` solver steps of step t; the last of one step are the first of the next.
    Real* v(int t, int unfold) { return v_ + (static_cast<int64_t>(t) * plan_->ltc.unfolds + unfold) * plan_->ltc.neurons * W; }
    Real* inverse(int t) { return inverse_ + static_cast<int64_t>(t) * plan_->ltc.unfolds * plan_->ltc.neurons * W; }
    Real* recurrent_gates(int t) {
        const LtcPlan& ltc = plan_->ltc;
        return gates_ + (keeps_gates_ ? t : 0) * (static_cast<int64_t>(ltc.unfolds) * ltc.recurrent.count + ltc.sensory.count) * W;
    }
    Real* sensory_gates(int t) { return recurrent_gates(t) + static_cast<int64_t>(plan_->ltc.unfolds) * plan_->ltc.recurrent.count * W; }

    // --- in and out of lanes -------------------------------------------------------------------------------------------

    void seat_state(int lane, int64_t number) {
        Real* hidden = seats_[lane].hidden;  // free until the next answer
        read_hidden(seats_[lane].row(*plan_), number, hidden);
        for (int j = 0; j < plan_->ltc.neurons; ++j) v_[j * W + lane] = hidden[j];
    }

    void seat_sample(int lane, int step, const Real* inputs, Real elapsed) {
        Real* to = raw_ + static_cast<int64_t>(step) * plan_->inputs * W + lane;
        for (int k = 0; k < plan_->inputs; ++k) to[k * W] = inputs[k];
        step_time_[step * W + lane] = elapsed / static_cast<Real>(plan_->ltc.unfolds);
    }

    // The cell's output: motor neurons, scaled and shifted.
    void say(int lane, const Real* potentials, Real* said) {
        const LtcPlan& ltc = plan_->ltc;
        for (int m = 0; m < plan_->output_size; ++m) {
            Vec<Real> value = at(potentials, m);
            if (ltc.output_mapping != Mapping::none) value = value * weight(ltc.output_w + m);
            if (ltc.output_mapping == Mapping::affine) value = value + weight(ltc.output_b + m);
            said[m] = value[lane];
        }
    }

    // The loss's gradient by the output, at an anchor.
    void hear(int anchor, const Real* potentials) {
        const LtcPlan& ltc = plan_->ltc;
        for (int m = 0; m < plan_->output_size; ++m) {
            Vec<Real> d{};
            for (int lane = 0; lane < count_; ++lane) {
                if (seats_[lane].learns) d[lane] = seats_[lane].d_read[anchor * plan_->output_size + m];
            }
            if (ltc.output_mapping == Mapping::affine) add(d_output_b_, m, d);
            if (ltc.output_mapping != Mapping::none) {
                set(d_output_w_, m, fma(d, at(potentials, m), at(d_output_w_, m)));
                d = d * weight(ltc.output_w + m);
            }
            add(d_v_, m, d);
        }
    }

    // --- forward -------------------------------------------------------------------------------------------------------

    void make_ready(const SynapseList& list, Kind& kind) {
        for (int e = 0; e < list.count; ++e) {
            const ReadySynapse<Real> synapse = ready<Real>(weight(list.sigma + e), weight(list.mu + e), weight(list.w + e),
                                                           weight(list.erev + e), plan_->ltc.implicit);
            set(kind.slope, e, synapse.slope);
            set(kind.shift, e, synapse.shift);
            set(kind.conductance, e, synapse.conductance);
            set(kind.current, e, synapse.current);
            set(kind.derivative, e, synapse.derivative);
        }
    }

    void map_inputs(int step) {
        const LtcPlan& ltc = plan_->ltc;
        const int64_t from = static_cast<int64_t>(step) * plan_->inputs;
        for (int k = 0; k < plan_->inputs; ++k) {
            Vec<Real> value = at(raw_, from + k);
            if (ltc.input_mapping != Mapping::none) value = value * weight(ltc.input_w + k);
            if (ltc.input_mapping == Mapping::affine) value = value + weight(ltc.input_b + k);
            set(mapped_, from + k, value);
        }
    }

    // What flows into each neuron all the step long: its leak, and the sensory synapses.
    void open_sensory(int step, Real* gates) {
        const SynapseList& list = plan_->ltc.sensory;
        const Real* const mapped = mapped_ + static_cast<int64_t>(step) * plan_->inputs * W;
        const int32_t* const sources = list.source;
        open_gates(sensory_.slope, sensory_.shift, gates, list.count, [=](int e) { return at(mapped, sources[e]); });
        for (int j = 0; j < plan_->ltc.neurons; ++j) {
            Inflow<Real> inflow{at(leak_conductance_, j), at(leak_current_, j)};
            for (int e = list.start[j]; e < list.start[j + 1]; ++e) {
                flow(inflow, at(gates, e), at(sensory_.conductance, e), at(sensory_.current, e));
            }
            set(constant_conductance_, j, inflow.conductance);
            set(constant_current_, j, inflow.current);
        }
    }

    // One step of the cell: `unfolds` steps of the solver, each from the potentials that the last one left.
    void solve(int step, Real* potentials, Real* inverses, Real* gates) {
        const LtcPlan& ltc = plan_->ltc;
        const int32_t *const start = ltc.recurrent.start, *const sources = ltc.recurrent.source;
        const Real *const slope = recurrent_.slope, *const shift = recurrent_.shift;
        const Real *const conductance = recurrent_.conductance, *const current = recurrent_.current;
        const Real *const constant_conductance = constant_conductance_, *const constant_current = constant_current_;
        const Real* const cm = cm_;
        const int neurons = ltc.neurons, unfolds = ltc.unfolds, count = ltc.recurrent.count;
        const bool implicit = ltc.implicit;
        const Vec<Real> step_time = at(step_time_, step);
        for (int u = 0; u < unfolds; ++u) {
            Real* const next = potentials + static_cast<int64_t>(neurons) * W;
            open_gates(slope, shift, gates, count, [=](int e) { return at(potentials, sources[e]); });
            for (int j = 0; j < neurons; ++j) {
                Inflow<Real> inflow{at(constant_conductance, j), at(constant_current, j)};
                const int end = start[j + 1];
                for (int e = start[j]; e < end; ++e) flow(inflow, at(gates, e), at(conductance, e), at(current, e));
                const Relaxed<Real> relaxed = relax<Real>(at(potentials, j), inflow, at(cm, j), step_time, implicit);
                set(next, j, relaxed.v);
                set(inverses, j, relaxed.inverse);
            }
            potentials = next;
            inverses += static_cast<int64_t>(neurons) * W;
            gates += static_cast<int64_t>(count) * W;
        }
    }

    // Streams that had not begun at this step keep the state from before it.
    void hold(int step, const Real* before, Real* after) {
        bool all = true;
        for (int lane = 0; lane < count_; ++lane) all &= missing_[lane] <= step;
        if (all) return;
        const typename Simd<Real>::Mask exists = mask([&](int lane) { return missing_[lane] <= step; });
        for (int j = 0; j < plan_->ltc.neurons; ++j) set(after, j, select(exists, at(after, j), at(before, j)));
    }

    // --- back ----------------------------------------------------------------------------------------------------------

    void forget_gains() {
        const LtcPlan& ltc = plan_->ltc;
        clear(recurrent_.gains, kGains * ltc.recurrent.count);
        clear(sensory_.gains, kGains * ltc.sensory.count);
        for (Real* sums : {d_cm_, d_leak_conductance_, d_leak_current_}) clear(sums, ltc.neurons);
        for (Real* sums : {d_input_w_, d_input_b_}) clear(sums, plan_->inputs);
        for (Real* sums : {d_output_w_, d_output_b_}) clear(sums, plan_->output_size);
    }

    // The recurrent gates of step t, opened anew where they were not kept.
    void reopen(int t) {
        const LtcPlan& ltc = plan_->ltc;
        const SynapseList& list = ltc.recurrent;
        Real* gates = recurrent_gates(t);
        for (int u = 0; u < ltc.unfolds; ++u) {
            const Real* const potentials = v(t, u);
            const int32_t* const sources = list.source;
            open_gates(recurrent_.slope, recurrent_.shift, gates, list.count, [=](int e) { return at(potentials, sources[e]); });
            gates += static_cast<int64_t>(list.count) * W;
        }
    }

    // Back through the solver's steps: d_v_ becomes the gradient by the potentials before the step.
    void strain_back(int step, int t) {
        const LtcPlan& ltc = plan_->ltc;
        const int32_t *const start = ltc.recurrent.start, *const sources = ltc.recurrent.source;
        const Real *const conductance = recurrent_.conductance, *const current = recurrent_.current;
        const Real *const sigma = weights_ + static_cast<int64_t>(ltc.recurrent.sigma) * W, *const cm = cm_;
        Real *const d_cm = d_cm_, *const d_conductance = d_constant_conductance_, *const d_current = d_constant_current_;
        const int neurons = ltc.neurons, count = ltc.recurrent.count;
        const bool implicit = ltc.implicit;
        const Vec<Real> step_time = at(step_time_, step);
        Real *d_after = d_v_, *d_before = d_before_;
        clear(d_conductance, neurons);
        clear(d_current, neurons);
        for (int u = ltc.unfolds - 1; u >= 0; --u) {
            const Real *const before = v(t, u), *const after = v(t, u + 1);
            const Real* const inverses = inverse(t) + static_cast<int64_t>(u) * neurons * W;
            const Real* const gates = recurrent_gates(t) + static_cast<int64_t>(u) * count * W;
            Real* const d_gates = d_gate_ + static_cast<int64_t>(u) * count * W;
            Real* const d_inflows = d_inflow_ + static_cast<int64_t>(u) * neurons * 2 * W;
            for (int j = 0; j < neurons; ++j) {
                const Strained<Real> strained =
                    strain<Real>(at(d_after, j), at(before, j), at(after, j), at(inverses, j), at(cm, j), step_time, implicit);
                set(d_before, j, strained.d_v);
                add(d_cm, j, strained.d_cm);
                add(d_conductance, j, strained.d_inflow.conductance);
                add(d_current, j, strained.d_inflow.current);
                set(d_inflows, 2 * j, strained.d_inflow.conductance);
                set(d_inflows, 2 * j + 1, strained.d_inflow.current);
            }
            for (int j = 0; j < neurons; ++j) {
                const Inflow<Real> d_inflow{at(d_inflows, 2 * j), at(d_inflows, 2 * j + 1)};
                const int end = start[j + 1];
                for (int e = start[j]; e < end; ++e) {
                    const Vec<Real> d_gate = close_gate<Real>(at(gates, e), at(conductance, e), at(current, e), d_inflow);
                    set(d_gates, e, d_gate);
                    const int source = sources[e];
                    set(d_before, source, fma(d_gate, at(sigma, e), at(d_before, source)));
                }
            }
            Real* const swap = d_after;
            d_after = d_before;
            d_before = swap;
        }
        d_v_ = d_after;
        d_before_ = d_before;
    }

    // What the recurrent synapses gain in step t: over all its solver steps at once, so that sums stay in registers.
    void gain_recurrent(int t) {
        const LtcPlan& ltc = plan_->ltc;
        const int32_t *const start = ltc.recurrent.start, *const sources = ltc.recurrent.source;
        const Real *const gates = recurrent_gates(t), *const potentials = v(t, 0), *const d_gates = d_gate_;
        const Real *const d_inflows = d_inflow_, *const mus = weights_ + static_cast<int64_t>(ltc.recurrent.mu) * W;
        Real* const all_gains = recurrent_.gains;
        const int64_t synapses = ltc.recurrent.count, neurons = ltc.neurons;
        const int unfolds = ltc.unfolds;
        for (int j = 0; j < neurons; ++j) {
            const int end = start[j + 1];
            for (int e = start[j]; e < end; ++e) {
                Gains<Real> gains = gains_at(all_gains, e);
                const Vec<Real> mu = at(mus, e);
                const int source = sources[e];
                for (int u = unfolds - 1; u >= 0; --u) {
                    const Real* const d_inflow = d_inflows + 2 * (u * neurons + j) * W;
                    gain(gains, at(gates, u * synapses + e), at(d_gates, u * synapses + e),
                         at(potentials, u * neurons + source) - mu, {at(d_inflow, 0), at(d_inflow, 1)});
                }
                keep_gains(all_gains, e, gains);
            }
        }
    }

    // The way on from what flowed in all the step long: leak, sensory synapses, inputs.
    void back_to_inputs(int step, int t) {
        const LtcPlan& ltc = plan_->ltc;
        const SynapseList& list = ltc.sensory;
        const Real *const gates = sensory_gates(t), *const mapped = mapped_ + static_cast<int64_t>(step) * plan_->inputs * W;
        clear(d_input_, plan_->inputs);
        for (int j = 0; j < ltc.neurons; ++j) {
            const Inflow<Real> d_inflow{at(d_constant_conductance_, j), at(d_constant_current_, j)};
            add(d_leak_conductance_, j, d_inflow.conductance);
            add(d_leak_current_, j, d_inflow.current);
            for (int e = list.start[j]; e < list.start[j + 1]; ++e) {
                const Vec<Real> gate = at(gates, e);
                const Vec<Real> d_gate = close_gate<Real>(gate, at(sensory_.conductance, e), at(sensory_.current, e), d_inflow);
                const int source = list.source[e];
                Gains<Real> gains = gains_at(sensory_.gains, e);
                gain(gains, gate, d_gate, at(mapped, source) - weight(list.mu + e), d_inflow);
                keep_gains(sensory_.gains, e, gains);
                set(d_input_, source, fma(d_gate, weight(list.sigma + e), at(d_input_, source)));
            }
        }
        const Real* const raw = raw_ + static_cast<int64_t>(step) * plan_->inputs * W;
        for (int k = 0; k < plan_->inputs; ++k) {
            if (ltc.input_mapping != Mapping::none) set(d_input_w_, k, fma(at(d_input_, k), at(raw, k), at(d_input_w_, k)));
            if (ltc.input_mapping == Mapping::affine) add(d_input_b_, k, at(d_input_, k));
        }
    }

    static LIQUID_INLINE Gains<Real> gains_at(const Real* gains, int64_t e) {
        return {at(gains, kGains * e), at(gains, kGains * e + 1), at(gains, kGains * e + 2), at(gains, kGains * e + 3)};
    }
    static LIQUID_INLINE void keep_gains(Real* gains, int64_t e, const Gains<Real>& value) {
        set(gains, kGains * e, value.conductance);
        set(gains, kGains * e + 1, value.current);
        set(gains, kGains * e + 2, value.shift);
        set(gains, kGains * e + 3, value.slope);
    }

    static constexpr int kGains = 4;

    const Plan* plan_ = nullptr;
    Seat<Real>* seats_ = nullptr;
    int count_ = 0, skipped_ = 0;
    int missing_[W] = {};
    bool keeps_gates_ = true;
    Kind recurrent_, sensory_;
    Real *weights_, *gradient_, *flat_[W];
    Real *cm_, *cm_slope_, *leak_, *leak_slope_, *leak_conductance_, *leak_current_;
    Real *constant_conductance_, *constant_current_;
    Real *d_v_, *d_before_, *d_cm_, *d_leak_conductance_, *d_leak_current_, *d_constant_conductance_, *d_constant_current_;
    Real *d_input_, *d_input_w_, *d_input_b_, *d_output_w_, *d_output_b_;
    Real *raw_, *mapped_, *step_time_, *v_, *inverse_, *d_inflow_, *d_gate_, *gates_;
};

}  // namespace LIQUID_ISA
}  // namespace liquid
