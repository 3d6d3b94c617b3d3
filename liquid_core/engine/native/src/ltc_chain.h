// Liquid time-constant cells, one stream at a time: neurons side by side in vectors.
//
// For streams that have no company: a group of lanes would be idle but for one. Synapses are walked in rounds: round r
// holds the r-th synapse onto each neuron of a vector, so that a neuron's sums have the order that they have in a group.
// Neurons are sorted by how many synapses they have, which leaves few places empty; an empty place conducts nothing.
#pragma once

#include "ltc.h"

namespace liquid {
namespace LIQUID_ISA {

template <class Real>
class LtcChain {
   public:
    static constexpr int group_size = 1;
    static constexpr int W = Simd<Real>::width;

    void lay_out(Arena& arena, const Plan& plan) {
        plan_ = &plan;
        const LtcPlan& ltc = plan.ltc;
        const int64_t neurons = ltc.padded_neurons, inputs = ltc.padded_inputs, steps = plan.longest_stretch;
        const int64_t solver_steps = steps * ltc.unfolds;
        flat_ = arena.take<Real>(plan.num_params + W);
        for (Kind* kind : {&recurrent_, &sensory_}) {
            const int64_t places = (kind == &recurrent_ ? ltc.recurrent_rounds : ltc.sensory_rounds).places;
            for (Real** part : {&kind->sigma, &kind->mu, &kind->erev, &kind->slope, &kind->shift, &kind->conductance,
                                &kind->current, &kind->derivative, &kind->gain_conductance, &kind->gain_current,
                                &kind->gain_shift, &kind->gain_slope}) {
                *part = arena.take<Real>(places + W);
            }
        }
        for (Real** part : {&gleak_, &vleak_, &raw_cm_, &cm_, &cm_slope_, &leak_, &leak_slope_, &leak_conductance_, &leak_current_,
                            &constant_conductance_, &constant_current_, &d_v_, &d_before_, &d_cm_, &d_leak_conductance_,
                            &d_leak_current_, &d_constant_conductance_, &d_constant_current_}) {
            *part = arena.take<Real>(neurons + W);
        }
        for (Real** part : {&input_w_, &input_b_, &d_input_, &d_input_w_, &d_input_b_}) *part = arena.take<Real>(inputs + W);
        d_output_w_ = arena.take<Real>(plan.output_size);
        d_output_b_ = arena.take<Real>(plan.output_size);
        // An entry behind the last input and neuron stays zero: the source of places without a synapse.
        raw_ = arena.take<Real>(steps * (inputs + W));
        mapped_ = arena.take<Real>(steps * (inputs + W));
        step_time_ = arena.take<Real>(steps);
        v_ = arena.take<Real>((solver_steps + 1) * (neurons + W));
        inverse_ = arena.take<Real>(solver_steps * neurons);
        d_conductance_ = arena.take<Real>(ltc.unfolds * neurons);
        d_current_ = arena.take<Real>(ltc.unfolds * neurons);
        d_gate_ = arena.take<Real>(ltc.unfolds * static_cast<int64_t>(ltc.recurrent_rounds.places + W));
        d_sensory_gate_ = arena.take<Real>(ltc.sensory_rounds.places + W);
        const int64_t gates = ltc.unfolds * static_cast<int64_t>(ltc.recurrent_rounds.places) + ltc.sensory_rounds.places;
        keeps_gates_ = gates * steps * static_cast<int64_t>(sizeof(Real)) <= kMaxGateBytes;
        gates_ = arena.take<Real>(gates * (keeps_gates_ ? steps : 1));
    }

    void bind(Seat<Real>* seats, int) {
        seat_ = seats;
        reload();
    }

