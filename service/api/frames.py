"""Messages of the WebSocket and lines of an ingest: what a client sends, told apart by ``type``, and what it gets."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import msgspec

from service.api import decoding
from service.messages import LabelIn, LabelResult, SampleIn, SampleResult

SUBPROTOCOL = "liquid.v1.json"
MAX_RESUME = 1024


class Hello(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="hello", tag_field="type"):
    """Opens a session, if the client wants to know where its streams stand."""

    resume: list[str] = []


class SampleFrame(SampleIn, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="sample", tag_field="type"):
    """A sample of one of the streams; the only message that need not say its type."""

    stream: str


class LabelFrame(LabelIn, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="label", tag_field="type"):
    """The label of an earlier sample."""

    stream: str


Frame = Hello | SampleFrame | LabelFrame
_decode: Callable[[bytes], Frame] = msgspec.json.Decoder(Frame).decode
_decode_sample: Callable[[bytes], Frame] = msgspec.json.Decoder(SampleFrame).decode
# A name in quotes with a colon behind it cannot stand within a text. One spelled with escapes is not found, and then
# must say `sample`.
_says_its_type = re.compile(rb'"type"\s*:').search
_encode = msgspec.json.Encoder().encode


def read(text: bytes) -> Frame:
    """A client's message, or `Problem`."""
    return decoding.decode(_decode if _says_its_type(text) else _decode_sample, text)


def address(text: bytes) -> tuple[str | None, int | None]:
    """Stream and `seq` of a message that was refused, as far as they can be made out.

    Raises
    ------
    ValueError
        It is not even nearly JSON.
    """
    try:
        # What has more digits than any `seq` is no `seq`, and Python refuses to read the longest.
        message = json.loads(text, parse_int=lambda digits: int(digits) if len(digits) <= 16 else None)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    members = message if isinstance(message, dict) else {}
    stream, seq = members.get("stream"), members.get("seq")
    return (
        stream if isinstance(stream, str) and _can_be_repeated(stream) else None,
        seq if isinstance(seq, int) and not isinstance(seq, bool) and 0 < seq < 2**53 else None,
    )


def _can_be_repeated(stream: str) -> bool:
    """Half a surrogate pair is in no UTF-8, and a novel is no name."""
    return len(stream) <= 128 and not any("\ud800" <= character <= "\udfff" for character in stream)


def result(stream: str, answer: SampleResult | LabelResult) -> dict[str, Any]:
    kind = "sample" if isinstance(answer, SampleResult) else "label"
    return {"type": "result", "for": kind, "stream": stream, **msgspec.structs.asdict(answer)}


def nack(frame: object, stream: str | None, seq: int | None, problem: dict[str, Any]) -> dict[str, Any]:
    """Why `frame` was refused; ``for`` is null where it could not be read far enough to tell what it was."""
    kind = "sample" if isinstance(frame, SampleFrame) else "label" if isinstance(frame, LabelFrame) else None
    return {"type": "nack", "for": kind, "stream": stream, "seq": seq, "problem": problem}


def text_of(message: dict[str, Any]) -> str:
    return _encode(message).decode()


def line_of(message: dict[str, Any]) -> bytes:
    return _encode(message) + b"\n"


__all__ = [
    "MAX_RESUME",
    "SUBPROTOCOL",
    "Frame",
    "Hello",
    "LabelFrame",
    "SampleFrame",
    "address",
    "line_of",
    "nack",
    "read",
    "result",
    "text_of",
]
