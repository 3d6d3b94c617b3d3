"""The server in memory answers what a real one does, and loses what it is told to lose."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import OutOfMemoryError, ReadOnlyError, RedisError, ResponseError

from service.store.binaries import ENVIRONMENT_VARIABLE
from tests.conftest import running_server
from tests.simulation.faults import Fault
from tests.simulation.memory_server import MemoryServer
from tests.simulation.world import LEASES_S, World

#: One of each command with each kind of answer that the store's scripts can meet.
COMMANDS: list[tuple[str | int, ...]] = [
    ("SET", "sim:s", "1"),
    ("INCR", "sim:s"),
    ("SET", "sim:s", "2", "NX"),
    ("SET", "sim:s", "3", "XX"),
    ("GET", "sim:s"),
    ("GET", "sim:none"),
    ("MGET", "sim:s", "sim:none"),
    ("PEXPIRE", "sim:none", 9),
    ("PTTL", "sim:none"),
    ("PTTL", "sim:s"),
    ("EXISTS", "sim:s", "sim:none", "sim:s"),
    ("RPUSH", "sim:l", "a", "b", "c", "d"),
    *[("LINDEX", "sim:l", index) for index in (-5, -4, -1, 0, 3, 4)],
    *[("LRANGE", "sim:l", start, stop) for start in (-9, -2, 0, 3, 5) for stop in (-9, -2, -1, 0, 2, 9)],
    ("LLEN", "sim:l"),
    ("LTRIM", "sim:l", -2, -1),
    ("LRANGE", "sim:l", 0, -1),
    ("LTRIM", "sim:l", 5, 9),
    ("EXISTS", "sim:l"),
    ("LPOP", "sim:l"),
    ("GET", "sim:h"),
    ("HSET", "sim:h", "a", "1", "b", "2"),
    ("HSET", "sim:h", "a", "3", "c", "4"),
    ("HSETNX", "sim:h", "a", "5"),
    ("HGET", "sim:h", "a"),
    ("HGET", "sim:h", "none"),
    ("HMGET", "sim:h", "a", "none", "c"),
    ("HEXISTS", "sim:h", "b"),
    ("HDEL", "sim:h", "b", "none"),
    ("HLEN", "sim:h"),
    ("HGETALL", "sim:h"),
    ("RPUSH", "sim:h", "x"),
    ("ZADD", "sim:z", 0, "b", 0, "a"),
    ("ZADD", "sim:z", 0, "c", 0, "a"),
    ("ZCARD", "sim:z"),
    ("ZSCORE", "sim:z", "a"),
    ("ZRANGEBYLEX", "sim:z", "-", "+"),
    ("ZRANGEBYLEX", "sim:z", "(a", "+", "LIMIT", 0, 1),
    ("ZRANGEBYLEX", "sim:z", "[a", "+", "LIMIT", 1, 5),
    ("ZREM", "sim:z", "a", "none"),
    ("DEL", "sim:z", "sim:none"),
    ("UNLINK", "sim:h"),
    ("MGET", "sim:q", "sim:s"),
    ("PERSIST", "sim:none"),
    ("PERSIST", "sim:s"),
    ("EVALSHA", "0" * 40, 0),
    ("EVAL", "return {1, 2.9, -2.9, false, 5}", 0),
    ("EVAL", "return {KEYS[1], ARGV[1], true, nil, 5}", 1, "k", "v"),
    ("EVAL", "return redis.status_reply('FINE')", 0),
    ("EVAL", "return redis.error_reply('ODD thing')", 0),
    ("RPUSH", "sim:q", "a"),
    ("EVAL", "return redis.pcall('GET', 'sim:q')['err']", 0),
    ("EVAL", "return redis.call('GET', 'sim:q')", 0),
    ("EVAL", "return nothing.at_all", 0),
    ("EVAL", "return redis.call('SET', KEYS[1], 2^40)", 1, "sim:n"),
    ("EVAL", "return {redis.call('GET', KEYS[1]), type(redis.call('GET', 'sim:none')), 2^53}", 1, "sim:n"),
    ("EVAL", "return struct.pack('<I8', 77)", 0),
    ("EVAL", "return struct.pack('<I8I4', 77, 5)", 0),
    ("EVAL", "return {struct.unpack('<I8I4', ARGV[1], 2)}", 0, "x" + "A" * 12),
    ("EVAL", "return {struct.unpack('<I8', ARGV[1], 2)}", 0, "too short"),
    ("EVAL", "return {struct.unpack('<I8', ARGV[1], 3)}", 0, "xx" + "A" * 8 + "y"),
]

LEASES_MS = {round(1000 * lease_s) for lease_s in LEASES_S}


@pytest.fixture(scope="module", params=["valkey", "redis"])
def real(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """A real server that nobody else uses."""
    program = None if request.param == "valkey" else shutil.which("redis-server")
    if request.param == "redis" and program is None:
        pytest.skip("this machine has no redis-server")
    with pytest.MonkeyPatch.context() as patch:
        if program is not None:
            patch.setenv(ENVIRONMENT_VARIABLE, program)
        with running_server(tmp_path_factory.mktemp(request.param)) as url, Redis.from_url(url, protocol=2) as client:
            client.response_callbacks.clear()
            yield client


@pytest.fixture
def server() -> MemoryServer:
    return MemoryServer(lambda: 0.0)


def reply_of(execute: Any, command: tuple[Any, ...]) -> Any:
    """A reply, or the kind of error with its code."""
    try:
        reply = execute(*command)
    except RedisError as error:
        code = str(error).partition(" ")[0] if type(error) is ResponseError else ""
        return type(error).__name__, code if code.isupper() and code != "ERR" else ""
    return bytes(reply) if isinstance(reply, bytes) else reply


def test_commands_answer_as_a_real_server_does(real: Redis, server: MemoryServer) -> None:
    """Each command that the store uses, with its edges."""
    real.execute_command("FLUSHALL")
    real.execute_command("SCRIPT", "FLUSH")
    unknown = {"LPOP"}

    for command in COMMANDS:
        expected = reply_of(real.execute_command, command)
        if command[0] in unknown:
            assert reply_of(server.execute, command) == ("ResponseError", "")
        else:
            assert reply_of(server.execute, command) == expected, command


@pytest.mark.parametrize("seed", range(6))
def test_scripts_answer_as_on_a_real_server(real: Redis, server: MemoryServer, seed: int) -> None:
    """Every call of whole histories, the store's real scripts with what the service gives them, in their order."""
    world = World(seed, [Fault.CRASH, Fault.RECREATED, Fault.SLOW, Fault.ZOMBIE])
    calls: list[tuple[Any, ...]] = []
    execute = world.store.server.execute

    def record(*command: Any) -> Any:
        calls.append(command)
        return execute(*command)

    world.store.server.execute = record  # type: ignore[method-assign]
    world.play()
    real.execute_command("FLUSHALL")
    real.execute_command("SCRIPT", "FLUSH")

    assert len(calls) > 50
    for call in map(_with_a_long_lease, calls):
        if call[0] not in ("INFO", "CONFIG"):
            expected, reply = reply_of(real.execute_command, call), reply_of(server.execute, call)
            assert _without_the_time_left(reply) == _without_the_time_left(expected), call[:6]