    // The weights in the row were changed.
    void reload() {
        const LtcPlan& ltc = plan_->ltc;
        const Real* stored = weights();
        make_ready(ltc.recurrent, ltc.recurrent_rounds, recurrent_, stored);
        make_ready(ltc.sensory, ltc.sensory_rounds, sensory_, stored);
        for (int j = 0; j < ltc.neurons; ++j) {
            const int place = ltc.position[j];
            gleak_[place] = stored[ltc.gleak + j];
            vleak_[place] = stored[ltc.vleak + j];
            raw_cm_[place] = stored[ltc.cm + j];
        }
        for (int j = 0; j < ltc.padded_neurons; j += W) {
            const Softplus<Real> leak = positive<Real>(load(gleak_ + j), ltc.implicit);
            const Softplus<Real> cm = positive<Real>(load(raw_cm_ + j), ltc.implicit);
            store(cm_ + j, cm.value);
            store(cm_slope_ + j, cm.slope);
            store(leak_ + j, leak.value);
            store(leak_slope_ + j, leak.slope);
            store(leak_conductance_ + j, leak.value + splat(static_cast<Real>(ltc.epsilon)));
            store(leak_current_ + j, leak.value * load(vleak_ + j));
        }
        for (int k = 0; k < plan_->inputs; ++k) {
            input_w_[k] = ltc.input_mapping != Mapping::none ? stored[ltc.input_w + k] : Real(1);
            input_b_[k] = ltc.input_mapping == Mapping::affine ? stored[ltc.input_b + k] : Real(0);
        }
    }

    void unroll(const Stretch& stretch) {
        const LtcPlan& ltc = plan_->ltc;
        const Row row = seat_->row(*plan_);
        const int64_t first = seat_->anchor + stretch.first;
        skipped_ = steps_before_the_first(first, stretch.length);
        seat_state(first + skipped_ - 1);
        AnchorWalk walk = AnchorWalk::forwards(stretch);
        for (int step = skipped_; step < stretch.length; ++step) {
            const int t = step - skipped_;
            const WindowStep<Real> sample = window_step<Real>(row, first + step);
            seat_sample(t, sample.inputs, sample.elapsed);
            solve(t);
            const int anchor = walk.on_to(step);
            if (anchor >= 0) say(v(t, ltc.unfolds), seat_->read + anchor * plan_->output_size);
        }
    }

    void back_through(const Stretch& stretch, bool first) {
        const LtcPlan& ltc = plan_->ltc;
        if (first) forget_gains();
        clear(d_v_, ltc.padded_neurons);
        AnchorWalk walk = AnchorWalk::backwards(stretch);
        for (int step = stretch.length - 1; step >= skipped_; --step) {
            const int t = step - skipped_;
            const int anchor = walk.back_to(step);
            if (anchor >= 0) hear(anchor, v(t, ltc.unfolds));
            if (!keeps_gates_) reopen(t);
            strain_back(t);
            gain_recurrent(t);
            back_to_inputs(t);
        }
    }

    // From gains to gradients by the stored weights, in their order.
    void finish() {
        const LtcPlan& ltc = plan_->ltc;
        for (int which = 0; which < 2; ++which) {
            const SynapseList& list = which == 0 ? ltc.recurrent : ltc.sensory;
            const SynapseRounds& rounds = which == 0 ? ltc.recurrent_rounds : ltc.sensory_rounds;
            const Kind& kind = which == 0 ? recurrent_ : sensory_;
            for (int i = 0; i < rounds.places; i += W) {
                const SynapseGradient<Real> gradient = divide(gains_at(kind, i), load(kind.sigma + i), load(kind.erev + i),
                                                              load(kind.conductance + i), load(kind.derivative + i));
                for (int lane = 0; lane < W; ++lane) {
                    const int e = rounds.synapse[i + lane];
                    if (e < 0) continue;
                    flat_[list.sigma + e] = gradient.sigma[lane];
                    flat_[list.mu + e] = gradient.mu[lane];
                    flat_[list.w + e] = gradient.w[lane];
                    flat_[list.erev + e] = gradient.erev[lane];
                }
            }
        }
        for (int i = 0; i < ltc.padded_neurons; i += W) {
            const Vec<Real> d_current = load(d_leak_current_ + i);
            const Vec<Real> d_gleak = fma(load(vleak_ + i), d_current, load(d_leak_conductance_ + i)) * load(leak_slope_ + i);
            const Vec<Real> d_vleak = load(leak_ + i) * d_current, d_cm = load(d_cm_ + i) * load(cm_slope_ + i);
            for (int lane = 0; lane < W; ++lane) {
                const int j = ltc.neuron[i + lane];
                if (j < 0) continue;
                flat_[ltc.gleak + j] = d_gleak[lane];
                flat_[ltc.vleak + j] = d_vleak[lane];
                flat_[ltc.cm + j] = d_cm[lane];
            }
        }
        const size_t inputs = sizeof(Real) * static_cast<size_t>(plan_->inputs);
        const size_t outputs = sizeof(Real) * static_cast<size_t>(plan_->output_size);
        if (ltc.input_mapping != Mapping::none) std::memcpy(flat_ + ltc.input_w, d_input_w_, inputs);
        if (ltc.input_mapping == Mapping::affine) std::memcpy(flat_ + ltc.input_b, d_input_b_, inputs);
        if (ltc.output_mapping != Mapping::none) std::memcpy(flat_ + ltc.output_w, d_output_w_, outputs);
        if (ltc.output_mapping == Mapping::affine) std::memcpy(flat_ + ltc.output_b, d_output_b_, outputs);
    }

