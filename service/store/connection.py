"""The connection to the server: no silent retries, every wait bounded, every failure one of our own errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

from hiredis import pack_command
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.connection import HiredisRespSerializer
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterDownError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from service.store.errors import StoreError, StoreFull, StoreRefused, StoreUnavailable
from service.store.scripts import Script

#: One reply to one command, or one list of replies to a pipeline: whatever the server sends.
Reply = Any

#: More calls at once than this wait for each other.
_MAX_CONNECTIONS = 32

_REFUSED = (AuthenticationError, AuthorizationError, NoPermissionError)
_NOT_CARRIED_OUT = (BusyLoadingError, ClusterDownError)
_UNAVAILABLE = (RedisConnectionError, RedisTimeoutError, RedisClusterException, OSError)
_BUSY = ("BUSY", "TRYAGAIN", "MASTERDOWN")


class Connection:
    """Commands, pipelines and scripts to one server or one Redis Cluster.

    Parameters
    ----------
    client
        From `open_connection`.
    is_cluster
        Whether a script may touch one hash slot only.
    """

    def __init__(self, client: Redis | RedisCluster, *, is_cluster: bool) -> None:
        self._client = client
        self.is_cluster = is_cluster
        self._conversations = 0
        self._is_silent = asyncio.Event()
        self._is_silent.set()
        self._is_closed = False

    async def read(self, *command: str | bytes | int) -> Reply:
        """Carry out one command that changes nothing."""
        async with self._conversation(writes=False):
            return await self._client.execute_command(*command)

    async def read_many(self, commands: Sequence[Sequence[str | bytes | int]]) -> list[Reply]:
        """Carry out many commands that change nothing, in one round trip a server."""
        if not commands:
            return []
        async with self._conversation(writes=False):
            pipeline = self._client.pipeline(transaction=False)
            for command in commands:
                pipeline.execute_command(*command)
            replies: list[Reply] = await pipeline.execute()
            return replies

    async def run(self, script: Script, keys: Sequence[str], args: Sequence[str | bytes | int]) -> Reply:
        """Run a script; a server that has forgotten it is sent its text again."""
        async with self._conversation(writes=script.writes):
            try:
                return await self._client.execute_command("EVALSHA", script.sha, len(keys), *keys, *args)
            except NoScriptError:
                return await self._client.execute_command("EVAL", script.text, len(keys), *keys, *args)

    async def close(self) -> None:
        """Hang up. Conversations that are going on are cut short, and nobody begins another."""
        self._is_closed = True
        await self._client.aclose()
        if self._conversations:
            # One that was just connecting has not noticed: it goes on, for as long as a call may take, and leaves its
            # connection to us.
            await self._is_silent.wait()
            await self._client.aclose()

    @asynccontextmanager
    async def _conversation(self, *, writes: bool) -> AsyncIterator[None]:
        """Errors become ours; and nothing is said again to a server that is the primary no more."""
        if self._is_closed:
            raise StoreUnavailable("the connection to the store has been closed", outcome_unknown=False)
        self._conversations += 1
        self._is_silent.clear()
        try:
            with store_errors(writes=writes):
                yield
        except StoreError as error:
            if isinstance(error.__cause__, ReadOnlyError):
                await self._hang_up()
            raise
        finally:
            self._conversations -= 1
            if not self._conversations:
                self._is_silent.set()

    async def _hang_up(self) -> None:
        """Have the next call connect anew: by then the address, or a proxy behind it, may lead to the new primary."""
        with suppress(RedisError, OSError):
            if isinstance(self._client, Redis):
                # Those in use are hung up on by the calls that use them, once they get the same answer.
                await self._client.connection_pool.disconnect(inuse_connections=False)
            else:
                await self._client.aclose()  # it asks for the nodes again when it is next used


async def open_connection(url: str, *, timeout_s: float) -> Connection:
    """Connect, and find out whether the server is a cluster's.

    Parameters
    ----------
    url
        ``unix:///path``, ``redis://host:port/db`` or ``rediss://`` for TLS; user and password as usual in URLs.
    timeout_s
        Longest wait for a connection, and for the answer to a command.

    Raises
    ------
    StoreUnavailable, StoreRefused
        Nobody answers there, or does not let us in.
    """
    # redis-py's own retries would send a write again whose answer got lost. Our writes could bear it, but the caller
    # decides how long it waits, and it must know what it does not know.
    options: dict[str, Any] = {
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "protocol": 2,
    }
    try:
        pool = BlockingConnectionPool.from_url(url, max_connections=_MAX_CONNECTIONS, timeout=timeout_s, **options)
    except ValueError as error:
        raise StoreRefused(
            f"this store URL cannot be read ({error}); write unix:///path, redis://host:port/db or rediss://…"
        ) from None
    pool.connection_class = _packed_by_hiredis(pool.connection_class)
    client = Redis.from_pool(pool)
    try:
        with store_errors(writes=False):
            cluster: Reply = await client.info("cluster")
            if not int(cluster.get("cluster_enabled", 0)):
                return Connection(client, is_cluster=False)
            await client.aclose()
            nodes = RedisCluster.from_url(url, **options)
            await nodes.initialize()
            return Connection(nodes, is_cluster=True)
    except StoreError:
        await client.aclose()
        raise


def _packed_by_hiredis(kind: type[AbstractConnection]) -> type[AbstractConnection]:
    """A connection class whose commands hiredis packs, as redis-py itself has it for connections without asyncio.

    With asyncio it packs in Python and, for every argument, copies what it has packed so far; a micro-batch's append
    has a thousand arguments. It also looks at each of them for kinds that scripts are not given here.
    """

    class Packed(kind):  # type: ignore[misc, valid-type]
        def pack_command(self, *args: Any) -> list[bytes]:
            if args[0] == "EVALSHA":
                return [pack_command(args)]
            packed: list[bytes] = HiredisRespSerializer().pack(*args)
            return packed

    return Packed


@contextmanager
def store_errors(*, writes: bool) -> Iterator[None]:
    """Turn what redis-py raises into what `service.store.errors` declares."""
    try:
        yield
    except (RedisError, RedisClusterException, OSError) as error:
        raise _translated(error, writes=writes) from error
    except RuntimeError as error:
        # How uvloop says that the other side has reset the connection; redis-py hangs up, but lets it through.
        if "handler is closed" not in str(error):
            raise
        raise _translated(RedisConnectionError(str(error)), writes=writes) from error


def _translated(error: Exception, *, writes: bool) -> StoreError:
    if isinstance(error.__cause__, RedisError):  # the server's answer to the handshake lies below a lost connection
        error = error.__cause__
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    code = str(getattr(error, "status_code", None) or "") or str(error).partition(" ")[0]
    if isinstance(error, _REFUSED):
        return StoreRefused(f"the store does not let us in ({text}); check user, password and rights in its URL")
    if isinstance(error, OutOfMemoryError) or code == "OOM":
        return StoreFull("the store's memory is full; raise its `maxmemory` or delete streams, then send again")
    if code == "MISCONF":
        return StoreFull("the store cannot write to its disk and refuses writes; make room there, then send again")
    if isinstance(error, ReadOnlyError):
        return StoreUnavailable(
            "the store is a read-only replica; point the URL at its primary, or wait for the fail-over to end",
            outcome_unknown=False,
        )
    if isinstance(error, _NOT_CARRIED_OUT) or code in _BUSY:
        return StoreUnavailable(f"the store takes no writes at the moment ({text}); try again", outcome_unknown=False)
    if isinstance(error, _UNAVAILABLE):
        return StoreUnavailable(
            f"the store does not answer ({text}); check that it runs and can be reached",
            outcome_unknown=writes and not _failed_to_connect(error),
        )
    if isinstance(error, ResponseError):
        return StoreError(f"the store refused a command ({text}); is something else writing to this namespace?")
    return StoreError(f"the conversation with the store broke down ({text}); see the log of its server")


def _failed_to_connect(error: Exception) -> bool:
    """Whether the command cannot have been sent. redis-py tells only in the message."""
    return any(words in str(error) for words in ("connecting to", "No connection available"))


__all__ = ["Connection", "open_connection", "store_errors"]
