"""From a raw body to a checked message, in one pass, straight into the structs of `service.messages`.

Strict, because a number that only looks like one would end up in somebody's weights: no strings or booleans for
numbers, no NaN, no numbers that a float cannot hold, no unknown and no repeated fields. A refusal says where and why,
and never repeats the value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request

from liquid_core.errors import SpecError
from liquid_core.spec import ModelSpec
from service.api.answering import JSON
from service.messages import ControlIn, ForkIn, LabelIn, LabelsIn, PredictIn, RollbackIn, SampleIn, SamplesIn
from service.problems import Problem

Message = TypeVar("Message")

_decode_sample = msgspec.json.Decoder(SampleIn).decode
_decode_samples = msgspec.json.Decoder(SamplesIn).decode
_decode_label = msgspec.json.Decoder(LabelIn).decode
_decode_labels = msgspec.json.Decoder(LabelsIn).decode
_decode_peek = msgspec.json.Decoder(PredictIn).decode
_decode_spec = msgspec.json.Decoder(ModelSpec).decode
_decode_patch = msgspec.json.Decoder(dict[str, Any]).decode
_decode_control = msgspec.json.Decoder(ControlIn).decode
_decode_rollback = msgspec.json.Decoder(RollbackIn).decode
_decode_fork = msgspec.json.Decoder(ForkIn).decode

# Bodies of many have a single field, so what its first key is tells them from bodies of one.
_IS_SAMPLES = re.compile(rb'\s*\{\s*"samples"\s*:').match
_IS_LABELS = re.compile(rb'\s*\{\s*"labels"\s*:').match

_NOT_A_NUMBER = re.compile(rb"-?(?:nan|inf)", re.IGNORECASE).match
_BYTE = re.compile(r"\(byte (\d+)\)$")
_PATH = re.compile(r" - at `\$([^`]*)`$")
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")
_FIELD = re.compile(r"field `(\w{1,64})`$")

#: A stream's spec is configuration: it is shown to whoever may ask, so what is wrong with it may name its own words.
_MAX_SPEC_MESSAGE = 500


def spec(body: bytes) -> ModelSpec:
    """The spec of a stream, or `Problem` ``spec_invalid``, ``invalid``, ``malformed``."""
    return decode(_decode_spec, body)


def patch(body: bytes) -> dict[str, Any]:
    """What is to change of a spec, as a JSON merge patch."""
    return decode(_decode_patch, body)


def control(body: bytes) -> ControlIn:
    """The condition of a command; an empty body stands for none."""
    return decode(_decode_control, body) if body else ControlIn()


def rollback(body: bytes) -> RollbackIn:
    """Where to go back to."""
    return decode(_decode_rollback, body)


def fork(body: bytes) -> ForkIn:
    """What the fork shall be called."""
    return decode(_decode_fork, body)


def samples(body: bytes, max_items: int) -> SampleIn | list[SampleIn]:
    """One sample, or those of ``{"samples": [...]}``."""
    if not _IS_SAMPLES(body):
        return decode(_decode_sample, body)
    return _bounded(decode(_decode_samples, body).samples, max_items)


def labels(body: bytes, max_items: int) -> LabelIn | list[LabelIn]:
    """One label, or those of ``{"labels": [...]}``."""
    if not _IS_LABELS(body):
        return decode(_decode_label, body)
    return _bounded(decode(_decode_labels, body).labels, max_items)


def peek(body: bytes) -> PredictIn:
    """What to look ahead at; an empty body stands for the default."""
    return decode(_decode_peek, body) if body else PredictIn()


async def json_body(request: Request) -> bytes:
    """The body of a request that says it is JSON; an empty one needs no media type.

    Raises
    ------
    Problem
        ``media_type``: it says something else, or is compressed.
    """
    body = await request.body()
    _refuse_encodings(request)
    if body:
        check_media_type(request, JSON)
    return body


def check_media_type(request: Request, wanted: str) -> None:
    """Nothing, or `Problem` ``media_type`` where the body is not said to be of the type `wanted`, in UTF-8."""
    _refuse_encodings(request)
    media_type, _, parameters = request.headers.get("content-type", "").lower().partition(";")
    charset = parameters.strip().removeprefix("charset=").strip('"')
    if media_type.strip() != wanted or charset not in ("", "utf-8", "utf8"):
        raise Problem("media_type", f"send the body in UTF-8, with `Content-Type: {wanted}`.")


def _refuse_encodings(request: Request) -> None:
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem("media_type", "compressed bodies are not read; send it without Content-Encoding.")


def decode(decoder: Callable[[bytes], Message], body: bytes) -> Message:
    """A body through a msgspec decoder, its refusals as `Problem`."""
    try:
        message = decoder(body)
    except msgspec.ValidationError as error:
        raise _unfit(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _malformed(body, error) from None
    except OverflowError:
        raise Problem("out_of_range", "a number is larger than can be computed with.") from None
    _refuse_repeated_fields(body)
    return message


# --- refusals --------------------------------------------------------------------------------------------------------


def _unfit(error: msgspec.ValidationError) -> Problem:
    """JSON that is not what was asked for."""
    text = str(error)
    path = _PATH.search(text)
    pointer = "".join(f"/{name or index}" for name, index in _STEP.findall(path[1])) if path else ""
    text = text[: path.start()] if path else text
    where = f" (at {pointer})" if pointer else ""
    if isinstance(error.__cause__, SpecError):
        detail = str(error.__cause__)[:_MAX_SPEC_MESSAGE]
        return Problem("spec_invalid", detail, errors=[{"pointer": pointer, "code": "spec_invalid"}])
    if "out of range" in text:
        detail = f"a number is larger than can be computed with{where}."
        return Problem("out_of_range", detail, errors=[{"pointer": pointer, "code": "out_of_range"}])
    code, detail = _reason(text)
    return Problem("invalid", f"{detail}{where}.", errors=[{"pointer": pointer, "code": code}])


def _reason(text: str) -> tuple[str, str]:
    """Code and wording of one of msgspec's messages; only those that name types, not values, go out as they are."""
    field = _FIELD.search(text)
    name = f"the field `{field[1]}`" if field else "a field"
    if text.startswith("Object contains unknown field"):
        return "unknown_field", f"{name} is not known here"
    if text.startswith("Object missing required field"):
        return "missing_field", f"{name} is missing"
    if text.startswith("Invalid"):
        return "not_allowed", "the text is not one of those allowed"
    if text.startswith("Expected"):
        return "wrong_type", text[0].lower() + text[1:]
    return "invalid", "a value does not fit the schema"