    // They, (params,).
    const Real* gradient(int) const { return flat_; }

    void advance() {
        if (!seat_->advances) return;
        const LtcPlan& ltc = plan_->ltc;
        seat_state(*seat_->row(*plan_).integer(plan_->at.stream_samples));
        seat_sample(0, seat_->inputs, seat_->elapsed);
        solve(0);
        const Real* after = v(0, ltc.unfolds);
        for (int j = 0; j < ltc.neurons; ++j) seat_->hidden[j] = after[ltc.position[j]];
        say(after, seat_->said);
    }

   private:
    // Synapses of one kind in their places, as they are stored, ready to use, and what they gained.
    struct Kind {
        Real *sigma, *mu, *erev, *slope, *shift, *conductance, *current, *derivative;
        Real *gain_conductance, *gain_current, *gain_shift, *gain_slope;
    };

    static void clear(Real* array, int64_t count) { std::memset(array, 0, sizeof(Real) * static_cast<size_t>(count)); }
    const Real* weights() const { return seat_->row(*plan_).template array<Real>(plan_->at.network_weights); }

    // Potentials by position after `unfold` solver steps of step t; the last of one step are the first of the next.
    Real* v(int t, int unfold) {
        const LtcPlan& ltc = plan_->ltc;
        return v_ + (static_cast<int64_t>(t) * ltc.unfolds + unfold) * (ltc.padded_neurons + W);
    }
    Real* inverse(int t) { return inverse_ + static_cast<int64_t>(t) * plan_->ltc.unfolds * plan_->ltc.padded_neurons; }
    Real* recurrent_gates(int t) {
        const LtcPlan& ltc = plan_->ltc;
        const int64_t gates = static_cast<int64_t>(ltc.unfolds) * ltc.recurrent_rounds.places + ltc.sensory_rounds.places;
        return gates_ + (keeps_gates_ ? t : 0) * gates;
    }
    Real* sensory_gates(int t) {
        return recurrent_gates(t) + static_cast<int64_t>(plan_->ltc.unfolds) * plan_->ltc.recurrent_rounds.places;
    }
    Real* raw(int t) { return raw_ + static_cast<int64_t>(t) * (plan_->ltc.padded_inputs + W); }
    Real* mapped(int t) { return mapped_ + static_cast<int64_t>(t) * (plan_->ltc.padded_inputs + W); }

    // --- in and out ----------------------------------------------------------------------------------------------------

    void seat_state(int64_t number) {
        Real* hidden = seat_->hidden;  // free until the next answer
        read_hidden(seat_->row(*plan_), number, hidden);
        for (int j = 0; j < plan_->ltc.neurons; ++j) v_[plan_->ltc.position[j]] = hidden[j];
    }

    void seat_sample(int t, const Real* inputs, Real elapsed) {
        const LtcPlan& ltc = plan_->ltc;
        std::memcpy(raw(t), inputs, sizeof(Real) * static_cast<size_t>(plan_->inputs));
        for (int k = 0; k < plan_->inputs; ++k) {
            Real value = inputs[k];
            if (ltc.input_mapping != Mapping::none) value = value * input_w_[k];
            if (ltc.input_mapping == Mapping::affine) value = value + input_b_[k];
            mapped(t)[k] = value;
        }
        step_time_[t] = elapsed / static_cast<Real>(ltc.unfolds);
    }

    void say(const Real* potentials, Real* said) {
        const LtcPlan& ltc = plan_->ltc;
        const Real* stored = weights();
        for (int m = 0; m < plan_->output_size; ++m) {
            Real value = potentials[ltc.position[m]];
            if (ltc.output_mapping != Mapping::none) value = value * stored[ltc.output_w + m];
            if (ltc.output_mapping == Mapping::affine) value = value + stored[ltc.output_b + m];
            said[m] = value;
        }
    }

