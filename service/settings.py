"""Settings: everything that an operator can decide, checked once when the process starts.

A value that is not given comes from the environment variable of the same name with the prefix ``LIQUID_``, else from
the default:

>>> Settings(port=9000, max_batch_size=64).port
9000
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from service.memory import MIN_BYTES, default_bytes, parse_size

PREFIX = "LIQUID_"
_LISTS = frozenset({"api_keys", "allowed_hosts"})
_STORE_SCHEMES = ("redis", "rediss", "unix")


class SettingsError(ValueError):
    """Settings that the server does not start with; the message names each, never its value, and says what to do."""


def default_data_dir() -> Path:
    """Where the embedded store keeps its data: the user's data directory, as the XDG specification places it."""
    base = os.environ.get("XDG_DATA_HOME", "")
    # The specification has a path that is not absolute ignored.
    return (Path(base) if os.path.isabs(base) else Path.home() / ".local" / "share") / "liquidstream"


def is_loopback(host: str) -> bool:
    """Whether `host`, a name or an address, can only be reached from this machine."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Settings(BaseModel):
    """Immutable settings of one server.

    Raises
    ------
    SettingsError
        A value is out of range, unknown, or would open the server to the network without a key.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    # --- where it listens, and who may call ---
    host: str = "127.0.0.1"
    port: int = Field(default=8765, ge=0, le=65535)
    #: Keys of which a caller must show one; without any, only this machine may call. LIQUID_API_KEYS parts them by
    #: commas.
    api_keys: tuple[str, ...] = Field(default=(), repr=False)
    #: Listen beyond loopback without a key, and answer to any host name unless `allowed_hosts` names some.
    insecure: bool = False
    #: Names by which callers know this server besides loopback's; only asked for where no key is set.
    allowed_hosts: tuple[str, ...] = ()
    #: Let a scraper read /metrics without a key. It shows numbers of the whole server, no stream's name or values.
    public_metrics: bool = False

    # --- the store ---
    #: Where the embedded store keeps its data; not used with `redis_url`.
    data_dir: Path = Field(default_factory=default_data_dir)
    #: A store elsewhere, redis://, rediss:// or unix://; without it an embedded one is started.
    redis_url: str | None = Field(default=None, repr=False)
    snapshot_every: int = Field(default=64, ge=1, le=4096)
    snapshot_idle_s: float = Field(default=30.0, gt=0, le=86_400)

    #: How long a server that is silent keeps its streams before another one may take them over.
    lease_s: float = Field(default=6.0, ge=0.3, le=600)
    #: Take the streams over at once, whoever has them.
    take_over: bool = False

    # --- the work ---
    #: Bytes that the states of streams in memory may take, or an amount such as 512MB or 2GB; `None`: a quarter of what
    #: this process may use, or half of it with a store elsewhere (`streams_bytes`). Beyond, the streams that were
    #: untouched the longest leave memory, and come back with their next record.
    memory: int | None = Field(default=None, ge=MIN_BYTES)
    max_batch_size: int = Field(default=256, ge=1, le=4096)
    #: Records that may wait to be stepped, in all and of one stream that goes on bringing more.
    max_pending: int = Field(default=4096, ge=1, le=1_000_000)
    max_pending_per_stream: int = Field(default=256, ge=1, le=1_000_000)
    #: Whoever would wait longer is refused.
    max_queue_delay_ms: float = Field(default=250.0, gt=0, le=60_000)
    #: What steps the streams. `auto`: native kernels where they were built, else the torch reference; `native` does
    #: not start without kernels.
    engine: Literal["auto", "native", "torch"] = "auto"
    #: Threads that the streams of a micro-batch are spread over, 0: one for each processor. They change no result.
    engine_threads: int = Field(default=1, ge=0, le=256)
    #: How long a stop waits for what was taken to be answered.
    shutdown_timeout_s: float = Field(default=15.0, gt=0, le=600)

    # --- the edge ---
    max_body_bytes: int = Field(default=1024 * 1024, ge=1024, le=64 * 1024 * 1024)
    #: An ingest in all, and each of its lines.
    max_ingest_bytes: int = Field(default=64 * 1024 * 1024, ge=1024, le=1024 * 1024 * 1024)
    max_line_bytes: int = Field(default=64 * 1024, ge=256, le=1024 * 1024)
    #: What may be held of all requests and messages that are not answered yet.
    max_held_bytes: int = Field(default=64 * 1024 * 1024, ge=1024 * 1024, le=16 * 1024 * 1024 * 1024)
    #: Samples or labels in one request.
    max_items: int = Field(default=1024, ge=1, le=65_536)
    #: Connections open at a time, and among them those that stay: WebSockets and ingests.
    max_connections: int = Field(default=2048, ge=1, le=65_536)
    max_sessions: int = Field(default=1024, ge=1, le=65_536)
    #: How long a request's head or its body may take to come, and how long an ingest may be silent.
    head_timeout_s: float = Field(default=10.0, gt=0, le=600)
    body_timeout_s: float = Field(default=30.0, gt=0, le=3600)

    # --- the log ---
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_json: bool = False
    #: One line a request; off by default because the metrics count them.
    access_log: bool = False

    def __init__(self, **given: Any) -> None:
        try:
            super().__init__(**_from_environment(os.environ) | given)
        except ValidationError as error:
            raise SettingsError(_explain(error)) from None

    @property
    def streams_bytes(self) -> int:
        """Bytes that the states of streams in memory may take."""
        return default_bytes(store_is_embedded=self.redis_url is None) if self.memory is None else self.memory

    @field_validator("memory", mode="before")
    @classmethod
    def _read_size(cls, size: object) -> object:
        return parse_size(size) if isinstance(size, str) else size

    @field_validator("api_keys")
    @classmethod
    def _check_keys(cls, keys: tuple[str, ...]) -> tuple[str, ...]:
        for key in keys:
            if not key.isascii() or not key.isprintable() or " " in key or not key:
                raise ValueError("a key must be ASCII text without spaces, such as `openssl rand -hex 32` prints.")
        return keys

    @field_validator("redis_url")
    @classmethod
    def _check_redis_url(cls, url: str | None) -> str | None:
        if url is not None and urlsplit(url).scheme not in _STORE_SCHEMES:
            raise ValueError("must start with redis://, rediss:// or unix://.")
        return url

    @field_validator("log_level", mode="before")
    @classmethod
    def _lower(cls, level: object) -> object:
        return level.lower() if isinstance(level, str) else level

    @model_validator(mode="after")
    def _check_exposure(self) -> Self:
        if not is_loopback(self.host) and not self.api_keys and not self.insecure:
            raise ValueError(
                f"listening on {self.host} would let everybody on the network in. Set a key (LIQUID_API_KEYS or "
                "--api-key), listen on 127.0.0.1, or say --insecure (LIQUID_INSECURE=1) where something else keeps "
                "strangers out."
            )
        return self


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """The settings that the environment has; an empty variable is one that is not set."""
    found: dict[str, Any] = {}
    for name in Settings.model_fields:
        text = environment.get(PREFIX + name.upper(), "").strip()
        if text:
            found[name] = tuple(part.strip() for part in text.split(",") if part.strip()) if name in _LISTS else text
    return found


def _explain(error: ValidationError) -> str:
    """One line a wrong setting."""
    lines = []
    for item in error.errors(include_input=False, include_url=False):
        name = ".".join(str(part) for part in item["loc"])
        message = item["msg"].removeprefix("Value error, ")
        lines.append(f"{name}: {message}" if name else message)
    return "\n".join(lines)


__all__ = ["Settings", "SettingsError", "default_data_dir", "is_loopback"]
