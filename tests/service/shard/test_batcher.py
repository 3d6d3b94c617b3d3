"""The batcher: order within a stream, turns between streams, bounds, and that nothing is lost or handed out twice."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.messages import SampleIn, SampleResult
from service.problems import Problem
from service.shard.batcher import MAX_PER_STREAM, Batcher, Submission, Waiting
from service.shard.streams import HotStream

GONE = Problem("stream_not_found", "it is gone.")


def batcher(
    *,
    max_batch_size: int = 16,
    max_pending: int = 10_000,
    max_pending_per_stream: int = 10_000,
    max_queue_delay_ms: float = 1000.0,
    max_replay: int = 64,
) -> Batcher:
    return Batcher(
        max_batch_size=max_batch_size,
        max_pending=max_pending,
        max_pending_per_stream=max_pending_per_stream,
        max_queue_delay_ms=max_queue_delay_ms,
        max_replay=max_replay,
    )


def refusal(queue: Batcher, *offered: Submission) -> str | None:
    """The code with which the last of these is refused; `None` where all are taken."""
    for each in offered:
        try:
            queue.offer(each)
        except Problem as problem:
            return problem.code if problem.retry_after_s else f"{problem.code}, without a time to come back"
    return None


def submission(
    stream_id: str, count: int, *, first: int = 1, deadline: float | None = None, replay_length: int = 0
) -> Submission:
    """Samples of one stream, of which the batcher needs its id and how long its log is since its snapshot."""
    items = [SampleIn(seq=seq, t=float(seq), x=[0.0]) for seq in range(first, first + count)]
    return Submission(
        stream=cast(HotStream, SimpleNamespace(id=stream_id, replay_length=replay_length, under_way=0)),
        items=items,
        done=asyncio.get_running_loop().create_future(),
        deadline=deadline,
    )


async def next_batch(queue: Batcher) -> list[Waiting]:
    """As the pipeline takes them; empty at the end."""
    return queue.take() if await queue.wait() else []


def seqs(batch: list[Waiting]) -> list[tuple[str, Any]]:
    return [(waiting.stream.id, waiting.item.seq) for waiting in batch]


async def test_a_streams_records_keep_their_order() -> None:
    """Also over several requests and micro-batches."""
    queue = batcher(max_batch_size=3)
    for first in (1, 3, 5):
        queue.offer(submission("pump", 2, first=first))
    taken = seqs(await next_batch(queue)) + seqs(await next_batch(queue))
    assert taken == [("pump", seq) for seq in range(1, 7)]


async def test_streams_take_turns() -> None:
    """A thousand samples of one stream hold up a later stream's one sample by nothing."""
    queue = batcher()
    queue.offer(submission("flood", 900))
    queue.offer(submission("drop", 1))
    assert ("drop", 1) in seqs(await next_batch(queue))


async def test_a_log_gets_no_longer_than_a_replay_may_be() -> None:
    """The rest waits for the snapshot."""
    queue = batcher(max_replay=64)
    queue.offer(submission("pump", 5, replay_length=61))
    queue.offer(submission("valve", 5, replay_length=10))
    assert [stream_id for stream_id, _ in seqs(await next_batch(queue))] == ["pump"] * 3 + ["valve"] * 5
    assert queue.pending == 2


async def test_a_stream_is_under_way_until_all_its_requests_are_answered() -> None:
    """However they are."""
    queue = batcher()
    one, two = submission("pump", 1), submission("pump", 1)
    two.stream = one.stream
    for each in (one, two):
        queue.offer(each)
    assert one.stream.under_way == 2
    one.settle(SampleResult(seq=1, predictions=None))
    await asyncio.sleep(0)
    assert one.stream.under_way == 1
    queue.forget("pump", GONE)
    await asyncio.sleep(0)
    assert one.stream.under_way == 0
    assert isinstance(two.done.exception(), Problem)


async def test_who_had_a_turn_stands_behind_the_others() -> None:
    """With room for one record a micro-batch, each stream comes every third time."""
    queue = batcher(max_batch_size=1)
    for stream_id in "abc":
        queue.offer(submission(stream_id, 3))
    turns = [(await next_batch(queue))[0].stream.id for _ in range(9)]
    assert turns == [*"abcabcabc"]


async def test_many_streams_share_a_micro_batch() -> None:
    """Each comes with as many records as there is room for of all, and a newcomer with the next micro-batch."""
    queue = batcher(max_batch_size=12)
    for stream_id in "abcd":
        queue.offer(submission(stream_id, 100))
    assert [stream_id for stream_id, _ in seqs(await next_batch(queue))] == [*"aaabbbcccddd"]
    queue.offer(submission("new", 1))
    assert ("new", 1) in seqs(await next_batch(queue))


