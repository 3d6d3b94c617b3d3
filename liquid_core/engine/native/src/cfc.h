// Closed-form cells, dense or in the layers of a wiring: one stream at a time, neurons side by side (cells/cfc.py).
//
// The weights of one stream stay in the nearest caches while its window is run forwards and back.
#pragma once

#include "dense.h"
#include "elementary.h"
#include "seat.h"

namespace liquid {
namespace LIQUID_ISA {

// What a window leaves behind of one block, a row a step.
template <class Real>
struct CfcTrace {
    int z_stride, units_stride;
    Real* z;                   // [input, hidden state], (steps, z_stride)
    Real *layers, *slopes;     // backbone layers: outputs and derivatives, (layers, steps, stride)
    Real *start, *end, *gate;  // heads after their functions, (steps, units_stride); pure: f in start, exp(..) in end
    Real *d_layers, *d_heads;  // gradients before the functions, (layers, steps, stride) and (steps, heads' stride)
};

template <class Real>
class CfcNetwork {
   public:
    void lay_out(Arena& arena, const Plan& plan) {
        plan_ = &plan;
        const CfcPlan& cfc = plan.cfc;
        const int steps = plan.longest_stretch;
        constexpr int width = Simd<Real>::width;
        expanded_ = arena.take<Real>(cfc.in_place ? 0 : cfc.working_size);
        gradient_ = arena.take<Real>(cfc.working_size);
        flat_ = cfc.in_place ? gradient_ : arena.take<Real>(plan.num_params);
        states_ = arena.take<Real>(static_cast<int64_t>(steps + 1) * (plan.state_size + width));
        d_state_ = arena.take<Real>(plan.state_size + width);
        d_next_ = arena.take<Real>(plan.state_size + width);
        heads_ = arena.take<Real>(4 * padded<Real>(plan.state_size) + width);
        int widest = 0;
        traces_ = arena.take<CfcTrace<Real>>(cfc.num_blocks);
        for (int b = 0; b < cfc.num_blocks; ++b) {
            const CfcBlock& block = cfc.blocks[b];
            CfcTrace<Real> trace;
            trace.z_stride = padded<Real>(block.inputs + block.units) + width;
            trace.units_stride = padded<Real>(block.units);
            trace.z = arena.take<Real>(static_cast<int64_t>(steps) * trace.z_stride);
            for (int l = 0; l < block.num_backbone; ++l) {
                widest = block.backbone[l].inputs > widest ? block.backbone[l].inputs : widest;
            }
            const int64_t layers = layer_place(block, block.num_backbone, 0);
            widest = block.heads.inputs > widest ? block.heads.inputs : widest;
            trace.layers = arena.take<Real>(layers);
            trace.slopes = arena.take<Real>(layers);
            trace.d_layers = arena.take<Real>(layers);
            for (Real** part : {&trace.start, &trace.end, &trace.gate}) {
                *part = arena.take<Real>(static_cast<int64_t>(steps) * trace.units_stride);
            }
            trace.d_heads = arena.take<Real>(static_cast<int64_t>(steps) * block.heads.stride + width);
            if (traces_ != nullptr) traces_[b] = trace;
        }
        d_z_ = arena.take<Real>(widest + width);
    }

    static constexpr int group_size = 1;

    void bind(Seat<Real>* seats, int) {
        seat_ = seats;
        reload();
    }

    // Working weights of the stream in the seat: its row's own, or a copy with zeros where the wiring has nothing.
    void reload() {
        const Real* stored = seat_->row(*plan_).template array<Real>(plan_->at.network_weights);
        const CfcPlan& cfc = plan_->cfc;
        working_ = cfc.in_place ? stored : expanded_;
        if (cfc.in_place) return;
        for (int r = 0; r < cfc.num_runs; ++r) {
            const Run& run = cfc.runs[r];
            copy_run(expanded_ + run.working, stored + run.stored, run.length);
        }
        for (int i = 0; i < cfc.num_singles; ++i) expanded_[cfc.single_working[i]] = stored[cfc.single_stored[i]];
    }

    // Run the cell over a stretch of the window, and read what it says at the anchors.
    void unroll(const Stretch& stretch) {
        const Row row = seat_->row(*plan_);
        const int64_t first = seat_->anchor + stretch.first;
        skipped_ = steps_before_the_first(first, stretch.length);
        read_hidden<Real>(row, first + skipped_ - 1, state(0));
        AnchorWalk walk = AnchorWalk::forwards(stretch);
        for (int step = skipped_; step < stretch.length; ++step) {
            const WindowStep<Real> sample = window_step<Real>(row, first + step);
            forward(sample.inputs, sample.elapsed, step - skipped_);
            const int anchor = walk.on_to(step);
            if (anchor < 0) continue;
            std::memcpy(seat_->read + anchor * plan_->output_size, said(step - skipped_), sizeof(Real) * size(plan_->output_size));
        }
    }

