"""A server that is killed at any moment goes on as if nothing had happened."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path

import pytest

from service.child_server import ChildServer
from service.cli_errors import UserError
from service.store import scripts
from tests.faults.conftest import OFTEN, Finish, StartServer
from tests.faults.plans import Plan, plans
from tests.faults.proxy import Proxy
from tests.faults.traffic import Traffic
from tests.faults.verdict import judge

pytestmark = pytest.mark.timeout(300)


def test_an_undisturbed_server_is_the_fold(tmp_path: Path) -> None:
    """Batches, threads and requests leave no trace: the server's answers and weights are those of the plain fold."""
    made = plans(60)
    with ChildServer(tmp_path, OFTEN) as server, Traffic([server.url], made) as traffic:
        traffic.finish()
        verdict = judge(made, traffic.states())

    assert (verdict.identical, verdict.lost, verdict.applied_twice) == (len(made), 0, 0)
    assert all(plan.repeats == 0 for plan in made)


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.matrix) for seed in range(2, 13))])
def test_a_server_killed_at_random(start_server: StartServer, made: list[Plan], finish: Finish, seed: int) -> None:
    """SIGKILL three times while samples flow, the embedded store with it: every answer and bit is the same."""
    server = start_server()
    with Traffic([server.url], made) as traffic:
        for _ in traffic.moments(seed, 3):
            server.kill()
            server.start()
        finish(traffic, faults=3)


class Trap:
    """Kills a server at the very moment that a script of its own is on its way."""

    def __init__(self, proxy: Proxy, server: ChildServer, script: scripts.Script, *, once_carried_out: bool) -> None:
        self._server = server
        self._sha = script.sha.encode()
        self._once_carried_out = once_carried_out
        self._armed = self._under_way = False
        self.sprung = threading.Event()
        proxy.before_request, proxy.before_reply = self._on_request, self._on_reply

    def arm(self) -> None:
        self.sprung.clear()
        self._armed = True

    def _on_request(self, data: bytes) -> None:
        if self._armed and self._sha in data:
            self._armed = False
            if not self._once_carried_out:
                self._spring()
            self._under_way = True

    def _on_reply(self, _: bytes) -> None:
        if self._under_way:
            self._under_way = False
            self._spring()

    def _spring(self) -> None:
        self._server.kill()
        self.sprung.set()
        raise ConnectionResetError("its connections end with it")


@pytest.mark.parametrize(
    ("script", "once_carried_out"),
    [
        pytest.param("APPEND", True, id="after_append"),
        pytest.param("APPEND", False, id="before_append", marks=pytest.mark.matrix),
        pytest.param("SNAPSHOT", True, id="after_snapshot", marks=pytest.mark.matrix),
        pytest.param("SNAPSHOT", False, id="before_snapshot", marks=pytest.mark.matrix),
        pytest.param("READ", True, id="while_hydrating", marks=pytest.mark.matrix),
    ],
)
def test_a_server_killed_at_the_worst_moment(
    start_server: StartServer, proxy: Proxy, made: list[Plan], finish: Finish, script: str, once_carried_out: bool
) -> None:
    """The store has carried the call out and nobody was told, or it was sent and never arrived."""
    server = start_server(proxy.url)
    trap = Trap(proxy, server, getattr(scripts, script), once_carried_out=once_carried_out)
    with Traffic([server.url], made) as traffic:
        for _ in traffic.moments(seed=4, count=2):
            trap.arm()
            if script == "READ":  # nothing is read while all is in memory
                server.kill()
                with suppress(UserError):  # it may be killed before it is ready, or after
                    server.start()
            assert trap.sprung.wait(60)
            server.start()
        finish(traffic, faults=2)
