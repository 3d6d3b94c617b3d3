"""Calls that do something to a stream beside feeding it: each as a value, as in `liquidstream_client.calls`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from liquidstream_client.calls import Call, read_json, stream_path
from liquidstream_client.types import Snapshot, StreamInfo

STATE_TYPE = "application/vnd.liquidstream.state+safetensors"


def reset(stream_id: str, if_seq: int | None) -> Call[StreamInfo]:
    # Sent twice it could undo what was learned in between, unless it says how far the stream may have come.
    return _command(stream_id, "reset", {"if_seq": if_seq}, repeatable=if_seq is not None)


def freeze(stream_id: str, if_seq: int | None) -> Call[StreamInfo]:
    return _command(stream_id, "freeze", {"if_seq": if_seq})


def unfreeze(stream_id: str, if_seq: int | None) -> Call[StreamInfo]:
    return _command(stream_id, "unfreeze", {"if_seq": if_seq})


def rollback(stream_id: str, to: int, if_seq: int | None) -> Call[StreamInfo]:
    return _command(stream_id, "rollback", {"to": to, "if_seq": if_seq}, repeatable=if_seq is not None)


def fork(stream_id: str, new_id: str) -> Call[StreamInfo]:
    return _command(stream_id, "fork", {"id": new_id}, repeatable=False)


def change_spec(stream_id: str, patch: Mapping[str, Any]) -> Call[StreamInfo]:
    return Call(method="PATCH", path=stream_path(stream_id), json=dict(patch), read=read_json(StreamInfo.from_json))


def import_state(stream_id: str, state: bytes) -> Call[StreamInfo]:
    return Call(
        method="PUT",
        path=f"{stream_path(stream_id)}/state",
        content=state,
        headers={"Content-Type": STATE_TYPE},
        read=read_json(StreamInfo.from_json),
    )


def snapshot(stream_id: str) -> Call[Snapshot]:
    path = f"{stream_path(stream_id)}:snapshot"
    return Call(method="POST", path=path, read=read_json(Snapshot.from_json), repeatable=False)


def snapshots(stream_id: str) -> Call[list[Snapshot]]:
    return Call(
        method="GET",
        path=f"{stream_path(stream_id)}/snapshots",
        read=read_json(lambda data: [Snapshot.from_json(item) for item in data["snapshots"]]),
    )


def delete_snapshot(stream_id: str, position: int) -> Call[None]:
    return Call(method="DELETE", path=f"{stream_path(stream_id)}/snapshots/{position}", read=lambda _: None)


def _command(stream_id: str, verb: str, body: Mapping[str, Any], *, repeatable: bool = True) -> Call[StreamInfo]:
    given = {name: value for name, value in body.items() if value is not None}
    path = f"{stream_path(stream_id)}:{verb}"
    return Call(method="POST", path=path, json=given, read=read_json(StreamInfo.from_json), repeatable=repeatable)


__all__ = [
    "STATE_TYPE",
    "change_spec",
    "delete_snapshot",
    "fork",
    "freeze",
    "import_state",
    "reset",
    "rollback",
    "snapshot",
    "snapshots",
    "unfreeze",
]