    // Back through the same stretch; `first`: the first one of a lesson.
    void back_through(const Stretch& stretch, bool first) {
        const Row row = seat_->row(*plan_);
        const CfcPlan& cfc = plan_->cfc;
        const int steps = stretch.length - skipped_;
        if (first && cfc.mode == CfcMode::pure) {
            for (int b = 0; b < cfc.num_blocks; ++b) {
                std::memset(gradient_ + cfc.blocks[b].A, 0, sizeof(Real) * size(cfc.blocks[b].units));
                std::memset(gradient_ + cfc.blocks[b].w_tau, 0, sizeof(Real) * size(cfc.blocks[b].units));
            }
        }
        std::memset(d_state_, 0, sizeof(Real) * size(plan_->state_size));
        AnchorWalk walk = AnchorWalk::backwards(stretch);
        for (int t = steps - 1; t >= 0; --t) {
            zero_roomy(d_next_, plan_->state_size);
            const int anchor = walk.back_to(t + skipped_);
            if (anchor >= 0) {
                Real* d_said = d_state_ + said_offset();
                for (int i = 0; i < plan_->output_size; ++i) d_said[i] += seat_->d_read[anchor * plan_->output_size + i];
            }
            const Real elapsed = window_step<Real>(row, seat_->anchor + stretch.first + skipped_ + t).elapsed;
            backward(elapsed, t);
            Real* swap = d_state_;
            d_state_ = d_next_;
            d_next_ = swap;
        }
        for (int b = 0; b < cfc.num_blocks; ++b) {
            const CfcBlock& block = cfc.blocks[b];
            const CfcTrace<Real>& trace = traces_[b];
            const Real* z = trace.z;
            int z_stride = trace.z_stride;
            for (int l = 0; l < block.num_backbone; ++l) {
                const Linear& layer = block.backbone[l];
                weight_gradient(layer, z, z_stride, trace.d_layers + layer_place(block, l, 0), steps, gradient_, !first);
                z = trace.layers + layer_place(block, l, 0);
                z_stride = layer.stride;
            }
            weight_gradient(block.heads, z, z_stride, trace.d_heads, steps, gradient_, !first);
        }
    }

    // Bring the gradient into the order in which the stream stores its weights.
    void finish() {
        const CfcPlan& cfc = plan_->cfc;
        if (cfc.in_place) return;
        for (int r = 0; r < cfc.num_runs; ++r) {
            const Run& run = cfc.runs[r];
            copy_run(flat_ + run.stored, gradient_ + run.working, run.length);
        }
        for (int i = 0; i < cfc.num_singles; ++i) flat_[cfc.single_stored[i]] = gradient_[cfc.single_working[i]];
    }

    // It, (params,).
    const Real* gradient(int) const { return flat_; }

    // Move over the sample in the seat, from the hidden state before it.
    void advance() {
        if (!seat_->advances) return;
        const Row row = seat_->row(*plan_);
        read_hidden<Real>(row, *row.integer(plan_->at.stream_samples), state(0));
        forward(seat_->inputs, seat_->elapsed, 0);
        std::memcpy(seat_->hidden, state(1), sizeof(Real) * size(plan_->state_size));
        std::memcpy(seat_->said, said(0), sizeof(Real) * size(plan_->output_size));
    }

   private:
    static size_t size(int count) { return static_cast<size_t>(count); }
    Real* state(int t) { return states_ + static_cast<int64_t>(t) * (plan_->state_size + Simd<Real>::width); }

    // Where step t of a backbone's layer stands in a trace; all layers of a backbone are equally wide.
    int64_t layer_place(const CfcBlock& block, int layer, int t) const {
        if (block.num_backbone == 0) return 0;
        return (static_cast<int64_t>(layer) * plan_->longest_stretch + t) * block.backbone[0].stride;
    }

    // Where the output stands in a state: the last layer, whose first neurons are the motor neurons.
    int said_offset() const {
        const CfcPlan& cfc = plan_->cfc;
        return plan_->state_size - cfc.blocks[cfc.num_blocks - 1].units;
    }
    const Real* said(int t) { return state(t + 1) + said_offset(); }