    void hear(int anchor, const Real* potentials) {
        const LtcPlan& ltc = plan_->ltc;
        const Real* stored = weights();
        for (int m = 0; m < plan_->output_size; ++m) {
            Real d = seat_->d_read[anchor * plan_->output_size + m];
            if (ltc.output_mapping == Mapping::affine) d_output_b_[m] += d;
            if (ltc.output_mapping != Mapping::none) {
                d_output_w_[m] = fma(splat(d), splat(potentials[ltc.position[m]]), splat(d_output_w_[m]))[0];
                d = d * stored[ltc.output_w + m];
            }
            d_v_[ltc.position[m]] += d;
        }
    }

    // --- forward -------------------------------------------------------------------------------------------------------

    void make_ready(const SynapseList& list, const SynapseRounds& rounds, Kind& kind, const Real* stored) {
        for (int i = 0; i < rounds.places; ++i) {
            const int e = rounds.synapse[i];
            kind.sigma[i] = e < 0 ? Real(0) : stored[list.sigma + e];
            kind.mu[i] = e < 0 ? Real(0) : stored[list.mu + e];
            kind.conductance[i] = e < 0 ? Real(0) : stored[list.w + e];
            kind.erev[i] = e < 0 ? Real(0) : stored[list.erev + e];
        }
        for (int i = 0; i < rounds.places; i += W) {
            typename Simd<Real>::Mask there;
            for (int lane = 0; lane < W; ++lane) there[lane] = rounds.synapse[i + lane] < 0 ? 0 : -1;
            const ReadySynapse<Real> synapse = ready<Real>(load(kind.sigma + i), load(kind.mu + i), load(kind.conductance + i),
                                                           load(kind.erev + i), plan_->ltc.implicit);
            store(kind.slope + i, synapse.slope);
            store(kind.shift + i, synapse.shift);
            store(kind.conductance + i, select(there, synapse.conductance, Vec<Real>{}));
            store(kind.current + i, synapse.current);
            store(kind.derivative + i, synapse.derivative);
        }
    }

    // Opens the gates of all synapses of a kind.
    void open(const SynapseRounds& rounds, const Kind& kind, const Real* sources, Real* gates) {
        const int32_t* const places = rounds.source;
        open_gates(kind.slope, kind.shift, gates, rounds.places / W, [=](int i) { return gather<Real>(sources, places + i * W); });
    }

    // What flows into a vector of neurons through its synapses, besides what is there.
    LIQUID_INLINE void flow_in(const SynapseRounds& rounds, const Kind& kind, int vector, const Real* gates, Inflow<Real>& inflow) {
        const int end = rounds.first_round[vector + 1] * W;
        for (int i = rounds.first_round[vector] * W; i < end; i += W) {
            flow(inflow, load(gates + i), load(kind.conductance + i), load(kind.current + i));
        }
    }

    void solve(int t) {
        const LtcPlan& ltc = plan_->ltc;
        Real *potentials = v(t, 0), *inverses = inverse(t), *gates = recurrent_gates(t);
        const Vec<Real> step_time = splat(step_time_[t]);
        const int vectors = ltc.padded_neurons / W;
        open(ltc.sensory_rounds, sensory_, mapped(t), sensory_gates(t));
        for (int n = 0; n < vectors; ++n) {
            Inflow<Real> inflow{load(leak_conductance_ + n * W), load(leak_current_ + n * W)};
            flow_in(ltc.sensory_rounds, sensory_, n, sensory_gates(t), inflow);
            store(constant_conductance_ + n * W, inflow.conductance);
            store(constant_current_ + n * W, inflow.current);
        }
        for (int u = 0; u < ltc.unfolds; ++u) {
            Real* next = potentials + ltc.padded_neurons + W;
            open(ltc.recurrent_rounds, recurrent_, potentials, gates);
            for (int n = 0; n < vectors; ++n) {
                const int j = n * W;
                Inflow<Real> inflow{load(constant_conductance_ + j), load(constant_current_ + j)};
                flow_in(ltc.recurrent_rounds, recurrent_, n, gates, inflow);
                const Relaxed<Real> relaxed = relax<Real>(load(potentials + j), inflow, load(cm_ + j), step_time, ltc.implicit);
                store(next + j, relaxed.v);
                store(inverses + j, relaxed.inverse);
            }
            potentials = next;
            inverses += ltc.padded_neurons;
            gates += ltc.recurrent_rounds.places;
        }
    }

