// What the kernels know of a spec: plain numbers and arrays, worked out once in Python (plan.py) and never changed.
#pragma once

#include <cstdint>

namespace liquid {

// Every array that a row may have: its name here, and the one that it has in the row's layout.
#define LIQUID_FIELDS(FIELD)                             \
    FIELD(stream_records, "stream.records")              \
    FIELD(stream_samples, "stream.samples")              \
    FIELD(stream_labels, "stream.labels")                \
    FIELD(stream_seq, "stream.seq")                      \
    FIELD(stream_last_t, "stream.last_t")                \
    FIELD(stream_frozen, "stream.frozen")                \
    FIELD(stream_updates, "stream.updates")              \
    FIELD(stream_skipped, "stream.skipped")              \
    FIELD(stream_hidden_resets, "stream.hidden_resets")  \
    FIELD(stream_drifts, "stream.drifts")                \
    FIELD(stream_last_drift_seq, "stream.last_drift_seq") \
    FIELD(clock_first_t, "clock.first_t")                \
    FIELD(clock_last_t, "clock.last_t")                  \
    FIELD(clock_gap, "clock.gap")                        \
    FIELD(clock_count, "clock.count")                    \
    FIELD(scaler_count, "scaler.count")                  \
    FIELD(scaler_mean, "scaler.mean")                    \
    FIELD(scaler_variance, "scaler.variance")            \
    FIELD(scaler_change_count, "scaler.change_count")    \
    FIELD(scaler_change_square, "scaler.change_square")  \
    FIELD(scaler_last, "scaler.last")                    \
    FIELD(residual_count, "residual.count")              \
    FIELD(residual_square, "residual.square")            \
    FIELD(history_count, "history.count")                \
    FIELD(history_mean, "history.mean")                  \
    FIELD(history_variance, "history.variance")          \
    FIELD(history_change_count, "history.change_count")  \
    FIELD(history_change_square, "history.change_square")\
    FIELD(history_last, "history.last")                  \
    FIELD(history_changes, "history.changes")            \
    FIELD(history_newest, "history.newest")              \
    FIELD(history_slow, "history.slow")                  \
    FIELD(season_values, "season.values")                \
    FIELD(season_distance, "season.distance")            \
    FIELD(season_period, "season.period")                \
    FIELD(mix_regret, "mix.regret")                      \
    FIELD(mix_square, "mix.square")                      \
    FIELD(mix_share, "mix.share")                        \
    FIELD(mix_trust_regret, "mix.trust_regret")          \
    FIELD(mix_trust_square, "mix.trust_square")          \
    FIELD(mix_trust, "mix.trust")                        \
    FIELD(autoregression_weights, "autoregression.weights")\
    FIELD(autoregression_covariance, "autoregression.covariance")\
    FIELD(guess_mean_error, "guess.mean_error")          \
    FIELD(guess_last_error, "guess.last_error")          \
    FIELD(conformal_radius, "conformal.radius")          \
    FIELD(anomaly_count, "anomaly.count")                \
    FIELD(anomaly_square, "anomaly.square")              \
    FIELD(anomaly_recent, "anomaly.recent")              \
    FIELD(anomaly_usual, "anomaly.usual")                \
    FIELD(anomaly_level, "anomaly.level")                \
    FIELD(metrics_count, "metrics.count")                \
    FIELD(metrics_total, "metrics.total")                \
    FIELD(metrics_total_naive, "metrics.total_naive")    \
    FIELD(metrics_recent, "metrics.recent")              \
    FIELD(metrics_recent_naive, "metrics.recent_naive")  \
    FIELD(surge_count, "surge.count")                    \
    FIELD(surge_recent, "surge.recent")                  \
    FIELD(surge_usual, "surge.usual")                    \
    FIELD(drift_count, "drift.count")                    \
    FIELD(drift_mean, "drift.mean")                      \
    FIELD(drift_rise, "drift.rise")                      \
    FIELD(drift_fall, "drift.fall")                      \
    FIELD(drift_lowest_rise, "drift.lowest_rise")        \
    FIELD(drift_highest_fall, "drift.highest_fall")      \
    FIELD(drift_seen, "drift.seen")                      \
    FIELD(drift_width, "drift.width")                    \
    FIELD(drift_total, "drift.total")                    \
    FIELD(drift_squares, "drift.squares")                \
    FIELD(drift_buckets, "drift.buckets")                \
    FIELD(drift_sums, "drift.sums")                      \
    FIELD(drift_values, "drift.values")                  \
    FIELD(network_weights, "network.weights")            \
    FIELD(adam_first, "adam.first")                      \
    FIELD(adam_second, "adam.second")                    \
    FIELD(adam_decay1, "adam.decay1")                    \
    FIELD(adam_decay2, "adam.decay2")                    \
    FIELD(linear_weights, "linear.weights")              \
    FIELD(linear_covariance, "linear.covariance")        \
    FIELD(readout_weights, "readout.weights")            \
    FIELD(readout_covariance, "readout.covariance")      \
    FIELD(upset_age, "upset.age")                        \
    FIELD(upset_calm, "upset.calm")                      \
    FIELD(upset_broken, "upset.broken")                  \
    FIELD(upset_by_label, "upset.by_label")              \
    FIELD(upset_credit, "upset.credit")                  \
    FIELD(upset_kept, "upset.kept")                      \
    FIELD(window_seq, "window.seq")                      \
    FIELD(window_inputs, "window.inputs")                \
    FIELD(window_elapsed, "window.elapsed")              \
    FIELD(window_hidden, "window.hidden")                \
    FIELD(window_history, "window.history")              \
    FIELD(window_past, "window.past")                    \
    FIELD(window_base, "window.base")                    \
    FIELD(window_scale, "window.scale")                  \
    FIELD(window_said, "window.said")                    \
    FIELD(window_mixed, "window.mixed")                  \
    FIELD(window_prediction, "window.prediction")        \
    FIELD(window_half_width, "window.half_width")        \
    FIELD(window_labelled, "window.labelled")            \
    FIELD(window_label, "window.label")                  \
    FIELD(window_guessed, "window.guessed")              \
    FIELD(window_mean_guess, "window.mean_guess")        \
    FIELD(window_last_guess, "window.last_guess")        \
    FIELD(answers_seq, "answers.seq")                    \
    FIELD(answers_fingerprint, "answers.fingerprint")    \
    FIELD(answers_prediction, "answers.prediction")      \
    FIELD(answers_median, "answers.median")              \
    FIELD(answers_half_width, "answers.half_width")      \
    FIELD(answers_anomaly, "answers.anomaly")            \
    FIELD(answers_drift, "answers.drift")

// Where each array begins, in bytes from the row's start; -1 where the row has none of that name.
struct Offsets {
#define FIELD(name, text) int64_t name;
    LIQUID_FIELDS(FIELD)
#undef FIELD
};

enum class Task : int32_t { forecast, regression, classification };
enum class CellKind : int32_t { cfc, ltc };
enum class CfcMode : int32_t { gated, no_gate, pure };
enum class DriftKind : int32_t { page_hinkley, adwin, window_test, none };
enum class Mapping : int32_t { none, linear, affine };

// Consecutive samples that are unrolled in one go (learner/window.py). Samples are counted from the one at which
// targets arrive; the output of horizon `first_horizon - i` is read at step `anchors[i]`.
struct Stretch {
    int32_t first, length;
    int32_t first_horizon, num_anchors;
    const int32_t* anchors;
};

// Sizes that the reference's parts fix (learner/history.py, calendar.py, season.py, mix.py, experts.py).
constexpr int kChanges = 3, kView = kChanges + 2, kWaves = 6, kPeriods = 4, kSlow = 2, kPast = kPeriods + kSlow;
constexpr int kExperts = 4, kMemories = 2;
constexpr int kAutoregressionWidth = 1 + kView + kWaves + kPast;

// A range of the stored weights, and where it lies among the working ones.
struct Run {
    int32_t stored, working, length;
};

// A linear map with its weights as (inputs, outputs), outputs padded to whole vectors; offsets into working weights.
struct Linear {
    int32_t inputs, outputs, stride;
    int32_t weights, biases;
};

// One closed-form layer: a perceptron (its backbone), then the heads side by side.
struct CfcBlock {
    int32_t inputs, units;
    int32_t num_backbone;
    const Linear* backbone;
    Linear heads;
    int32_t w_tau, A;  // mode pure only
};

struct CfcPlan {
    CfcMode mode;
    int32_t activation;
    int32_t num_blocks;
    const CfcBlock* blocks;
    int32_t working_size;
    // Nothing is masked and nothing padded: the stored weights are the working ones. Else working matrices, with zeros where
    // the wiring has nothing, are filled from runs of a vector's length or more, and single entries.
    bool in_place;
    int32_t num_runs, num_singles;
    const Run* runs;
    const int32_t *single_stored, *single_working;
};

// Synapses of one kind. Their parameters lie in the stored weights, a kind of parameter after the other, in the order
// of their destinations.
struct SynapseList {
    int32_t count;
    const int32_t* start;   // (neurons + 1,): the first synapse onto each neuron
    const int32_t* source;  // (count,)
    int32_t sigma, mu, w, erev;
};

// The same synapses for one stream at a time, neurons side by side in vectors. Round r of a vector of neurons holds the
// r-th synapse onto each of them; a place without a synapse has none of anything. A `place` is round and lane.
struct SynapseRounds {
    const int32_t* first_round;  // (vectors of neurons + 1,)
    const int32_t* synapse;      // (places,): which synapse of the list, or -1
    const int32_t* source;       // (places,): position of its source; of an entry that is always zero where there is none
    // For the way back, sources side by side: the places of the r-th synapse of each, in the order of the list.
    int32_t num_source_vectors;
    const int32_t* first_source_round;  // (source vectors + 1,)
    const int32_t* place;               // (...,): or `places`, one past the last, where there is none
    int32_t places;
};

struct LtcPlan {
    int32_t neurons, unfolds;
    double epsilon;
    bool implicit;
    Mapping input_mapping, output_mapping;
    SynapseList recurrent, sensory;
    int32_t gleak, vleak, cm, input_w, input_b, output_w, output_b;
    SynapseRounds recurrent_rounds, sensory_rounds;
    // Neurons of the rounds: sorted by how many synapses they have. Position of a neuron, and neuron at a position (-1
    // behind the last).
    const int32_t* position;
    const int32_t* neuron;
    int32_t padded_neurons, padded_inputs;
};

// The drift detector (learner/drift); of the rest, what its kind has.
struct DriftPlan {
    DriftKind kind;
    bool up, down;                              // which changes are an alarm
    int64_t min_samples, clock;                 // values before the first alarm; values from one look to the next
    double delta, threshold, alpha;             // Page-Hinkley; delta of ADWIN too
    int64_t grace_period;                       // ADWIN
    int32_t levels, max_buckets, min_length;    // ADWIN: sizes of buckets, buckets of a size, values beside a cut
    int32_t window, recent;                     // window test: values kept, and the newer side of them
    double critical_gap;                        // window test
};

struct Plan {
    Offsets at;
    int64_t row_bytes;

