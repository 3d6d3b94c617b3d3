// The extension module: which instruction sets there are, and an engine that steps rows with one of them.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "crew.h"
#include "plan_storage.h"
#include "record_batch.h"

namespace liquid {

#define DECLARE(isa)                            \
    namespace isa {                             \
    const InstructionSet& instruction_set();    \
    }
#ifdef LIQUID_HAS_V4
DECLARE(v4)
#endif
#ifdef LIQUID_HAS_V3
DECLARE(v3)
#endif
#ifdef LIQUID_HAS_V2
DECLARE(v2)
#endif
#ifdef LIQUID_HAS_ARM64
DECLARE(arm64)
#endif
#undef DECLARE

namespace {

// An instruction set that kernels were built for. Asking a set for itself runs code of that set, so of those that this
// processor cannot run only the address is taken.
struct Built {
    const char* name;
    const InstructionSet& (*get)();
    bool supported;
};

// The best one first.
std::vector<Built> all_built() {
    std::vector<Built> built;
#if defined(__x86_64__)
    __builtin_cpu_init();
    [[maybe_unused]] const bool v2 = __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
    [[maybe_unused]] const bool v3 =
        v2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
    [[maybe_unused]] const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                                     __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                                     __builtin_cpu_supports("avx512vl");
#endif
#ifdef LIQUID_HAS_V4
    built.push_back({"x86-64-v4", v4::instruction_set, v4});
#endif
#ifdef LIQUID_HAS_V3
    built.push_back({"x86-64-v3", v3::instruction_set, v3});
#endif
#ifdef LIQUID_HAS_V2
    built.push_back({"x86-64-v2", v2::instruction_set, v2});
#endif
#ifdef LIQUID_HAS_ARM64
    built.push_back({"arm64", arm64::instruction_set, true});
#endif
    return built;
}

const InstructionSet& find(const std::string& name) {
    for (const Built& built : all_built()) {
        if (built.name == name && built.supported) return built.get();
    }
    throw std::invalid_argument("this processor cannot run kernels for " + name);
}

std::vector<std::string> names(bool supported_only) {
    std::vector<std::string> found;
    for (const Built& built : all_built()) {
        if (built.supported || !supported_only) found.emplace_back(built.name);
    }
    return found;
}

// Lanes of one vector.
int width(const std::string& isa, bool wide) {
    const int bytes = isa == "x86-64-v4" ? 64 : isa == "x86-64-v3" ? 32 : 16;
    return bytes / (wide ? 8 : 4);
}

class Engine {
   public:
    Engine(const std::string& isa, bool wide, const py::dict& plan, const py::object& sample_type, int threads,
           int64_t max_workspace_bytes)
        : storage_(plan),
          kernels_(wide ? find(isa).f64 : find(isa).f32),
          real_bytes_(wide ? 8 : 4),
          sample_type_(sample_type),
          group_size_(kernels_.group_size(storage_.plan())),
          crew_(threads) {
        if (threads < 1) throw std::invalid_argument("there must be a thread");
        if (workspace_bytes() > max_workspace_bytes) throw std::bad_alloc();
        for (int thread = 0; thread < threads; ++thread) {
            void* workspace = kernels_.make_workspace(storage_.plan());
            if (workspace == nullptr) {
                free_workspaces();
                throw std::bad_alloc();
            }
            workspaces_.push_back(workspace);
        }
    }
    ~Engine() { free_workspaces(); }
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;

    py::tuple step(py::array_t<uint8_t, py::array::c_style> rows, const std::vector<int64_t>& slots,
                   const py::sequence& records) {
        const Plan& plan = storage_.plan();
        if (rows.ndim() != 2 || rows.shape(1) != plan.row_bytes) throw std::invalid_argument("rows are not of this spec");
        if (slots.size() != py::len(records)) throw std::invalid_argument("there must be one slot a record");
        for (const int64_t slot : slots) {
            if (slot < 0 || slot >= rows.shape(0)) throw std::invalid_argument("a slot lies outside the rows");
        }
        const RecordBatch batch(plan, records, sample_type_);
        Arrays arrays(static_cast<int64_t>(slots.size()), plan.outputs, plan.medians);
        uint8_t* first_row = rows.mutable_data();
        const Results results = arrays.results;
        {
            const py::gil_scoped_release released;
            step_rows(first_row, slots, batch.view(), results);
        }
        return arrays.all();
    }

