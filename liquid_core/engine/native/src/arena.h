// Memory of a workspace: laid out once, in two passes of the same code, first to measure and then to hand out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

#include "simd.h"

namespace liquid {
namespace LIQUID_ISA {

class Arena {
   public:
    // An array of `count` zeros with a whole vector of slack behind it: kernels read and write whole vectors.
    template <class T>
    T* take(int64_t count) {
        const size_t size = (static_cast<size_t>(count) * sizeof(T) + LIQUID_VECTOR_BYTES + kAlignment - 1) & ~(kAlignment - 1);
        uint8_t* start = base_ == nullptr ? nullptr : base_ + used_;
        used_ += size;
        return reinterpret_cast<T*>(start);
    }

    size_t used() const { return used_; }

    // Begin to hand out; false where there is not enough memory.
    bool allocate() {
        void* memory = nullptr;
        if (posix_memalign(&memory, kAlignment, used_ + kAlignment) != 0) return false;
        std::memset(memory, 0, used_ + kAlignment);
        base_ = static_cast<uint8_t*>(memory);
        used_ = 0;
        return true;
    }

    void free() {
        std::free(base_);
        base_ = nullptr;
    }

   private:
    static constexpr size_t kAlignment = 64;
    uint8_t* base_ = nullptr;
    size_t used_ = 0;
};

}  // namespace LIQUID_ISA
}  // namespace liquid