    // Copies a run, which is at least a vector long and must not spill over: its end is copied twice instead.
    static LIQUID_INLINE void copy_run(Real* to, const Real* from, int length) {
        constexpr int width = Simd<Real>::width;
        for (int i = 0; i + width <= length; i += width) store(to + i, load(from + i));
        store(to + length - width, load(from + length - width));
    }

    // One step: state(t + 1) from state(t).
    void forward(const Real* inputs, Real elapsed, int t) {
        const CfcPlan& cfc = plan_->cfc;
        const Real* before = state(t);
        Real* after = state(t + 1);
        const Real* signal = inputs;
        for (int b = 0; b < cfc.num_blocks; ++b) {
            const CfcBlock& block = cfc.blocks[b];
            const CfcTrace<Real>& trace = traces_[b];
            Real* z = trace.z + static_cast<int64_t>(t) * trace.z_stride;
            copy_roomy(z, signal, block.inputs);
            copy_roomy(z + block.inputs, before, block.units);
            for (int l = 0; l < block.num_backbone; ++l) {
                const Linear& layer = block.backbone[l];
                Real* out = trace.layers + layer_place(block, l, t);
                Real* slope = trace.slopes + layer_place(block, l, t);
                affine(layer, working_, z, out, t);
                for (int i = 0; i < layer.stride; i += Simd<Real>::width) {
                    const Activated<Real> y = activate<Real>(static_cast<Activation>(cfc.activation), load(out + i));
                    store(out + i, y.value);
                    store(slope + i, y.slope);
                }
                z = out;
            }
            affine(block.heads, working_, z, heads_, t);
            close(block, trace, elapsed, t, after);
            signal = after;
            before += block.units;
            after += block.units;
        }
    }

    // From the heads to the new hidden state.
    void close(const CfcBlock& block, const CfcTrace<Real>& trace, Real elapsed, int t, Real* after) {
        constexpr int width = Simd<Real>::width;
        const int units = block.units;
        const Vec<Real> one = splat(Real(1)), time = splat(elapsed);
        Real* start = trace.start + static_cast<int64_t>(t) * trace.units_stride;
        Real* end = trace.end + static_cast<int64_t>(t) * trace.units_stride;
        Real* gate = trace.gate + static_cast<int64_t>(t) * trace.units_stride;
        for (int i = 0; i < units; i += width) {
            Vec<Real> h;
            if (plan_->cfc.mode == CfcMode::pure) {
                const int count = units - i < width ? units - i : width;
                const Vec<Real> f = load(heads_ + i), A = some(working_ + block.A + i, count);
                const Vec<Real> rate = absolute(some(working_ + block.w_tau + i, count)) + absolute(f);
                const Vec<Real> decay = exp<Real>(-time * rate);
                store(start + i, f);
                store(end + i, decay);
                h = A - A * decay * f;
            } else {
                Vec<Real> f1 = load(heads_ + i), f2 = load(heads_ + units + i);
                Vec<Real> g = fma(time, load(heads_ + 2 * units + i), load(heads_ + 3 * units + i));
                two_tanhs_and_a_sigmoid<Real>(f1, f2, g);
                store(start + i, f1);
                store(end + i, f2);
                store(gate + i, g);
                h = plan_->cfc.mode == CfcMode::gated ? fma(f1, one - g, g * f2) : fma(g, f2, f1);
            }
            // What spills over is the next layer's to write, or nobody's.
            store(after + i, h);
        }
    }

    // One step back: from d_state_, the gradient by state(t + 1), to d_next_, that by state(t), and the gradients before
    // all functions.
    void backward(Real elapsed, int t) {
        constexpr int width = Simd<Real>::width;
        const CfcPlan& cfc = plan_->cfc;
        int offset_in_state = plan_->state_size;
        for (int b = cfc.num_blocks - 1; b >= 0; --b) {
            const CfcBlock& block = cfc.blocks[b];
            const CfcTrace<Real>& trace = traces_[b];
            offset_in_state -= block.units;
            Real* d_heads = trace.d_heads + static_cast<int64_t>(t) * block.heads.stride;
            open(block, trace, elapsed, t, d_state_ + offset_in_state, d_heads);
            const Linear* map = &block.heads;
            const Real* dy = d_heads;
            for (int l = block.num_backbone - 1; l >= 0; --l) {
                const Linear& layer = block.backbone[l];
                const int64_t place = layer_place(block, l, t);
                Real* d_layer = trace.d_layers + place;
                if (layer.stride > layer.outputs) store(d_layer + layer.stride - width, Vec<Real>{});
                back(*map, working_, dy, 0, d_layer, t);
                for (int i = 0; i < layer.stride; i += width) {
                    store(d_layer + i, load(d_layer + i) * load(trace.slopes + place + i));
                }
                map = &layer;
                dy = d_layer;
            }
            // Nobody asks for the gradient by the network's own inputs.
            const int from = b == 0 ? block.inputs : 0;
            back(*map, working_, dy, from, d_z_, t);
            for (int i = 0; i < block.units; ++i) d_next_[offset_in_state + i] = d_z_[block.inputs + i];
            if (b > 0) {
                Real* d_signal = d_state_ + offset_in_state - block.inputs;
                for (int i = 0; i < block.inputs; ++i) d_signal[i] += d_z_[i];
            }
        }
    }