    py::tuple look_ahead(py::array_t<uint8_t, py::array::c_style> row, const py::sequence& records) {
        const Plan& plan = storage_.plan();
        if (row.ndim() != 1 || row.shape(0) != plan.row_bytes) throw std::invalid_argument("the row is not of this spec");
        if (py::len(records) != 1) throw std::invalid_argument("one sample at a time");
        const RecordBatch batch(plan, records, sample_type_);
        Arrays arrays(1, plan.outputs, plan.medians);
        kernels_.look_ahead(workspaces_[0], batch.view(), arrays.results, row.mutable_data());
        return arrays.all();
    }

    py::tuple lesson(py::array_t<uint8_t, py::array::c_style> row, int64_t anchor,
                     py::array_t<double, py::array::c_style | py::array::forcecast> targets,
                     py::array_t<bool, py::array::c_style | py::array::forcecast> known, bool grouped) {
        const Plan& plan = storage_.plan();
        if (row.ndim() != 1 || row.shape(0) != plan.row_bytes) throw std::invalid_argument("the row is not of this spec");
        if (targets.size() != plan.outputs || known.size() != plan.outputs) throw std::invalid_argument("one target an output");
        if (grouped && group_size_ == 1) throw std::invalid_argument("this cell has no kernel for groups");
        const py::dtype real(real_bytes_ == 8 ? "float64" : "float32");
        using Shape = std::vector<py::ssize_t>;
        py::array loss(real, Shape{}), gradient(real, Shape{plan.num_params});
        py::array features(real, Shape{plan.outputs, plan.readout_features}), error(real, Shape{plan.outputs});
        kernels_.lesson(workspaces_[0], row.mutable_data(), anchor, targets.data(),
                        reinterpret_cast<const uint8_t*>(known.data()), grouped,
                        {loss.mutable_data(), gradient.mutable_data(), features.mutable_data(), error.mutable_data()});
        return py::make_tuple(loss, gradient, features, error);
    }

    int group_size() const { return group_size_; }
    int64_t workspace_bytes() const { return kernels_.workspace_bytes(storage_.plan()); }

   private:
    // The arrays that a step answers with.
    struct Arrays {
        py::array_t<double> prediction, median, half_width, anomaly, surprise;
        py::array_t<bool> drift;
        py::array_t<int8_t> update;
        Results results;

        Arrays(int64_t records, int64_t outputs, int64_t medians)
            : prediction({records, outputs}),
              median({records, medians}),
              half_width({records, outputs}),
              anomaly(records),
              surprise(records),
              drift(records),
              update(records) {
            const auto count = static_cast<size_t>(records), values = count * static_cast<size_t>(outputs);
            results = {prediction.mutable_data(), median.mutable_data(), half_width.mutable_data(), anomaly.mutable_data(),
                       surprise.mutable_data(), reinterpret_cast<uint8_t*>(drift.mutable_data()), update.mutable_data()};
            std::fill_n(results.prediction, values, 0.0);
            std::fill_n(results.median, count * static_cast<size_t>(medians), 0.0);
            std::fill_n(results.half_width, values, 0.0);
            std::fill_n(results.anomaly, count, -1.0);
            std::fill_n(results.surprise, count, -1.0);
            std::fill_n(results.drift, count, uint8_t{0});
            std::fill_n(results.update, count, int8_t{0});
        }
        py::tuple all() const { return py::make_tuple(prediction, median, half_width, anomaly, surprise, drift, update); }
    };

