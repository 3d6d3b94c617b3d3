// A plan and the arrays that it points to, read from what plan.py worked out.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <memory>
#include <vector>

#include "plan.h"

namespace liquid {

namespace py = pybind11;

class PlanStorage {
   public:
    explicit PlanStorage(const py::dict& given) {
        Plan& p = plan_;
        const py::dict offsets = given["offsets"];
#define FIELD(name, text) p.at.name = offsets.contains(text) ? offsets[text].cast<int64_t>() : -1;
        LIQUID_FIELDS(FIELD)
#undef FIELD
        p.row_bytes = given["row_bytes"].cast<int64_t>();
        p.task = given["task"].cast<int>() == 0   ? Task::forecast
                 : given["task"].cast<int>() == 1 ? Task::regression
                                                  : Task::classification;
        p.features = number(given, "features");
        p.targets = number(given, "targets");
        p.outputs = number(given, "outputs");
        p.inputs = number(given, "inputs");
        p.medians = number(given, "medians");
        p.mix_losses = number(given, "mix_losses");
        p.tracks = number(given, "tracks");
        p.season_length = number(given, "season_length");
        p.num_horizons = static_cast<int32_t>(py::len(given["horizons"]));
        p.horizons = numbers(given["horizons"]);
        p.target_columns = numbers(given["target_columns"]);
        p.window_length = number(given, "window_length");
        p.answers_kept = number(given, "answers_kept");
        read_stretches(given["stretches"]);
        p.warmup = given["warmup"].cast<int64_t>();
        p.learning_rate = real(given, "learning_rate");
        p.readout_rate = real(given, "readout_rate");
        p.forgetting = real(given, "forgetting");
        p.autoregression_forgetting = real(given, "autoregression_forgetting");
        p.drift_inflation = real(given, "drift_inflation");
        p.beta1 = real(given, "beta1");
        p.beta2 = real(given, "beta2");
        p.epsilon = real(given, "epsilon");
        p.clip_norm = real(given, "clip_norm");
        p.scaler_rate = real(given, "scaler_rate");
        p.coverage = real(given, "coverage");
        read_drift(given["drift"]);
        p.state_size = number(given, "state_size");
        p.output_size = number(given, "output_size");
        p.num_params = number(given, "num_params");
        p.readout_features = number(given, "readout_features");
        p.linear_features = number(given, "linear_features");
        p.exact_readout = given["exact_readout"].cast<bool>();
        p.exact_linear = given["exact_linear"].cast<bool>();
        p.num_positive = static_cast<int32_t>(py::len(given["positive"]));
        p.positive = runs(given["positive"]);
        if (given.contains("cfc")) {
            p.kind = CellKind::cfc;
            read_cfc(given["cfc"]);
        } else {
            p.kind = CellKind::ltc;
            read_ltc(given["ltc"]);
        }
    }
    PlanStorage(const PlanStorage&) = delete;
    PlanStorage& operator=(const PlanStorage&) = delete;

    const Plan& plan() const { return plan_; }

   private:
    static int32_t number(const py::dict& given, const char* name) { return given[name].cast<int32_t>(); }
    static double real(const py::dict& given, const char* name) { return given[name].cast<double>(); }

    // A copy that lives as long as the plan.
    const int32_t* numbers(const py::handle& given) {
        const auto array = py::array_t<int32_t, py::array::c_style | py::array::forcecast>::ensure(given);
        if (!array) throw py::error_already_set();
        int_arrays_.push_back(std::make_unique<std::vector<int32_t>>(array.data(), array.data() + array.size()));
        return int_arrays_.back()->data();
    }

    // From rows of three numbers.
    const Run* runs(const py::handle& given) {
        const int32_t* flat = numbers(given);
        run_arrays_.push_back(std::make_unique<std::vector<Run>>());
        for (size_t i = 0; i < py::len(given); ++i) run_arrays_.back()->push_back({flat[3 * i], flat[3 * i + 1], flat[3 * i + 2]});
        return run_arrays_.back()->data();
    }

    void read_stretches(const py::list& given) {
        plan_.longest_stretch = 1;
        for (const py::handle& item : given) {
            const auto stretch = item.cast<py::dict>();
            stretches_.push_back({number(stretch, "first"), number(stretch, "length"), number(stretch, "first_horizon"),
                                  static_cast<int32_t>(py::len(stretch["anchors"])), numbers(stretch["anchors"])});
            if (stretches_.back().length > plan_.longest_stretch) plan_.longest_stretch = stretches_.back().length;
        }
        plan_.num_stretches = static_cast<int32_t>(stretches_.size());
        plan_.stretches = stretches_.data();
    }

