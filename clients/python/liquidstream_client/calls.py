"""Every call of the REST API as a value: what to send, how to read the answer, whether a repeat is safe.

The sync and the async client differ only in who waits; both run these.
"""

from __future__ import annotations

import email.utils
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlsplit

import httpx

from liquidstream_client.errors import ConnectionFailed, LiquidstreamError, ProblemError, ProtocolError, problem_error
from liquidstream_client.types import ColdStream, LabelResult, PredictResult, Readiness, SampleResult, StreamInfo
from liquidstream_client.values import LabelValue, Time, Values, label_json, time_json, values_json

T = TypeVar("T")

#: Where `liquidstream serve` listens unless told otherwise.
DEFAULT_URL = "http://127.0.0.1:8765"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[T]):
    """One request and the way to read its answer."""

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    json: Any = None
    #: The body, where it is not `json`.
    content: bytes | None = None
    headers: Mapping[str, str] | None = None
    params: Mapping[str, str | int] | None = None
    repeatable: bool = True
    """True: applying it twice is the same as once, so it may be sent again when the answer got lost."""

    def may_repeat(self, error: LiquidstreamError) -> bool:
        """Whether the call may be tried again after this error."""
        if isinstance(error, ProblemError):
            return error.is_temporary and (self.repeatable or error.was_not_applied)
        return isinstance(error, NeverSent) or (self.repeatable and isinstance(error, ConnectionFailed))


class NeverSent(ConnectionFailed):
    """No connection was made, so the request certainly did not arrive."""


# --- the calls -------------------------------------------------------------------------------------------------------


def create_stream(stream_id: str, spec: Mapping[str, Any]) -> Call[StreamInfo]:
    return Call(method="PUT", path=stream_path(stream_id), json=dict(spec), read=read_json(StreamInfo.from_json))


def describe(stream_id: str) -> Call[StreamInfo]:
    return Call(method="GET", path=stream_path(stream_id), read=read_json(StreamInfo.from_json))


def delete_stream(stream_id: str) -> Call[None]:
    return Call(method="DELETE", path=stream_path(stream_id), read=lambda _: None)


def list_streams(cursor: str | None, limit: int) -> Call[tuple[list[StreamInfo | ColdStream], str | None]]:
    params: dict[str, str | int] = {"limit": limit}
    if cursor is not None:
        params["cursor"] = cursor
    return Call(method="GET", path="/v1/streams", params=params, read=read_json(_page))


def send(stream_id: str, sample: Mapping[str, Any]) -> Call[SampleResult]:
    return Call(
        method="POST",
        path=f"{stream_path(stream_id)}/samples",
        json=dict(sample),
        read=read_json(SampleResult.from_json),
        repeatable="seq" in sample,
    )


def send_many(stream_id: str, samples: Sequence[Mapping[str, Any]]) -> Call[list[SampleResult | ProblemError]]:
    return Call(
        method="POST",
        path=f"{stream_path(stream_id)}/samples",
        json={"samples": list(samples)},
        read=read_json(lambda data: [_item(item, SampleResult.from_json) for item in data["results"]]),
        repeatable=all("seq" in sample for sample in samples),
    )


def label(stream_id: str, seq: int, y: LabelValue) -> Call[LabelResult]:
    body = {"seq": seq, "y": label_json(y)}
    return Call(
        method="POST", path=f"{stream_path(stream_id)}/labels", json=body, read=read_json(LabelResult.from_json)
    )


def label_many(stream_id: str, labels: Mapping[int, LabelValue]) -> Call[list[LabelResult | ProblemError]]:
    body = {"labels": [{"seq": seq, "y": label_json(y)} for seq, y in labels.items()]}
    return Call(
        method="POST",
        path=f"{stream_path(stream_id)}/labels",
        json=body,
        read=read_json(lambda data: [_item(item, LabelResult.from_json) for item in data["results"]]),
    )


def predict(stream_id: str, t: Time | None, x: Values | None) -> Call[PredictResult]:
    body: dict[str, Any] = {}
    if t is not None:
        body["t"] = time_json(t)
    if x is not None:
        body["x"] = values_json(x)
    return Call(
        method="POST", path=f"{stream_path(stream_id)}:predict", json=body, read=read_json(PredictResult.from_json)
    )


def state(stream_id: str) -> Call[bytes]:
    return Call(method="GET", path=f"{stream_path(stream_id)}/state", read=lambda response: response.content)


def ready() -> Call[Readiness]:
    return Call(method="GET", path="/readyz", read=read_json(Readiness.from_json))


def version() -> Call[dict[str, Any]]:
    return Call(method="GET", path="/version", read=read_json(dict))


# --- what the calls share --------------------------------------------------------------------------------------------


def stream_path(stream_id: str) -> str:
    if not stream_id:
        raise ValueError("a stream's id must not be empty")
    return f"/v1/streams/{quote(stream_id, safe='')}"


def error_of(response: httpx.Response) -> ProblemError | None:
    """The exception of a refusal; `None` for an answer. A readiness report is an answer, whatever its status."""
    if response.is_success:
        return None
    try:
        problem = response.json()
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        problem = {}
    if "ready" in problem and "code" not in problem:
        return None
    problem = {"title": response.reason_phrase, **problem, "status": response.status_code}
    return problem_error(problem, _retry_after_s(response.headers.get("retry-after")))


def connection_error(base_url: str, error: httpx.TransportError) -> ConnectionFailed:
    """The exception for a connection that was not made, or that ended before the answer came."""
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout):
        return NeverSent(f"cannot reach {base_url}: {_reason(error)}. Is the server running? `liquidstream serve`")
    return ConnectionFailed(f"the connection to {base_url} ended before the answer came: {_reason(error)}")


def is_loopback(url: str) -> bool:
    """True for this machine: a proxy from the environment must not stand between."""
    host = urlsplit(url).hostname or ""
    return host == "localhost" or host == "::1" or host.startswith("127.")


def headers(api_key: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {api_key}"} if api_key else {}


def read_answer(call: Call[T], response: httpx.Response) -> T:
    """Read an answer; `ProtocolError` where it is not what the API promises."""
    try:
        return call.read(response)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ProtocolError(
            f"{call.method} {call.path} was answered with something that is not this API's: {error!r}"
        ) from error


def read_json(convert: Callable[[Any], T]) -> Callable[[httpx.Response], T]:
    """Reads an answer whose body is JSON."""
    return lambda response: convert(response.json())


def _page(data: Mapping[str, Any]) -> tuple[list[StreamInfo | ColdStream], str | None]:
    return [_entry(item) for item in data["streams"]], data.get("next_cursor")


def _entry(data: Mapping[str, Any]) -> StreamInfo | ColdStream:
    return ColdStream.from_json(data) if data.get("status") == "cold" else StreamInfo.from_json(data)


def _item(item: Mapping[str, Any], convert: Callable[[Mapping[str, Any]], T]) -> T | ProblemError:
    return problem_error(item["problem"]) if "problem" in item else convert(item)


def _retry_after_s(header: str | None) -> float | None:
    """`Retry-After` is a number of seconds or a date."""
    if header is None:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(header).timestamp() - time.time())
    except ValueError:
        return None


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


__all__ = [
    "DEFAULT_URL",
    "Call",
    "NeverSent",
    "connection_error",
    "create_stream",
    "delete_stream",
    "describe",
    "error_of",
    "headers",
    "is_loopback",
    "label",
    "label_many",
    "list_streams",
    "predict",
    "read_answer",
    "read_json",
    "ready",
    "send",
    "send_many",
    "state",
    "stream_path",
    "version",
]