def _malformed(body: bytes, error: Exception) -> Problem:
    """Bytes that are not JSON."""
    byte = _BYTE.search(str(error))
    if byte is not None and _NOT_A_NUMBER(body, int(byte[1])):
        return Problem("not_finite", "NaN and Infinity are not JSON; send null where a value is missing.")
    if not body.strip():
        return Problem("malformed", "the body is empty; it must be a JSON object.")
    if isinstance(error, UnicodeDecodeError):
        return Problem("malformed", "the body is not UTF-8.")
    if isinstance(error, RecursionError):
        return Problem("malformed", "the body is nested too deeply.")
    where = f", at byte {byte[1]}" if byte is not None else ": it ends too early"
    return Problem("malformed", f"the body is not JSON{where}.")


def _refuse_repeated_fields(body: bytes) -> None:
    _keys.decode(body.decode())


def _no_key_twice(pairs: list[tuple[str, Any]]) -> None:
    # Of a repeated field msgspec takes the last; other readers take the first. Nobody can mean both.
    if len({key for key, _ in pairs}) != len(pairs):
        raise Problem("invalid", "a field is given twice.", errors=[{"pointer": "", "code": "repeated_field"}])


# The message has passed msgspec by then, so it is JSON of bounded depth; this pass, at about 1 µs an object, only
# looks at the keys.
_keys = json.JSONDecoder(object_pairs_hook=_no_key_twice)


def _bounded(items: list[Message], max_items: int) -> list[Message]:
    if len(items) > max_items:
        raise Problem("too_many_items", f"one request takes at most {max_items} items; send several requests.")
    return items


__all__ = [
    "check_media_type",
    "control",
    "decode",
    "fork",
    "json_body",
    "labels",
    "patch",
    "peek",
    "rollback",
    "samples",
    "spec",
]