    void read_drift(const py::dict& given) {
        DriftPlan& drift = plan_.drift;
        const int kind = number(given, "kind");
        drift.kind = kind == 0   ? DriftKind::page_hinkley
                     : kind == 1 ? DriftKind::adwin
                     : kind == 2 ? DriftKind::window_test
                                 : DriftKind::none;
        drift.up = given["up"].cast<bool>();
        drift.down = given["down"].cast<bool>();
        drift.min_samples = given["min_samples"].cast<int64_t>();
        drift.clock = given["clock"].cast<int64_t>();
        drift.delta = real(given, "delta");
        drift.threshold = real(given, "threshold");
        drift.alpha = real(given, "alpha");
        drift.grace_period = given["grace_period"].cast<int64_t>();
        drift.levels = number(given, "levels");
        drift.max_buckets = number(given, "max_buckets");
        drift.min_length = number(given, "min_length");
        drift.window = number(given, "window");
        drift.recent = number(given, "recent");
        drift.critical_gap = real(given, "critical_gap");
    }

    static Linear linear(const py::handle& item) {
        const auto given = item.cast<py::dict>();
        return {number(given, "inputs"), number(given, "outputs"), number(given, "stride"), number(given, "weights"),
                number(given, "biases")};
    }

    void read_cfc(const py::dict& given) {
        CfcPlan& cfc = plan_.cfc;
        const int mode = number(given, "mode");
        cfc.mode = mode == 0 ? CfcMode::gated : mode == 1 ? CfcMode::no_gate : CfcMode::pure;
        cfc.activation = number(given, "activation");
        for (const py::handle& item : given["blocks"].cast<py::list>()) {
            const auto block = item.cast<py::dict>();
            linear_arrays_.push_back(std::make_unique<std::vector<Linear>>());
            for (const py::handle& layer : block["backbone"].cast<py::list>()) linear_arrays_.back()->push_back(linear(layer));
            blocks_.push_back({number(block, "inputs"), number(block, "units"),
                               static_cast<int32_t>(linear_arrays_.back()->size()), linear_arrays_.back()->data(),
                               linear(block["heads"]), number(block, "w_tau"), number(block, "A")});
        }
        cfc.num_blocks = static_cast<int32_t>(blocks_.size());
        cfc.blocks = blocks_.data();
        cfc.working_size = number(given, "working_size");
        cfc.in_place = given["in_place"].cast<bool>();
        cfc.num_runs = static_cast<int32_t>(py::len(given["runs"]));
        cfc.runs = runs(given["runs"]);
        cfc.num_singles = static_cast<int32_t>(py::len(given["single_stored"]));
        cfc.single_stored = numbers(given["single_stored"]);
        cfc.single_working = numbers(given["single_working"]);
    }

    static Mapping mapping(int kind) { return kind == 0 ? Mapping::none : kind == 1 ? Mapping::linear : Mapping::affine; }

    SynapseList synapses(const py::handle& item) {
        const auto given = item.cast<py::dict>();
        return {number(given, "count"), numbers(given["start"]), numbers(given["source"]), number(given, "sigma"),
                number(given, "mu"),    number(given, "w"),      number(given, "erev")};
    }

    SynapseRounds rounds(const py::handle& item) {
        const auto given = item.cast<py::dict>();
        return {numbers(given["first_round"]),       numbers(given["synapse"]),
                numbers(given["source"]),            number(given, "num_source_vectors"),
                numbers(given["first_source_round"]), numbers(given["place"]),
                number(given, "places")};
    }

    void read_ltc(const py::dict& given) {
        LtcPlan& ltc = plan_.ltc;
        ltc.neurons = number(given, "neurons");
        ltc.unfolds = number(given, "unfolds");
        ltc.epsilon = real(given, "epsilon");
        ltc.implicit = given["implicit"].cast<bool>();
        ltc.input_mapping = mapping(number(given, "input_mapping"));
        ltc.output_mapping = mapping(number(given, "output_mapping"));
        ltc.recurrent = synapses(given["recurrent"]);
        ltc.sensory = synapses(given["sensory"]);
        ltc.gleak = number(given, "gleak");
        ltc.vleak = number(given, "vleak");
        ltc.cm = number(given, "cm");
        ltc.input_w = number(given, "input_w");
        ltc.input_b = number(given, "input_b");
        ltc.output_w = number(given, "output_w");
        ltc.output_b = number(given, "output_b");
        ltc.recurrent_rounds = rounds(given["recurrent_rounds"]);
        ltc.sensory_rounds = rounds(given["sensory_rounds"]);
        ltc.position = numbers(given["position"]);
        ltc.neuron = numbers(given["neuron"]);
        ltc.padded_neurons = number(given, "padded_neurons");
        ltc.padded_inputs = number(given, "padded_inputs");
    }

    Plan plan_{};
    std::vector<std::unique_ptr<std::vector<int32_t>>> int_arrays_;
    std::vector<std::unique_ptr<std::vector<Run>>> run_arrays_;
    std::vector<std::unique_ptr<std::vector<Linear>>> linear_arrays_;
    std::vector<Stretch> stretches_;
    std::vector<CfcBlock> blocks_;
};

}  // namespace liquid
