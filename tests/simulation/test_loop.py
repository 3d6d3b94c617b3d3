"""Virtual time, and processes that stop and end between any two callbacks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.simulation.loop import NothingWillHappen, Process, VirtualLoop

Story = Callable[[VirtualLoop], Awaitable[None]]


def play(story: Story) -> float:
    """Run a story on a loop of its own; the time at which it ends."""
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(lambda: 0.5)) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)
        runner.run(story(loop))
        return loop.time()


async def count(into: list[float], every_s: float, times: int) -> None:
    for _ in range(times):
        await asyncio.sleep(every_s)
        into.append(asyncio.get_running_loop().time())


def test_hours_pass_in_no_time() -> None:
    """Sleeping sets the clock, to the very moment that was asked for."""

    async def story(_: VirtualLoop) -> None:
        await asyncio.sleep(7200.0)

    assert play(story) == 7200.0


def test_waiting_for_nothing_is_an_error() -> None:
    """A real loop would hang."""

    async def story(loop: VirtualLoop) -> None:
        await loop.create_future()

    with pytest.raises(NothingWillHappen):
        play(story)


def test_a_paused_process_misses_no_callback_and_sees_the_time_pass() -> None:
    """What came due meanwhile comes when it goes on; others are not held up."""
    here, there = [], []

    async def story(loop: VirtualLoop) -> None:
        process = Process(loop, "a")
        process.spawn(count(here, 1.0, 3))
        other = asyncio.create_task(count(there, 1.0, 3))
        await asyncio.sleep(1.5)
        process.pause()
        await asyncio.sleep(8.5)
        process.resume()
        await asyncio.sleep(2.0)
        await other

    play(story)

    assert here == [1.0, 10.0, 11.0]
    assert there == [1.0, 2.0, 3.0]


def test_a_timer_that_was_cancelled_after_a_pause_does_not_fire() -> None:
    """Both came due meanwhile; the first one, when it runs at last, takes the second one back."""
    fired = []

    async def story(loop: VirtualLoop) -> None:
        process = Process(loop, "a")
        second = loop.call_later(3.0, fired.append, "second", context=process.context)
        process.call_later(2.0, second.cancel)
        process.call_later(4.0, fired.append, "third")
        await asyncio.sleep(1.0)
        process.pause()
        await asyncio.sleep(9.0)
        process.resume()
        await asyncio.sleep(1.0)

    play(story)

    assert fired == ["third"]


def test_an_ended_process_does_nothing_more() -> None:
    """No line of it runs, not even its `finally`, and who watches is told at once."""
    done = []

    async def work() -> None:
        try:
            await asyncio.sleep(2.0)
            done.append("worked")
        finally:
            done.append("cleaned up")

    async def story(loop: VirtualLoop) -> None:
        process = Process(loop, "a")
        process.at_end(lambda: done.append(f"ended at {loop.time()}"))
        task = process.spawn(work())
        await asyncio.sleep(1.0)
        process.end()
        await asyncio.sleep(9.0)
        process.resume()
        await asyncio.sleep(9.0)
        assert done == ["ended at 1.0"]
        process.clear_away()
        await task

    play(story)


@pytest.mark.parametrize("callbacks", range(8))
def test_a_process_ends_between_any_two_callbacks(callbacks: int) -> None:
    """So many run, and no more."""
    done: list[float] = []

    async def story(loop: VirtualLoop) -> None:
        process = Process(loop, "a")
        task = process.spawn(count(done, 1.0, 9))
        process.end_after(callbacks)
        await asyncio.sleep(20.0)
        assert process.ended
        assert len(done) == max(0, callbacks - 1) // 2  # a sleep is two: its timer, and the task's next step
        process.clear_away()
        await task

    play(story)


def test_work_for_one_thread_is_done_in_order() -> None:
    """Each piece takes its time; another executor works beside it."""
    done: list[tuple[str, float]] = []

    async def story(loop: VirtualLoop) -> None:
        with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
            await asyncio.gather(
                *(
                    loop.run_in_executor(executor, lambda name=name: done.append((name, loop.time())))
                    for name, executor in (("first", one), ("second", one), ("other", other))
                )
            )

    play(story)

    assert done == [("first", 0.5), ("other", 0.5), ("second", 1.0)]