    // From the new hidden state's gradient to the heads'.
    void open(const CfcBlock& block, const CfcTrace<Real>& trace, Real elapsed, int t, const Real* d_hidden, Real* d_heads) {
        constexpr int width = Simd<Real>::width;
        const int units = block.units;
        const Vec<Real> one = splat(Real(1)), time = splat(elapsed), zero{};
        const Real* start = trace.start + static_cast<int64_t>(t) * trace.units_stride;
        const Real* end = trace.end + static_cast<int64_t>(t) * trace.units_stride;
        const Real* gate = trace.gate + static_cast<int64_t>(t) * trace.units_stride;
        // Vectors spill over into the next head's place, so the heads are written one after the other, and aside.
        Real* d = heads_;
        if (plan_->cfc.mode == CfcMode::pure) {
            for (int i = 0; i < units; i += width) {
                const int count = units - i < width ? units - i : width;
                const Vec<Real> d_h = some(d_hidden + i, count), f = load(start + i), decay = load(end + i);
                const Vec<Real> A = some(working_ + block.A + i, count);
                const Vec<Real> w_tau = some(working_ + block.w_tau + i, count);
                const Vec<Real> sign = select(f > zero, one, select(f < zero, -one, zero));
                const Vec<Real> d_decay = -d_h * A * f * decay;  // by -time * rate
                store(d + i, -d_h * A * decay - d_decay * time * sign);
                add_part(gradient_ + block.A + i, d_h * fnma(decay, f, one), count);
                add_part(gradient_ + block.w_tau + i, -d_decay * time * select(w_tau < zero, -one, one), count);
            }
        } else {
            const bool gated = plan_->cfc.mode == CfcMode::gated;
            for (int i = 0; i < units; i += width) {
                const Vec<Real> d_h = load(d_hidden + i), f1 = load(start + i);
                const Vec<Real> d1 = gated ? d_h * (one - load(gate + i)) : d_h;
                store(d + i, d1 * fnma(f1, f1, one));
            }
            for (int i = 0; i < units; i += width) {
                const Vec<Real> f2 = load(end + i);
                store(d + units + i, load(d_hidden + i) * load(gate + i) * fnma(f2, f2, one));
            }
            for (int i = 0; i < units; i += width) {
                store(d + 2 * units + i, time * d_gate(gated, d_hidden, start, end, gate, i));
            }
            for (int i = 0; i < units; i += width) {
                store(d + 3 * units + i, d_gate(gated, d_hidden, start, end, gate, i));
            }
        }
        for (int i = 0; i < block.heads.stride; i += width) store(d_heads + i, load(d + i));
        for (int i = block.heads.outputs; i < block.heads.stride; ++i) d_heads[i] = Real(0);
    }

    // The first `count` entries of a vector or all of them.
    static LIQUID_INLINE Vec<Real> some(const Real* from, int count) {
        return count == Simd<Real>::width ? load(from) : load_part(from, count);
    }
    static LIQUID_INLINE void add_part(Real* to, Vec<Real> gained, int count) {
        const Vec<Real> total = some(to, count) + gained;
        if (count == Simd<Real>::width) {
            store(to, total);
        } else {
            store_part(to, total, count);
        }
    }

    LIQUID_INLINE Vec<Real> d_gate(bool gated, const Real* d_hidden, const Real* start, const Real* end, const Real* gate, int i) {
        const Vec<Real> g = load(gate + i), f2 = load(end + i);
        const Vec<Real> reach = gated ? f2 - load(start + i) : f2;
        return load(d_hidden + i) * reach * g * (splat(Real(1)) - g);
    }

    const Plan* plan_ = nullptr;
    Seat<Real>* seat_ = nullptr;
    const Real* working_ = nullptr;
    Real *expanded_, *gradient_, *flat_;
    Real *states_, *d_state_, *d_next_, *heads_, *d_z_;
    CfcTrace<Real>* traces_ = nullptr;
    int skipped_ = 0;
};

}  // namespace LIQUID_ISA
}  // namespace liquid
