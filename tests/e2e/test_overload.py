"""More than the server can do: what is refused is told when to come back, nothing grows, and the polite are served."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from benchmarks.traffic import Tally, open_loop
from liquidstream_client import AsyncClient, ConnectionFailed, RateLimited, RetryPolicy, Unavailable
from service.child_server import ChildServer

SPEC = {"task": "forecast", "features": ["value"], "late": "clamp", "learner": {"window": 4}}
MAX_PENDING, PER_STREAM = 256, 32
POLITE = 20
PATIENT = RetryPolicy(max_attempts=100, max_delay_s=0.5, give_up_after_s=100.0)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChildServer]:
    """A server whose queue is short."""
    variables = {
        "LIQUID_MAX_PENDING": str(MAX_PENDING),
        "LIQUID_MAX_PENDING_PER_STREAM": str(PER_STREAM),
        "LIQUID_MAX_SESSIONS": "3",
    }
    with ChildServer(tmp_path_factory.mktemp("server"), variables) as server:
        with httpx.Client(base_url=server.url) as http:
            for name in ("greedy", *(f"polite-{number}" for number in range(POLITE))):
                http.put(f"/v1/streams/{name}", json=SPEC).raise_for_status()
        yield server


async def metric(http: httpx.AsyncClient, name: str) -> float:
    found = re.findall(rf"^{name}(?:{{.*}})? (\S+)$", (await http.get("/metrics")).text, re.MULTILINE)
    return sum(map(float, found))


async def polite(client: AsyncClient, number: int) -> list[int]:
    """A stream that sends one sample after the other, and comes back when it is told to."""
    stream = client.stream(f"polite-{number}")
    return [(await stream.send(t=float(t), x=[1.0])).seq for t in range(5)]


async def test_a_greedy_stream_starves_nobody(server: ChildServer) -> None:
    """Far more than can be done of one stream, by single requests, and twenty others beside it.

    The others are all answered, the greedy one hears 429 or 503 and when to come back, no request is lost, and no more
    waits than may.
    """
    flood = asyncio.create_task(open_loop(server.url.removeprefix("http://"), ["greedy"], 3000.0, 4.0))
    depths: list[float] = []
    async with AsyncClient(server.url, retry=PATIENT) as client, httpx.AsyncClient(base_url=server.url) as http:

        async def watch() -> None:
            while not flood.done():
                depths.append(await metric(http, "liquid_queue_depth"))
                await asyncio.sleep(0.1)

        watching = asyncio.create_task(watch())
        seqs = await asyncio.gather(*(polite(client, number) for number in range(POLITE)))
        tally: Tally = await flood
        await watching
        assert (await http.get("/livez")).status_code == 200
        refused = sum(tally.refused.values())
        counted = await metric(http, "liquid_requests_refused_total") + await metric(
            http, "liquid_queue_rejected_total"
        )
    assert seqs == [[1, 2, 3, 4, 5]] * POLITE
    assert set(tally.refused) <= {429, 503}
    assert tally.refused[429] + tally.refused[503] > 0
    assert (tally.without_retry_after, tally.lost) == (0, 0)
    assert tally.seconds, "even the greedy stream is served"
    assert counted >= refused
    assert max(depths) <= MAX_PENDING


async def test_a_large_request_is_taken_and_the_next_one_has_to_wait(server: ChildServer) -> None:
    """A thousand samples may come at once; while they wait, more of the same stream is its caller's own doing."""
    many = [{"t": float(t), "x": [1.0]} for t in range(1000)]
    async with AsyncClient(server.url, retry=RetryPolicy(max_attempts=1)) as client:
        large = await client.create_stream("large", SPEC)
        sending = asyncio.create_task(client.send_many("large", many))
        while (await large.info()).last_seq == 0:  # until it is there: it comes alone, or not at all
            assert not sending.done()
        refusals: list[Exception] = []
        while not sending.done():
            try:
                await client.send("large", t=5000.0, x=[1.0])
            except (RateLimited, Unavailable) as refusal:
                refusals.append(refusal)
        assert len(await sending) == 1000
        assert any(isinstance(refusal, RateLimited) for refusal in refusals)
        assert all(refusal.retry_after_s for refusal in refusals)  # type: ignore[attr-defined]
        assert (await large.info()).last_seq >= 1000


async def test_an_ingest_waits_instead_of_being_refused(server: ChildServer) -> None:
    """However short the queue: two thousand lines of one stream, and every one is answered in its place."""
    async with AsyncClient(server.url) as client:
        await client.create_stream("backlog", SPEC)
        lines = ({"stream": "backlog", "t": float(seq), "x": [1.0], "seq": seq} for seq in range(1, 2001))
        answers = [answer async for answer in client.ingest(lines)]
    assert [answer.seq for answer in answers] == list(range(1, 2001))  # type: ignore[union-attr]


async def test_sessions_are_bounded(server: ChildServer) -> None:
    """One more than there may be is refused before it opens."""
    once = RetryPolicy(max_attempts=1)
    async with AsyncClient(server.url, retry=once) as client, client.session(), client.session(), client.session():
        one_more = client.session()
        with pytest.raises(ConnectionFailed, match="overloaded"):
            await one_more.open()


def test_the_log_is_quiet(server: ChildServer) -> None:
    """What is refused is counted, not written down; and nothing failed."""
    log = Path(server.log).read_text()
    assert "Traceback" not in log
    assert "internal_error" not in log
    assert len(log) < 100_000
