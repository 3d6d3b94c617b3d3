"""A bad network between the service and its store: slow, cut, deaf, in slices."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.faults.conftest import Finish, StartServer
from tests.faults.plans import Plan
from tests.faults.proxy import Proxy
from tests.faults.traffic import Traffic

pytestmark = pytest.mark.timeout(300)


def _latency(proxy: Proxy, traffic: Traffic) -> int:
    proxy.latency_s = 0.1
    traffic.wait_for(traffic.answered + 20)
    proxy.latency_s = 0.0
    return 1


def _slices(proxy: Proxy, traffic: Traffic) -> int:
    proxy.slice_bytes, proxy.slice_pause_s = 97, 0.001
    traffic.wait_for(traffic.answered + 20)
    proxy.slice_bytes, proxy.slice_pause_s = 0, 0.0
    return 1


def _resets(proxy: Proxy, traffic: Traffic) -> int:
    for _ in range(10):
        proxy.reset()
        traffic.wait_for(traffic.answered + 3)
    return 10


def _lost_replies(proxy: Proxy, traffic: Traffic) -> int:
    """What is sent is carried out, and nobody is told; then the connections break."""
    for _ in range(3):
        proxy.loses_replies = True
        time.sleep(0.3)
        proxy.loses_replies = False
        proxy.reset()
        traffic.wait_for(traffic.answered + 5)
    return 3


def _blackhole(proxy: Proxy, _: Traffic) -> int:
    """For longer than any call waits."""
    with proxy.blackhole():
        time.sleep(3.0)
    return 1


@pytest.mark.parametrize(
    "fault",
    [
        _lost_replies,
        *(pytest.param(fault, marks=pytest.mark.matrix) for fault in (_latency, _slices, _resets, _blackhole)),
    ],
    ids=lambda fault: fault.__name__.strip("_"),
)
def test_a_bad_network(
    start_server: StartServer,
    proxy: Proxy,
    made: list[Plan],
    finish: Finish,
    fault: Callable[[Proxy, Traffic], int],
) -> None:
    """Nothing is lost and nothing comes twice; what is unknown is found out."""
    server = start_server(proxy.url)
    with Traffic([server.url], made) as traffic:
        traffic.wait_for(40)
        faults = fault(proxy, traffic)
        finish(traffic, faults=faults)
