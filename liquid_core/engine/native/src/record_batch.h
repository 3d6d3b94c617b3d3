// Records as arrays, read from Python's objects in one go.
#pragma once

#include <pybind11/pybind11.h>

#include <array>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <vector>

#include "plan.h"

namespace liquid {

namespace py = pybind11;

// CRC-32 as zlib's: the fingerprint of a sample (admission.py) must be the same whoever makes it.
class Crc32 {
   public:
    void add(const void* data, size_t size) {
        const auto* bytes = static_cast<const uint8_t*>(data);
        for (size_t i = 0; i < size; ++i) value_ = table()[(value_ ^ bytes[i]) & 0xff] ^ (value_ >> 8);
    }
    // A number as its eight bytes; all that are no numbers count the same.
    void add(double number) {
        if (number != number) number = std::numeric_limits<double>::quiet_NaN();
        add(&number, sizeof number);
    }
    int64_t value() const { return static_cast<int64_t>(value_ ^ 0xffffffffu); }

   private:
    static const std::array<uint32_t, 256>& table() {
        static const std::array<uint32_t, 256> made = [] {
            std::array<uint32_t, 256> entries{};
            for (uint32_t i = 0; i < 256; ++i) {
                uint32_t entry = i;
                for (int bit = 0; bit < 8; ++bit) entry = entry & 1 ? 0xedb88320u ^ (entry >> 1) : entry >> 1;
                entries[i] = entry;
            }
            return entries;
        }();
        return made;
    }
    uint32_t value_ = 0xffffffffu;
};

class RecordBatch {
   public:
    // `sample_type`: records of this class are samples, all others labels.
    RecordBatch(const Plan& plan, const py::sequence& records, const py::handle& sample_type) {
        const size_t count = py::len(records);
        const auto features = static_cast<size_t>(plan.features), targets = static_cast<size_t>(plan.targets);
        const double missing = std::numeric_limits<double>::quiet_NaN();
        is_sample_.resize(count);
        has_label_.resize(count);
        seq_.resize(count);
        t_.resize(count);
        x_.assign(count * features, missing);
        y_.assign(count * targets, missing);
        fingerprint_.resize(count);
        static const py::str seq_name = py::reinterpret_steal<py::str>(PyUnicode_InternFromString("seq"));
        static const py::str t_name = py::reinterpret_steal<py::str>(PyUnicode_InternFromString("t"));
        static const py::str x_name = py::reinterpret_steal<py::str>(PyUnicode_InternFromString("x"));
        static const py::str y_name = py::reinterpret_steal<py::str>(PyUnicode_InternFromString("y"));
        for (size_t i = 0; i < count; ++i) {
            const py::object record = records[i];
            is_sample_[i] = reinterpret_cast<PyObject*>(Py_TYPE(record.ptr())) == sample_type.ptr();
            const py::object seq = py::getattr(record, seq_name), y = py::getattr(record, y_name);
            seq_[i] = PyLong_AsLongLong(seq.ptr());
            if (seq_[i] == -1 && PyErr_Occurred()) throw py::error_already_set();
            has_label_[i] = !y.is_none();
            if (has_label_[i]) read(y, targets, y_.data() + i * targets);
            if (!is_sample_[i]) continue;
            t_[i] = value(py::getattr(record, t_name));
            read(py::getattr(record, x_name), features, x_.data() + i * features);
            Crc32 crc;
            crc.add(t_[i]);
            for (size_t f = 0; f < features; ++f) crc.add(x_[i * features + f]);
            for (size_t j = 0; has_label_[i] && j < targets; ++j) crc.add(y_[i * targets + j]);
            const auto length = static_cast<uint8_t>(has_label_[i] ? targets : 0);
            crc.add(&length, 1);
            fingerprint_[i] = crc.value();
        }
    }

    Records view() const {
        return {static_cast<int64_t>(seq_.size()), is_sample_.data(), has_label_.data(), seq_.data(),
                t_.data(),                         x_.data(),         y_.data(),         fingerprint_.data()};
    }

   private:
    static double value(const py::handle& number) {
        const double read = PyFloat_AsDouble(number.ptr());
        if (read == -1.0 && PyErr_Occurred()) throw py::error_already_set();
        return read;
    }

    static void read(const py::object& values, size_t count, double* to) {
        if (!PyTuple_CheckExact(values.ptr()) || static_cast<size_t>(PyTuple_GET_SIZE(values.ptr())) != count) {
            throw std::invalid_argument("a record's values must be a tuple of as many numbers as its spec says");
        }
        for (size_t i = 0; i < count; ++i) to[i] = value(PyTuple_GET_ITEM(values.ptr(), static_cast<Py_ssize_t>(i)));
    }

    std::vector<uint8_t> is_sample_, has_label_;
    std::vector<int64_t> seq_, fingerprint_;
    std::vector<double> t_, x_, y_;
};

}  // namespace liquid
