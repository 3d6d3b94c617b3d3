// The threads that share the tasks of a batch.
#pragma once

#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace liquid {

// Runs tasks on the calling thread and `size - 1` others, which wait in between. Not to be used by two callers at a time.
class Crew {
   public:
    explicit Crew(int size) : size_(size) {}
    ~Crew() { dismiss(); }
    Crew(const Crew&) = delete;
    Crew& operator=(const Crew&) = delete;

    // Calls `work(thread, task)` once for every task in [0, tasks), on whichever thread is free.
    void run(int64_t tasks, const std::function<void(int, int64_t)>& work) {
        next_ = 0;
        if (size_ <= 1 || tasks <= 1) {
            for (int64_t task = 0; task < tasks; ++task) work(0, task);
            return;
        }
        hire();
        {
            const std::lock_guard<std::mutex> lock(state_->mutex);
            work_ = &work;
            tasks_ = tasks;
            state_->busy = size_ - 1;
            ++state_->round;
        }
        state_->begin.notify_all();
        share(0);
        std::unique_lock<std::mutex> lock(state_->mutex);
        state_->end.wait(lock, [this] { return state_->busy == 0; });
    }

   private:
    struct State {
        std::mutex mutex;
        std::condition_variable begin, end;
        int busy = 0;
        uint64_t round = 0;
        bool over = false;
        std::vector<std::thread> threads;
    };

    // Threads do not survive a fork: a child hires its own, and leaves the parent's state alone.
    void hire() {
        if (state_ != nullptr && owner_ == getpid()) return;
        if (state_ != nullptr) (void)state_.release();
        state_ = std::make_unique<State>();
        owner_ = getpid();
        State* state = state_.get();
        for (int thread = 1; thread < size_; ++thread) {
            state->threads.emplace_back([this, state, thread] { serve(state, thread); });
        }
    }

    void serve(State* state, int thread) {
        uint64_t seen = 0;
        for (;;) {
            {
                std::unique_lock<std::mutex> lock(state->mutex);
                state->begin.wait(lock, [&] { return state->over || state->round != seen; });
                if (state->over) return;
                seen = state->round;
            }
            share(thread);
            const std::lock_guard<std::mutex> lock(state->mutex);
            if (--state->busy == 0) state->end.notify_one();
        }
    }

    void share(int thread) {
        for (int64_t task; (task = next_.fetch_add(1)) < tasks_;) (*work_)(thread, task);
    }

    void dismiss() {
        if (state_ == nullptr) return;
        if (owner_ != getpid()) {
            (void)state_.release();
            return;
        }
        {
            const std::lock_guard<std::mutex> lock(state_->mutex);
            state_->over = true;
        }
        state_->begin.notify_all();
        for (std::thread& thread : state_->threads) thread.join();
    }

    int size_;
    pid_t owner_ = 0;
    std::unique_ptr<State> state_;
    const std::function<void(int, int64_t)>* work_ = nullptr;
    int64_t tasks_ = 0;
    std::atomic<int64_t> next_{0};
};

}  // namespace liquid