    Task task;
    int32_t features, targets, outputs, inputs;
    int32_t medians;            // outputs that get one: all, or none of classes
    int32_t mix_losses;         // of the mix: the answer's, and the median's where there is one
    int32_t tracks;             // whose history is kept: targets, or classes
    int32_t season_length;
    int32_t num_horizons;       // 1 where labels come from outside
    const int32_t* horizons;    // (num_horizons,), ascending; 1 where labels come from outside
    const int32_t* target_columns;

    int32_t window_length;
    int32_t num_stretches, longest_stretch;
    const Stretch* stretches;
    int32_t answers_kept;

    int64_t warmup;
    double forgetting, autoregression_forgetting, drift_inflation;
    double learning_rate, readout_rate, beta1, beta2, epsilon, clip_norm, scaler_rate, coverage;
    DriftPlan drift;

    CellKind kind;
    int32_t state_size, output_size, num_params, readout_features, linear_features;
    bool exact_readout, exact_linear;  // learned by recursive least squares
    // Parameters that explicit constraints keep at or above zero: ranges of the stored weights, ascending.
    int32_t num_positive;
    const Run* positive;
    CfcPlan cfc;
    LtcPlan ltc;
};

// One record of a batch, as arrays with one entry a record.
struct Records {
    int64_t count;
    const uint8_t* is_sample;
    const uint8_t* has_label;
    const int64_t* seq;
    const double* t;
    const double* x;  // (records, features), NaN where missing
    const double* y;  // (records, targets)
    const int64_t* fingerprint;
};

// One entry a record, in which it says that there is nothing (results.py) until a step says otherwise.
struct Results {
    double* prediction;  // (records, outputs)
    double* median;      // (records, medians)
    double* half_width;  // (records, outputs)
    double* anomaly;
    double* surprise;
    uint8_t* drift;
    int8_t* update;
};

// Records of one stream, in order.
struct Chain {
    uint8_t* row;
    const int64_t* records;  // indices into the batch
    int64_t count;
};

// What a gradient teaches, for tests; arrays as in learner/tbptt.py, of the kernels' real type.
struct Lesson {
    void* loss;
    void* gradient;
    void* features;
    void* error;
};

// The kernels of one instruction set and one real type.
struct Kernels {
    // Streams side by side in a group; 1 where the cell has no kernel for groups.
    int32_t (*group_size)(const Plan&);
    // Chains of a group, as many as `group_size` or fewer, in a workspace that `make_workspace` made.
    void (*step_group)(void* workspace, const Records&, const Results&, const Chain* chains, int32_t num_chains);
    void (*step_chain)(void* workspace, const Records&, const Results&, const Chain& chain);
    // A sample is answered without learning; the row is the caller's to throw away.
    void (*look_ahead)(void* workspace, const Records&, const Results&, uint8_t* row);
    // Gradient for targets that arrived at sample number `anchor` of a row, by the one-stream kernel or the group's.
    void (*lesson)(void* workspace, uint8_t* row, int64_t anchor, const double* targets, const uint8_t* known,
                   bool grouped, const Lesson&);
    int64_t (*workspace_bytes)(const Plan&);
    void* (*make_workspace)(const Plan&);
    void (*free_workspace)(void*);
};

// What a core can do, to hold measurements against.
struct Ceiling {
    double fma_gflops, sigmoid_ns;
};

struct InstructionSet {
    const char* name;
    Kernels f32, f64;
    Ceiling (*ceiling)();
};

}  // namespace liquid