    void step_rows(uint8_t* first_row, const std::vector<int64_t>& slots, const Records& records, const Results& results) {
        const std::vector<int64_t> order = sort_into_chains(first_row, slots);
        const auto chains = static_cast<int64_t>(chains_.size());
        const int64_t tasks = (chains + group_size_ - 1) / group_size_;
        crew_.run(tasks, [&](int thread, int64_t task) {
            const int64_t from = task * group_size_;
            const auto count = static_cast<int32_t>(std::min<int64_t>(group_size_, chains - from));
            void* workspace = workspaces_[static_cast<size_t>(thread)];
            if (group_size_ == 1) {
                kernels_.step_chain(workspace, records, results, chains_[static_cast<size_t>(from)]);
            } else {
                kernels_.step_group(workspace, records, results, &chains_[static_cast<size_t>(from)], count);
            }
        });
    }

    // The records of each slot, in order; chains of like length beside each other, so that groups stay full.
    std::vector<int64_t> sort_into_chains(uint8_t* first_row, const std::vector<int64_t>& slots) {
        std::vector<int64_t> order(slots.size());
        for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int64_t>(i);
        std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
            return slots[static_cast<size_t>(a)] < slots[static_cast<size_t>(b)];
        });
        chains_.clear();
        for (size_t i = 0; i < order.size();) {
            const int64_t slot = slots[static_cast<size_t>(order[i])];
            size_t end = i;
            while (end < order.size() && slots[static_cast<size_t>(order[end])] == slot) ++end;
            chains_.push_back({first_row + slot * storage_.plan().row_bytes, &order[i], static_cast<int64_t>(end - i)});
            i = end;
        }
        std::stable_sort(chains_.begin(), chains_.end(), [](const Chain& a, const Chain& b) { return a.count > b.count; });
        return order;
    }

    void free_workspaces() {
        for (void* workspace : workspaces_) kernels_.free_workspace(workspace);
        workspaces_.clear();
    }

    PlanStorage storage_;
    Kernels kernels_;
    int real_bytes_;
    py::object sample_type_;
    int group_size_;
    Crew crew_;
    std::vector<void*> workspaces_;
    std::vector<Chain> chains_;
};

}  // namespace
}  // namespace liquid

PYBIND11_MODULE(_kernels, module) {
    using liquid::Engine;
    module.doc() = "Native kernels of the learner; use liquid_core.engine.native.NativeEngine.";
    module.attr("compiler") = __VERSION__;
    module.def("built", [] { return liquid::names(false); }, "Instruction sets that kernels were built for, the best first.");
    module.def("supported", [] { return liquid::names(true); }, "Those of them that this processor can run.");
    module.def("width", &liquid::width, pybind11::arg("isa"), pybind11::arg("wide"), "Lanes of a vector of float, or double.");
    module.def(
        "ceiling",
        [](const std::string& isa) {
            const liquid::Ceiling found = liquid::find(isa).ceiling();
            pybind11::dict made;
            made["fma_gflops"] = found.fma_gflops;
            made["sigmoid_ns"] = found.sigmoid_ns;
            return made;
        },
        pybind11::arg("isa"), "What this core can do: GFLOP/s of multiply-adds out of its caches, nanoseconds a sigmoid.");
    pybind11::class_<Engine>(module, "Engine")
        .def(pybind11::init<const std::string&, bool, const pybind11::dict&, const pybind11::object&, int, int64_t>(),
             pybind11::arg("isa"), pybind11::arg("wide"), pybind11::arg("plan"), pybind11::arg("sample_type"),
             pybind11::arg("threads"), pybind11::arg("max_workspace_bytes"))
        .def("step", &Engine::step, pybind11::arg("rows"), pybind11::arg("slots"), pybind11::arg("records"))
        .def("look_ahead", &Engine::look_ahead, pybind11::arg("row"), pybind11::arg("records"))
        .def("lesson", &Engine::lesson, pybind11::arg("row"), pybind11::arg("anchor"), pybind11::arg("targets"),
             pybind11::arg("known"), pybind11::arg("grouped"))
        .def_property_readonly("group_size", &Engine::group_size)
        .def_property_readonly("workspace_bytes", &Engine::workspace_bytes);
}