async def test_a_big_submission_is_spread_and_answered_whole() -> None:
    """It takes its turns, and its request is answered when the last of its items has an outcome."""
    queue = batcher()
    big = submission("pump", 2 * MAX_PER_STREAM + 1)
    queue.offer(big)
    sizes = []
    while queue.pending:
        assert not big.done.done()
        batch = await next_batch(queue)
        sizes.append(len(batch))
        for waiting in batch:
            waiting.submission.settle(SampleResult(seq=cast(int, waiting.item.seq), predictions=None))
    assert sizes == [MAX_PER_STREAM, MAX_PER_STREAM, 1]
    assert [cast(SampleResult, outcome).seq for outcome in await big.done] == [*range(1, 18)]


async def test_more_than_may_wait_is_refused() -> None:
    """With when to come back, and without changing what waits."""
    queue = batcher(max_pending=4)
    queue.offer(submission("a", 4))
    assert refusal(queue, submission("b", 1)) == "overloaded"
    assert queue.pending == 4
    await next_batch(queue)
    queue.offer(submission("b", 1))


async def test_a_stream_with_much_waiting_brings_no_more() -> None:
    """That is its caller's own doing: 429, while others are taken as before, and it is itself when it has caught up."""
    queue = batcher(max_pending_per_stream=20)
    queue.offer(submission("greedy", 15))
    assert refusal(queue, submission("greedy", 5)) is None
    assert refusal(queue, submission("greedy", 1)) == "rate_limited"
    assert refusal(queue, submission("polite", 20)) is None
    await next_batch(queue)
    assert refusal(queue, submission("greedy", 1)) is None


async def test_one_request_may_be_larger_than_what_a_stream_may_have_waiting() -> None:
    """If nothing of the stream waits yet."""
    queue = batcher(max_pending_per_stream=20)
    assert refusal(queue, submission("bulk", 1024)) is None
    assert refusal(queue, submission("bulk", 1)) == "rate_limited"


async def test_half_of_the_room_is_kept_for_those_who_ask_for_little() -> None:
    """However many ask for much: beyond half, only who stays within the fair share is taken."""
    queue = batcher(max_pending=2000, max_pending_per_stream=256)
    greedy = [refusal(queue, submission(f"greedy-{number}", 200)) for number in range(10)]
    assert greedy == [None] * 5 + ["overloaded"] * 5
    assert refusal(queue, submission("greedy-0", 1)) == "rate_limited"
    assert [refusal(queue, submission(f"polite-{number}", 1)) for number in range(500)] == [None] * 500
    assert queue.pending == 1500


async def test_polite_streams_can_take_all_the_room() -> None:
    """Nothing is kept for nobody."""
    queue = batcher(max_pending=100)
    assert [refusal(queue, submission(f"polite-{number}", 1)) for number in range(101)] == [None] * 100 + ["overloaded"]


async def test_what_cannot_begin_in_time_is_refused_at_once() -> None:
    """A caller that waits for less than its turn takes is told so before it has waited."""
    queue = batcher(max_batch_size=1)
    queue.cycle_took(0.4)
    queue.offer(submission("a", 1))
    now = asyncio.get_running_loop().time()
    assert refusal(queue, submission("b", 1, deadline=now + 0.3)) == "overloaded"
    assert refusal(queue, submission("b", 1, deadline=now + 0.5)) is None
    assert refusal(queue, submission("c", 1, deadline=now - 0.1)) == "overloaded"


async def test_whom_nobody_waits_for_any_more_has_no_turn() -> None:
    """Nothing of it is handed out, so nothing is applied; those behind it are."""
    queue = batcher(max_batch_size=2)
    late, then = submission("a", 3, deadline=asyncio.get_running_loop().time() + 0.01), submission("a", 1, first=4)
    queue.offer(late)
    queue.offer(then)
    await asyncio.sleep(0.02)
    assert seqs(queue.take()) == [("a", 4)]
    with pytest.raises(Problem, match="nothing was applied") as refused:
        await late.done
    assert refused.value.code == "overloaded"
    assert queue.pending == 0


async def test_what_has_begun_is_not_given_up() -> None:
    """A request is applied whole, or not at all."""
    queue = batcher(max_batch_size=2)
    queue.offer(submission("a", 3, deadline=asyncio.get_running_loop().time() + 0.01))
    taken = seqs(queue.take())
    await asyncio.sleep(0.02)
    assert taken + seqs(queue.take()) == [("a", 1), ("a", 2), ("a", 3)]


async def test_whose_turn_would_come_too_late_is_refused() -> None:
    """Three micro-batches of 0.4 s lie ahead of a stream's own queue, but none of another stream's."""
    queue = batcher(max_queue_delay_ms=1000)
    queue.cycle_took(0.4)
    queue.offer(submission("slow", 3 * MAX_PER_STREAM))
    with pytest.raises(Problem, match="of this stream") as refused:
        queue.offer(submission("slow", 1))
    assert (refused.value.code, refused.value.retry_after_s) == ("rate_limited", pytest.approx(1.2))
    queue.offer(submission("other", 1))


