"""A server that is killed at any moment, and a store that is, and not a bit is lost.

What counts as right is the fold: the engine, in this process, applied once to each record in order. A killed and
restarted server must give the same answers and end in the same state, bit for bit.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest
from river import datasets
from safetensors.numpy import load

from liquid_core.engine.engine import build_engine
from liquid_core.engine.records import Label, Record, Sample
from liquid_core.engine.slab import Slab
from liquid_core.spec import ModelSpec
from service.child_server import ChildServer
from service.settings import Settings
from service.shard import answers

pytestmark = pytest.mark.timeout(240)

#: Snapshots every few records, so that crashes fall before, into and after them.
OFTEN = {"LIQUID_SNAPSHOT_EVERY": "8", "LIQUID_SNAPSHOT_IDLE_S": "0.5", "OMP_NUM_THREADS": "1"}
LATE_BY = 3


@dataclass
class Plan:
    """One stream: its spec, its records in order, and what came back."""

    stream_id: str
    spec: ModelSpec
    records: list[Record]
    answers: dict[int, Any] = field(default_factory=dict)
    repeats: int = 0
    failure: BaseException | None = None


def water(stream_id: str, length: int, **model: Any) -> Plan:
    """Hourly water flow with its own gaps in time."""
    rows = list(datasets.WaterFlow())[:length]  # read whole, so that the file is closed
    records = [Sample(seq=n, t=x["Time"].timestamp(), x=(float(y),)) for n, (x, y) in enumerate(rows, 1)]
    spec = {"task": "forecast", "features": ["flow"], "horizon": [1, 3], "learner": {"window": 5}} | model
    return Plan(stream_id, ModelSpec.from_json(msgspec.json.encode(spec)), records)


def phishing(stream_id: str, length: int) -> Plan:
    """Web sites as they come, whose labels arrive three sites late."""
    rows = list(datasets.Phishing())[:length]
    records: list[Record] = []
    for n, (x, _) in enumerate(rows, 1):
        records.append(Sample(seq=n, t=float(n), x=tuple(float(value) for value in x.values())))
        if n > LATE_BY:
            records.append(Label(seq=n - LATE_BY, y=(float(rows[n - LATE_BY - 1][1]),)))
    spec = {
        "task": "classification",
        "features": list(rows[0][0]),
        "classes": ["honest", "phishing"],
        "cell": {"kind": "cfc", "units": 6, "backbone_units": 8},
        "learner": {"window": 4},
    }
    return Plan(stream_id, ModelSpec.from_json(msgspec.json.encode(spec)), records)


def plans(length: int) -> list[Plan]:
    small = {"kind": "auto_ncp", "units": 8, "outputs": 2}
    return [
        water("dense", length, cell={"kind": "cfc", "units": 8, "backbone_units": 12}),
        water("wired", length, cell="ltc", wiring=small),
        phishing("sites", length // 2),
    ]


def fold(plan: Plan) -> tuple[dict[int, Any], dict[str, Any]]:
    """Answers by seq and final arrays of the uninterrupted stream."""
    engine = build_engine(plan.spec, Settings().engine)
    slab = Slab(engine.layout)
    slot = slab.load(engine.initial_row())
    results = engine.step(slab, [slot] * len(plan.records), plan.records)
    expected = {}
    for index, record in enumerate(plan.records):
        if isinstance(record, Sample):
            made = answers.predictions(plan.spec, results.prediction[index], results.half_width[index])
            expected[record.seq] = msgspec.to_builtins(made)
    return expected, {name: view[0] for name, view in engine.layout.views(slab.read(slot)[None]).items()}


class Sender(threading.Thread):
    """Sends a plan's records one by one; what was not acknowledged is sent again, unchanged."""

    def __init__(self, url: str, plan: Plan) -> None:
        super().__init__(name=plan.stream_id)
        self.url, self.plan = url, plan

    def run(self) -> None:
        try:
            with httpx.Client(base_url=f"{self.url}/v1/streams/{self.plan.stream_id}", timeout=20) as http:
                for record in self.plan.records:
                    self._send(http, record)
        except BaseException as error:
            self.plan.failure = error

    def _send(self, http: httpx.Client, record: Record) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                path, body = self._request(record)
                answer = http.post(path, json=body)
            except httpx.TransportError:
                time.sleep(0.05)
                continue
            if answer.status_code == 503:
                time.sleep(0.05)
                continue
            assert answer.status_code == 200, answer.text
            body = answer.json()
            self.plan.repeats += body["duplicate"]
            if isinstance(record, Sample):
                self.plan.answers[record.seq] = body["predictions"]
            return
        raise TimeoutError(f"record {record.seq} of {self.plan.stream_id} found no server")

    def _request(self, record: Record) -> tuple[str, Any]:
        if isinstance(record, Label):
            label = self.plan.spec.classes[int(record.y[0])]
            return "/labels", {"seq": record.seq, "y": label}
        return "/samples", {"seq": record.seq, "t": record.t, "x": list(record.x)}


