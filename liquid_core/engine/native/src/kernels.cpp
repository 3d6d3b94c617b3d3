// The kernels of one instruction set: this file is compiled once for each, under another name (LIQUID_ISA) and other flags.
#include <ctime>
#include <new>

#include "cfc.h"
#include "learner.h"
#include "ltc_chain.h"
#include "ltc_group.h"

#ifndef LIQUID_ISA_NAME
#error "LIQUID_ISA and LIQUID_ISA_NAME say which instruction set this is compiled for"
#endif

namespace liquid {
namespace LIQUID_ISA {

// A group's memory is bounded: of larger models, streams are stepped one by one.
constexpr int64_t kMaxGroupBytes = int64_t{96} << 20;
// Below this share of busy lanes the one-stream kernel is faster: it walks a stream in 2.5 to 4 times the time that a lane
// of a full group takes.
constexpr int kBusyShare = 3;

template <class Real>
class Workspace {
   public:
    explicit Workspace(const Plan& plan) : plan(plan) {}

    const Plan& plan;
    Arena arena;
    Learner<Real, CfcNetwork<Real>> cfc;
    Learner<Real, LtcChain<Real>> chain;
    Learner<Real, LtcGroup<Real>> group;

    void lay_out() {
        if (plan.kind == CellKind::cfc) {
            cfc.lay_out(arena, plan);
            return;
        }
        chain.lay_out(arena, plan);
        if (has_groups(plan)) group.lay_out(arena, plan);
    }

    static bool has_groups(const Plan& plan) {
        if (plan.kind != CellKind::ltc) return false;
        Arena measure;
        Learner<Real, LtcGroup<Real>> group;
        group.lay_out(measure, plan);
        return static_cast<int64_t>(measure.used()) <= kMaxGroupBytes;
    }
};

template <class Real>
static int32_t group_size(const Plan& plan) {
    return Workspace<Real>::has_groups(plan) ? Simd<Real>::width : 1;
}

template <class Real>
static int64_t workspace_bytes(const Plan& plan) {
    Workspace<Real> measure(plan);
    measure.lay_out();
    return static_cast<int64_t>(measure.arena.used());
}

template <class Real>
static void* make_workspace(const Plan& plan) {
    auto* workspace = new (std::nothrow) Workspace<Real>(plan);
    if (workspace == nullptr) return nullptr;
    workspace->lay_out();
    if (!workspace->arena.allocate()) {
        delete workspace;
        return nullptr;
    }
    workspace->lay_out();
    return workspace;
}

template <class Real>
static void free_workspace(void* memory) {
    auto* workspace = static_cast<Workspace<Real>*>(memory);
    workspace->arena.free();
    delete workspace;
}

template <class Real>
static void step_chain(void* memory, const Records& records, const Results& results, const Chain& chain) {
    auto& workspace = *static_cast<Workspace<Real>*>(memory);
    if (workspace.plan.kind == CellKind::cfc) {
        workspace.cfc.step(records, results, &chain, 1, 1);
    } else {
        workspace.chain.step(records, results, &chain, 1, 1);
    }
}

template <class Real>
static void step_group(void* memory, const Records& records, const Results& results, const Chain* chains, int32_t count) {
    auto& workspace = *static_cast<Workspace<Real>*>(memory);
    const int fewest = Simd<Real>::width / kBusyShare + 1;
    int64_t done = 0;
    if (workspace.plan.kind == CellKind::ltc && count >= fewest) {
        done = workspace.group.step(records, results, chains, count, fewest);
    }
    // What is left of the longer chains, each on its own.
    for (int i = 0; i < count; ++i) {
        if (done < chains[i].count) {
            step_chain<Real>(memory, records, results, {chains[i].row, chains[i].records + done, chains[i].count - done});
        }
    }
}

template <class Real>
static void look_ahead(void* memory, const Records& records, const Results& results, uint8_t* row) {
    auto& workspace = *static_cast<Workspace<Real>*>(memory);
    if (workspace.plan.kind == CellKind::cfc) {
        workspace.cfc.look_ahead(records, results, row);
    } else {
        workspace.chain.look_ahead(records, results, row);
    }
}

template <class Real>
static void lesson(void* memory, uint8_t* row, int64_t anchor, const double* targets, const uint8_t* known, bool grouped,
                   const Lesson& result) {
    auto& workspace = *static_cast<Workspace<Real>*>(memory);
    if (workspace.plan.kind == CellKind::cfc) {
        workspace.cfc.lesson(row, anchor, targets, known, result);
    } else if (grouped) {
        workspace.group.lesson(row, anchor, targets, known, result);
    } else {
        workspace.chain.lesson(row, anchor, targets, known, result);
    }
}

template <class Real>
static Kernels kernels() {
    return {group_size<Real>, step_group<Real>,      step_chain<Real>,     look_ahead<Real>,
            lesson<Real>,     workspace_bytes<Real>, make_workspace<Real>, free_workspace<Real>};
}

// --- what a core can do ------------------------------------------------------------------------------------------------

static double seconds() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// Multiply-adds with one operand out of the second cache, as in a matrix product with weights of a stream; and sigmoids.
static Ceiling ceiling() {
    constexpr int width = Simd<float>::width, size = 16384, repeats = 400;
    static float memory[size + 16];
    for (int i = 0; i < size; ++i) memory[i] = static_cast<float>(i % 7) * 1e-3f;
    double best_fma = 1e9, best_sigmoid = 1e9;
    volatile float sink = 0;
    for (int attempt = 0; attempt < 5; ++attempt) {
        FloatVector total[8] = {};
        const double begun = seconds();
        for (int r = 0; r < repeats; ++r) {
            const FloatVector factor = splat(1.0f + static_cast<float>(r) * 1e-6f);
            for (int i = 0; i + 8 * width <= size; i += 8 * width) {
                for (int k = 0; k < 8; ++k) total[k] = fma(load(memory + i + k * width), factor, total[k]);
            }
        }
        const double between = seconds();
        for (int k = 1; k < 8; ++k) total[0] += total[k];
        FloatVector x[8] = {};
        for (int k = 0; k < 8; ++k) x[k] = splat(0.1f * static_cast<float>(k) + total[0][0] * 1e-20f);
        for (int r = 0; r < size / 8; ++r) {
            for (int k = 0; k < 8; ++k) x[k] = fma(splat(-1.1f), x[k], splat(0.7f));
            sigmoids_of_minus_log2<float, 8>(x);
        }
        const double ended = seconds();
        for (int k = 1; k < 8; ++k) x[0] += x[k];
        sink = sink + total[0][0] + x[0][0];
        best_fma = smaller(best_fma, (between - begun) / (static_cast<double>(repeats) * size));
        best_sigmoid = smaller(best_sigmoid, (ended - between) / (static_cast<double>(size) * width));
    }
    return {2e-9 / best_fma, 1e9 * best_sigmoid};
}

const InstructionSet& instruction_set() {
    static const InstructionSet set{LIQUID_ISA_NAME, kernels<float>(), kernels<double>(), ceiling};
    return set;
}

}  // namespace LIQUID_ISA
}  // namespace liquid