async def test_the_estimate_counts_the_turns_of_the_others() -> None:
    """Four streams with four turns each are eight micro-batches, however the one that asks is placed among them."""
    queue = batcher(max_batch_size=2 * MAX_PER_STREAM, max_queue_delay_ms=7900)
    for stream_id in "abcd":
        queue.offer(submission(stream_id, 4 * MAX_PER_STREAM))
    queue.cycle_took(1.0)
    with pytest.raises(Problem, match="too many") as refused:
        queue.offer(submission("a", 1))
    assert (refused.value.code, refused.value.retry_after_s) == ("rate_limited", pytest.approx(8.0))


async def test_whom_others_hold_up_is_told_that_it_is_not_its_doing() -> None:
    """Forty others with one record each fill two micro-batches before its own."""
    queue = batcher(max_queue_delay_ms=1000)
    for number in range(40):
        queue.offer(submission(f"other-{number}", 1))
    queue.cycle_took(0.6)
    assert refusal(queue, submission("new", 1)) == "overloaded"


async def test_a_micro_batch_is_waited_for() -> None:
    """Nothing waits: the next micro-batch comes with the next record."""
    queue = batcher()
    coming = asyncio.create_task(next_batch(queue))
    await asyncio.sleep(0)
    assert not coming.done()
    queue.offer(submission("pump", 1))
    assert seqs(await coming) == [("pump", 1)]


async def test_forgetting_answers_what_waits() -> None:
    """Also the rest of a request that is half taken; other streams go on."""
    queue = batcher()
    half, waits, other = submission("pump", 12), submission("pump", 1, first=13), submission("valve", 1)
    queue.offer(half)
    await next_batch(queue)
    queue.offer(waits)
    queue.offer(other)
    queue.forget("pump", GONE)
    for lost in (half, waits):
        with pytest.raises(Problem, match="gone"):
            await lost.done
    assert queue.pending == 1
    assert seqs(await next_batch(queue)) == [("valve", 1)]


async def test_closing_drains() -> None:
    """What was taken is still handed out, nothing more is taken, and then comes the end."""
    queue = batcher()
    queue.offer(submission("pump", 1))
    queue.close()
    with pytest.raises(Problem, match="stopping") as refused:
        queue.offer(submission("pump", 1))
    assert refused.value.code == "draining"
    assert seqs(await next_batch(queue)) == [("pump", 1)]
    assert await next_batch(queue) == []


async def test_closing_wakes_who_waits() -> None:
    """An empty batcher ends at once."""
    queue = batcher()
    coming = asyncio.create_task(next_batch(queue))
    await asyncio.sleep(0)
    queue.close()
    assert await coming == []


async def test_aborting_answers_everybody() -> None:
    """Nobody is left waiting for a batcher that hands out nothing more."""
    queue = batcher()
    waiting = [submission(stream_id, 2) for stream_id in "aab"]
    for each in waiting:
        queue.offer(each)
    queue.abort(GONE)
    for each in waiting:
        with pytest.raises(Problem, match="gone"):
            await each.done
    assert queue.pending == 0
    assert await next_batch(queue) == []


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("offer"), st.sampled_from("abc"), st.integers(1, 20)),
        st.tuples(st.just("take"), st.just(""), st.just(0)),
        st.tuples(st.just("forget"), st.sampled_from("abc"), st.just(0)),
    ),
    max_size=40,
)


@given(operations=OPERATIONS, max_batch_size=st.integers(1, 20))
def test_nothing_is_lost_doubled_or_overtaken(operations: list[tuple[str, str, int]], max_batch_size: int) -> None:
    """Whatever the sequence of offers, takes and forgets: what is taken comes in order, once, and `pending` is true."""

    async def run() -> None:
        queue = batcher(max_batch_size=max_batch_size, max_pending=10**6, max_pending_per_stream=10**6)
        waiting: dict[str, list[int]] = {stream_id: [] for stream_id in "abc"}
        offered = dict.fromkeys("abc", 0)
        for operation, stream_id, count in operations:
            if operation == "offer":
                queue.offer(submission(stream_id, count, first=offered[stream_id] + 1))
                waiting[stream_id] += range(offered[stream_id] + 1, offered[stream_id] + count + 1)
                offered[stream_id] += count
            elif operation == "forget":
                queue.forget(stream_id, GONE)
                waiting[stream_id] = []
            elif queue.pending:
                _take(await next_batch(queue), waiting, max_batch_size)
            assert queue.pending == sum(map(len, waiting.values()))
        while queue.pending:
            _take(await next_batch(queue), waiting, max_batch_size)
        assert not any(waiting.values())

    asyncio.run(run())


def _take(batch: list[Waiting], waiting: dict[str, list[int]], max_batch_size: int) -> None:
    assert 0 < len(batch) <= max_batch_size
    for stream_id, seq in seqs(batch):
        assert waiting[stream_id].pop(0) == seq
    assert all([stream_id for stream_id, _ in seqs(batch)].count(each) <= MAX_PER_STREAM for each in "abc")