def run_plans(server: ChildServer, made: list[Plan], disturb: Iterator[None]) -> dict[str, Mapping[str, Any]]:
    """Feed all plans at once while `disturb` does its worst between its steps; the final states by stream."""
    with httpx.Client(base_url=server.url, timeout=20) as http:
        for plan in made:
            put = http.put(f"/v1/streams/{plan.stream_id}", content=plan.spec.to_json(), headers=JSON)
            assert put.status_code == 201, put.text
    senders = [Sender(server.url, plan) for plan in made]
    for sender in senders:
        sender.start()
    while any(sender.is_alive() for sender in senders):
        next(disturb, None)
        time.sleep(0.02)
    for sender, plan in zip(senders, made, strict=True):
        sender.join()
        if plan.failure is not None:
            raise plan.failure
    with httpx.Client(base_url=server.url, timeout=20) as http:
        return {plan.stream_id: load(http.get(f"/v1/streams/{plan.stream_id}/state").content) for plan in made}


JSON = {"content-type": "application/json"}


def random_moments(made: list[Plan], seed: int, count: int) -> list[int]:
    """Numbers of answered samples, ascending and at random, at which to do harm.

    Counted in answers and not in seconds: however fast the server is, each moment comes while samples flow.
    """
    samples = sum(isinstance(record, Sample) for plan in made for record in plan.records)
    return sorted(random.Random(seed).sample(range(samples // 20, 3 * samples // 4), count))


def answered(made: list[Plan]) -> int:
    return sum(len(plan.answers) for plan in made)


def assert_is_the_fold(made: list[Plan], states: Mapping[str, Mapping[str, Any]]) -> None:
    for plan in made:
        expected, arrays = fold(plan)
        assert plan.answers == expected, plan.stream_id
        assert set(states[plan.stream_id]) == set(arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(states[plan.stream_id][name], array, err_msg=f"{plan.stream_id} {name}")


def test_an_undisturbed_server_is_the_fold(tmp_path: Path) -> None:
    """Batches, threads and requests leave no trace: the server's answers and weights are those of the plain fold."""
    made = plans(60)
    with ChildServer(tmp_path, OFTEN) as server:
        states = run_plans(server, made, iter(()))

    assert_is_the_fold(made, states)
    assert all(plan.repeats == 0 for plan in made)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_killed_server_goes_on_as_if_nothing_had_happened(tmp_path: Path, seed: int) -> None:
    """After SIGKILLs at random moments every answer and the final weights are bit-identical to an undisturbed run's."""
    made = plans(110)
    kills = 0

    def kill_now_and_then(server: ChildServer) -> Iterator[None]:
        nonlocal kills
        for moment in random_moments(made, seed, 3):
            while answered(made) < moment:
                yield
            server.kill()
            server.start()
            kills += 1

    with ChildServer(tmp_path, OFTEN) as server:
        states = run_plans(server, made, kill_now_and_then(server))

    assert kills == 3
    assert_is_the_fold(made, states)


def test_a_killed_store_comes_back_with_everything(tmp_path: Path) -> None:
    """The embedded store is killed twice while samples flow: it is started again and nothing acknowledged is lost."""
    made = plans(110)
    killed: list[int] = []

    def kill_the_store(server: ChildServer) -> Iterator[None]:
        for moment in random_moments(made, 3, 2):
            while answered(made) < moment:
                yield
            pid = store_pid(server)
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)
            while store_pid(server, missing=0) in (0, pid):
                yield

    with ChildServer(tmp_path, OFTEN) as server:
        states = run_plans(server, made, kill_the_store(server))

    assert len(set(killed)) == 2
    assert_is_the_fold(made, states)


def test_a_stopped_server_leaves_nothing_to_replay(tmp_path: Path) -> None:
    """SIGTERM writes every stream's snapshot, so a start after it replays no record."""
    made = plans(20)
    with ChildServer(tmp_path, OFTEN | {"LIQUID_SNAPSHOT_EVERY": "1000", "LIQUID_SNAPSHOT_IDLE_S": "600"}) as server:
        before = run_plans(server, made, iter(()))
        server.stop()
        server.start()
        with httpx.Client(base_url=server.url, timeout=20) as http:
            after = {plan.stream_id: load(http.get(f"/v1/streams/{plan.stream_id}/state").content) for plan in made}
            metrics = http.get("/metrics").text

    assert "liquid_replay_entries_total 0.0" in metrics
    for plan in made:
        for name, array in before[plan.stream_id].items():
            np.testing.assert_array_equal(after[plan.stream_id][name], array)


def store_pid(server: ChildServer, missing: int | None = None) -> int:
    """Process id of the store that this server started."""
    listed = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,ppid=,command="], capture_output=True, text=True, check=True
    )
    rows = [line.split(None, 2) for line in listed.stdout.splitlines()]
    pids = [int(pid) for pid, parent, command in rows if int(parent) == server.pid and "valkey-server" in command]
    if not pids and missing is not None:
        return missing
    assert len(pids) == 1, listed.stdout
    return pids[0]