    // The gates of step t, opened anew where they were not kept.
    void reopen(int t) {
        const LtcPlan& ltc = plan_->ltc;
        open(ltc.sensory_rounds, sensory_, mapped(t), sensory_gates(t));
        for (int u = 0; u < ltc.unfolds; ++u) {
            open(ltc.recurrent_rounds, recurrent_, v(t, u),
                 recurrent_gates(t) + static_cast<int64_t>(u) * ltc.recurrent_rounds.places);
        }
    }

    // --- back ----------------------------------------------------------------------------------------------------------

    void forget_gains() {
        const LtcPlan& ltc = plan_->ltc;
        for (Kind* kind : {&recurrent_, &sensory_}) {
            const int places = (kind == &recurrent_ ? ltc.recurrent_rounds : ltc.sensory_rounds).places;
            for (Real* gains : {kind->gain_conductance, kind->gain_current, kind->gain_shift, kind->gain_slope}) clear(gains, places);
        }
        for (Real* sums : {d_cm_, d_leak_conductance_, d_leak_current_}) clear(sums, ltc.padded_neurons);
        for (Real* sums : {d_input_w_, d_input_b_}) clear(sums, ltc.padded_inputs);
        for (Real* sums : {d_output_w_, d_output_b_}) clear(sums, plan_->output_size);
    }

    void strain_back(int t) {
        const LtcPlan& ltc = plan_->ltc;
        const SynapseRounds& rounds = ltc.recurrent_rounds;
        const Vec<Real> step_time = splat(step_time_[t]);
        const int vectors = ltc.padded_neurons / W;
        clear(d_constant_conductance_, ltc.padded_neurons);
        clear(d_constant_current_, ltc.padded_neurons);
        for (int u = ltc.unfolds - 1; u >= 0; --u) {
            const Real *before = v(t, u), *after = v(t, u + 1);
            const Real* inverses = inverse(t) + static_cast<int64_t>(u) * ltc.padded_neurons;
            const Real* gates = recurrent_gates(t) + static_cast<int64_t>(u) * rounds.places;
            Real* d_gates = d_gate_ + static_cast<int64_t>(u) * (rounds.places + W);
            Real *d_conductances = d_conductance_ + u * ltc.padded_neurons, *d_currents = d_current_ + u * ltc.padded_neurons;
            for (int n = 0; n < vectors; ++n) {
                const int j = n * W;
                const Strained<Real> strained = strain<Real>(load(d_v_ + j), load(before + j), load(after + j), load(inverses + j),
                                                             load(cm_ + j), step_time, ltc.implicit);
                store(d_before_ + j, strained.d_v);
                store(d_cm_ + j, load(d_cm_ + j) + strained.d_cm);
                store(d_constant_conductance_ + j, load(d_constant_conductance_ + j) + strained.d_inflow.conductance);
                store(d_constant_current_ + j, load(d_constant_current_ + j) + strained.d_inflow.current);
                store(d_conductances + j, strained.d_inflow.conductance);
                store(d_currents + j, strained.d_inflow.current);
                for (int round = rounds.first_round[n]; round < rounds.first_round[n + 1]; ++round) {
                    const int i = round * W;
                    store(d_gates + i, close_gate<Real>(load(gates + i), load(recurrent_.conductance + i),
                                                        load(recurrent_.current + i), strained.d_inflow));
                }
            }
            hand_back(rounds, recurrent_, d_gates, d_before_);
            Real* swap = d_v_;
            d_v_ = d_before_;
            d_before_ = swap;
        }
    }

    // Adds to each source's gradient what comes back through its synapses, in their order.
    void hand_back(const SynapseRounds& rounds, const Kind& kind, const Real* d_gates, Real* d_sources) {
        for (int n = 0; n < rounds.num_source_vectors; ++n) {
            Vec<Real> total = load(d_sources + n * W);
            for (int round = rounds.first_source_round[n]; round < rounds.first_source_round[n + 1]; ++round) {
                const int32_t* places = rounds.place + round * W;
                total = fma(gather<Real>(d_gates, places), gather<Real>(kind.sigma, places), total);
            }
            store(d_sources + n * W, total);
        }
    }