def _with_a_long_lease(call: tuple[Any, ...]) -> tuple[Any, ...]:
    """The same call, but no lease ends while the test runs, however slow the machine is."""
    return tuple(10**9 if word in LEASES_MS else word for word in call)


def _without_the_time_left(reply: Any) -> Any:
    return reply[:2] if isinstance(reply, list) and reply[:1] == [b"held"] else reply


def test_the_last_writes_are_lost_and_no_others(server: MemoryServer) -> None:
    """A script's writes go together, and what was there before comes back."""
    server.execute("RPUSH", "l", "a")
    server.execute("EVAL", "redis.call('RPUSH', 'l', 'b') redis.call('SET', 's', 1) redis.call('DEL', 'l')", 0)
    server.execute("GET", "s")

    assert server.lose(1) == 1
    assert (server.value("l"), server.value("s")) == ([b"a"], None)
    assert server.lose(5) == 1
    assert server.value("l") is None


def test_a_full_server_refuses_what_grows(server: MemoryServer) -> None:
    """A script that has written goes on, as nobody could stop it in the middle."""
    server.execute("SET", "s", 1)
    server.full = True

    with pytest.raises(OutOfMemoryError):
        server.execute("EVAL", "return redis.call('SET', 's', 2)", 0)
    assert server.execute("EVAL", "redis.call('DEL', 's') return redis.call('INCR', 's')", 0) == 1
    assert server.execute("GET", "s") == b"1"


def test_a_replica_refuses_writes(server: MemoryServer) -> None:
    server.read_only = True

    with pytest.raises(ReadOnlyError):
        server.execute("EVAL", "return redis.call('SET', 's', 2)", 0)
    assert server.execute("GET", "s") is None


def test_keys_expire(server: MemoryServer) -> None:
    """By the clock that the server was given."""
    now = 0.0
    server = MemoryServer(lambda: now)
    server.execute("SET", "s", 1, "PX", 1500)
    now = 1.0
    assert server.execute("PTTL", "s") == 500
    now = 1.5
    assert server.execute("GET", "s") is None
