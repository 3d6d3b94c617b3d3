"""What the store promises: how durable a write is once it was acknowledged, and what to be warned of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from service.store.connection import Connection, Reply
from service.store.errors import StoreError, StoreRefused

#: What survives. ``fsync``: a power loss · ``everysec``: a power loss, but for the last second or two ·
#: ``memory``: nothing that the server does not · ``unknown``: the server does not tell.
Durability = Literal["fsync", "everysec", "memory", "unknown"]


@dataclass(frozen=True, slots=True)
class StoreHealth:
    """The result of the start-up check."""

    durability: Durability
    #: ``valkey`` or ``redis``.
    server: str
    version: str
    #: Changes whenever the server starts anew.
    run_id: str
    #: Sentences for the operator, each with what to do.
    warnings: tuple[str, ...]


async def check(connection: Connection) -> StoreHealth:
    """Look at the server's settings.

    Raises
    ------
    StoreRefused
        The server would throw keys away when memory gets short, or is a replica.
    StoreUnavailable
        It does not answer.
    """
    info = _parse_info(await connection.read("INFO"))
    if info.get("role") not in ("master", None):
        raise StoreRefused("the store is a read-only replica; point the URL at its primary")
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        raise StoreRefused(
            f"the store evicts keys when memory gets short (maxmemory-policy {policy}), which would silently delete "
            "streams; set `maxmemory-policy noeviction`"
        )
    durability, warnings = await _durability(connection, info)
    limit, used = int(info.get("maxmemory", 0)), int(info.get("used_memory", 0))
    if limit and used > 0.8 * limit:
        warnings.append(f"the store uses {used / limit:.0%} of its `maxmemory`; raise it before writes are refused")
    if info.get("aof_last_write_status", "ok") != "ok":
        warnings.append("the store's last write to its append-only file failed; check its disk")
    is_valkey = info.get("server_name") == "valkey"
    return StoreHealth(
        durability=durability,
        server="valkey" if is_valkey else "redis",
        version=info.get("valkey_version" if is_valkey else "redis_version", "unknown"),
        run_id=info.get("run_id", ""),
        warnings=tuple(warnings),
    )


async def run_id(connection: Connection) -> str:
    """What the server draws when it starts; of a cluster's nodes, all together."""
    reply = await connection.read("INFO", "server")
    nodes = reply.values() if _is_by_node(reply) else [reply]
    return "+".join(sorted(_parse_info(node).get("run_id", "") for node in nodes))


async def _durability(connection: Connection, info: Mapping[str, str]) -> tuple[Durability, list[str]]:
    if info.get("aof_enabled") != "1":
        return "memory", [
            "the store keeps no append-only file: acknowledged samples are lost when it stops. "
            "Set `appendonly yes` and `appendfsync always`"
        ]
    try:
        settings = await connection.read("CONFIG", "GET", "appendfsync")
    except StoreRefused:
        settings = []
    except StoreError as error:  # renamed or switched off, as hosted stores do
        if "unknown command" not in str(error).lower():
            raise
        settings = []
    match _pairs(settings).get("appendfsync"):
        case "always":
            return "fsync", []
        case "everysec":
            return "everysec", [
                "the store syncs its file once a second: a crash of its machine loses up to two seconds of "
                "acknowledged samples. Set `appendfsync always` to lose none"
            ]
        case "no":
            return "memory", [
                "the store leaves it to the kernel when its file is written: a crash of its machine loses up to half a "
                "minute of acknowledged samples. Set `appendfsync always` to lose none"
            ]
        case _:
            return "unknown", [
                "the store does not tell how it syncs its file (CONFIG is not allowed); ask its operator"
            ]


def _parse_info(reply: Reply) -> dict[str, str]:
    """Fields of INFO, whether redis-py has parsed it or not; of a cluster's nodes the first counts."""
    if isinstance(reply, Mapping):
        if _is_by_node(reply):
            return _parse_info(next(iter(reply.values())))
        return {_text(name): _text(value) for name, value in reply.items()}
    pairs = (line.partition(":") for line in _text(reply).splitlines() if not line.startswith("#"))
    return {name: value for name, _, value in pairs if name}


def _is_by_node(reply: Reply) -> bool:
    return isinstance(reply, Mapping) and bool(reply) and all(isinstance(value, Mapping) for value in reply.values())


def _pairs(reply: Reply) -> dict[str, str]:
    if isinstance(reply, Mapping):
        return {_text(name): _text(value) for name, value in reply.items()}
    texts = [_text(value) for value in reply]
    return dict(zip(texts[::2], texts[1::2], strict=True))


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


__all__ = ["Durability", "StoreHealth", "check", "run_id"]