    void gain_recurrent(int t) {
        const LtcPlan& ltc = plan_->ltc;
        const SynapseRounds& rounds = ltc.recurrent_rounds;
        const Real *gates = recurrent_gates(t), *potentials = v(t, 0);
        const int neurons = ltc.padded_neurons;
        for (int n = 0; n < neurons / W; ++n) {
            for (int round = rounds.first_round[n]; round < rounds.first_round[n + 1]; ++round) {
                const int i = round * W;
                Gains<Real> gains = gains_at(recurrent_, i);
                const Vec<Real> mu = load(recurrent_.mu + i);
                for (int u = ltc.unfolds - 1; u >= 0; --u) {
                    const Inflow<Real> d_inflow{load(d_conductance_ + u * neurons + n * W), load(d_current_ + u * neurons + n * W)};
                    const Vec<Real> source = gather<Real>(potentials + u * (neurons + W), rounds.source + i);
                    gain(gains, load(gates + static_cast<int64_t>(u) * rounds.places + i),
                         load(d_gate_ + static_cast<int64_t>(u) * (rounds.places + W) + i), source - mu, d_inflow);
                }
                keep_gains(recurrent_, i, gains);
            }
        }
    }

    void back_to_inputs(int t) {
        const LtcPlan& ltc = plan_->ltc;
        const SynapseRounds& rounds = ltc.sensory_rounds;
        const Real* gates = sensory_gates(t);
        clear(d_input_, ltc.padded_inputs);
        for (int n = 0; n < ltc.padded_neurons / W; ++n) {
            const int j = n * W;
            const Inflow<Real> d_inflow{load(d_constant_conductance_ + j), load(d_constant_current_ + j)};
            store(d_leak_conductance_ + j, load(d_leak_conductance_ + j) + d_inflow.conductance);
            store(d_leak_current_ + j, load(d_leak_current_ + j) + d_inflow.current);
            for (int round = rounds.first_round[n]; round < rounds.first_round[n + 1]; ++round) {
                const int i = round * W;
                const Vec<Real> gate = load(gates + i);
                const Vec<Real> d_gate =
                    close_gate<Real>(gate, load(sensory_.conductance + i), load(sensory_.current + i), d_inflow);
                store(d_sensory_gate_ + i, d_gate);
                Gains<Real> gains = gains_at(sensory_, i);
                gain(gains, gate, d_gate, gather<Real>(mapped(t), rounds.source + i) - load(sensory_.mu + i), d_inflow);
                keep_gains(sensory_, i, gains);
            }
        }
        hand_back(rounds, sensory_, d_sensory_gate_, d_input_);
        for (int k = 0; k < ltc.padded_inputs; k += W) {
            store(d_input_w_ + k, fma(load(d_input_ + k), load(raw(t) + k), load(d_input_w_ + k)));
            store(d_input_b_ + k, load(d_input_b_ + k) + load(d_input_ + k));
        }
    }

    static Gains<Real> gains_at(const Kind& kind, int i) {
        return {load(kind.gain_conductance + i), load(kind.gain_current + i), load(kind.gain_shift + i), load(kind.gain_slope + i)};
    }
    static void keep_gains(const Kind& kind, int i, const Gains<Real>& gains) {
        store(kind.gain_conductance + i, gains.conductance);
        store(kind.gain_current + i, gains.current);
        store(kind.gain_shift + i, gains.shift);
        store(kind.gain_slope + i, gains.slope);
    }

    const Plan* plan_ = nullptr;
    Seat<Real>* seat_ = nullptr;
    int skipped_ = 0;
    bool keeps_gates_ = true;
    Kind recurrent_, sensory_;
    Real* flat_;
    Real *gleak_, *vleak_, *raw_cm_, *cm_, *cm_slope_, *leak_, *leak_slope_, *leak_conductance_, *leak_current_;
    Real *constant_conductance_, *constant_current_;
    Real *d_v_, *d_before_, *d_cm_, *d_leak_conductance_, *d_leak_current_, *d_constant_conductance_, *d_constant_current_;
    Real *input_w_, *input_b_, *d_input_, *d_input_w_, *d_input_b_, *d_output_w_, *d_output_b_;
    Real *raw_, *mapped_, *step_time_, *v_, *inverse_, *d_conductance_, *d_current_, *d_gate_, *d_sensory_gate_, *gates_;
};

}  // namespace LIQUID_ISA
}  // namespace liquid
