"""StreamState: every array that a stream is, to and from bytes.

The bytes are a safetensors file: raw little-endian arrays behind a JSON header that holds the format version, the model
spec and a numeric fingerprint. Reading checks every name, type and shape against what the spec's layout says, and that
every number is finite; nothing in the file is ever executed.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, deserialize

from liquid_core.engine.layout import Field, StateLayout
from liquid_core.errors import SpecError, StateFormatError, StateVersionError
from liquid_core.spec import ModelSpec
from liquid_core.types import ByteArray

#: Raised whenever the arrays of a row change.
FORMAT_VERSION = 4
#: More than the longest spec takes: a thousand names, every character of them written as an escape of an escape.
MAX_HEADER_BYTES = 4 * 1024 * 1024
#: Headers up to this are remembered.
_MAX_CACHED_BYTES = 64 * 1024

_DTYPES = {"F64": np.float64, "F32": np.float32, "I64": np.int64, "BOOL": np.bool_, "U8": np.uint8}
_NAMES = {np.dtype(dtype): name for name, dtype in _DTYPES.items()}


@dataclass(frozen=True, slots=True)
class StreamState:
    """One stream at one moment.

    Parameters
    ----------
    spec
        The stream's model.
    row
        Its row, `(row_bytes,)`, as the spec's layout describes it.
    numerics
        Fingerprint of what computed it.
    """

    spec: ModelSpec
    row: ByteArray
    numerics: str

    def to_bytes(self, layout: StateLayout) -> bytes:
        """The state as a safetensors file."""
        header = _header(layout, self.spec.to_json(), self.numerics)
        row = self.row.data
        return b"".join([header, *(row[start:end] for start, end in layout.spans)])

    @classmethod
    def from_bytes(cls, data: bytes, layout: StateLayout, spec: ModelSpec) -> StreamState:
        """Read a state of `spec`.

        Raises
        ------
        StateFormatError
            The bytes are no state, of another version or of another spec; the message names the first difference.
        """
        header = read_header(data)
        if header["digest"] != spec.digest:
            raise StateFormatError("the state belongs to another model spec; load it into a stream of that spec.")
        ours = _header(layout, spec.to_json(), header["numerics"])
        row = np.zeros(layout.row_bytes, dtype=np.uint8)
        if data.startswith(ours):
            _fill_as_written(row, data, len(ours), layout)
        else:
            _fill_by_name(row, data, layout)
        return cls(spec=spec, row=row, numerics=header["numerics"])


def _fill_as_written(row: ByteArray, data: bytes, start: int, layout: StateLayout) -> None:
    """Fill a row from a file whose header is the one that `to_bytes` writes: the place of every array is known."""
    packed = np.frombuffer(data, dtype=np.uint8, offset=start)
    if len(packed) != sum(end - begin for begin, end in layout.spans):
        raise StateFormatError("the state is damaged: its arrays are cut short. Use an older snapshot.")
    at = 0
    for begin, end in layout.spans:
        row[begin:end] = packed[at : at + end - begin]
        at += end - begin
    for fields in _runs(layout):
        first, last = fields[0], fields[-1]
        values = row[first.offset : last.offset + last.num_bytes].view(first.dtype)
        if _fault(values) is not None:  # one of them: find it
            for field in fields:
                _check_values(field.name, row[field.offset : field.offset + field.num_bytes].view(field.dtype))


@lru_cache(maxsize=256)
def _runs(layout: StateLayout) -> list[list[Field]]:
    """Fields of one type that follow each other: they can be checked in one go, as there are only zeros in between."""
    return [list(fields) for _, fields in groupby(layout.fields, key=lambda field: field.dtype)]


def _fill_by_name(row: ByteArray, data: bytes, layout: StateLayout) -> None:
    """Fill a row from any safetensors file that holds its arrays, in whatever order."""
    try:
        tensors = dict(deserialize(data))  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        raise StateFormatError(f"the state is damaged: {error}. Use an older snapshot.") from error
    views = layout.views(row[None])
    if set(tensors) != set(views):
        odd = sorted(set(tensors) ^ set(views))[0]
        raise StateFormatError(f"the state's arrays differ from what its spec needs, first at `{odd}`.")
    for name, view in views.items():
        view[0] = _read_array(name, tensors[name], view[0])


@lru_cache(maxsize=256)
def _header(layout: StateLayout, spec: bytes, numerics: str) -> bytes:
    """Length and JSON header of a safetensors file whose arrays are a row's fields, in order, without gaps.

    It is the same for all streams of a spec, and a snapshot is written every few records: it is made once.
    """
    header: dict[str, Any] = {
        "__metadata__": {
            "format": "liquidstream.state",
            "version": str(FORMAT_VERSION),
            "spec": spec.decode(),
            "numerics": numerics,
        }
    }
    end = 0
    for field in layout.fields:
        start, end = end, end + field.num_bytes
        header[field.name] = {"dtype": _NAMES[field.dtype], "shape": field.shape, "data_offsets": (start, end)}
    text = msgspec.json.encode(header)
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def read_header(data: bytes) -> dict[str, str]:
    """The metadata of a state file before anything else is read: ``version``, ``spec`` as JSON and its ``digest``, and
    ``numerics``."""
    if len(data) < 8:
        raise StateFormatError("the state is cut short: it has no header.")
    (size,) = struct.unpack("<Q", data[:8])
    if size > MAX_HEADER_BYTES or len(data) < 8 + size:
        raise StateFormatError("the state is cut short, or it is no state file.")
    read = _metadata if size <= _MAX_CACHED_BYTES else _metadata.__wrapped__
    return read(data[8 : 8 + size])


@lru_cache(maxsize=64)
def _metadata(header: bytes) -> dict[str, str]:
    """The metadata in a file's JSON header: that of one stream is that of all streams of its spec."""
    try:
        metadata = msgspec.json.decode(header, type=dict[str, Any]).get("__metadata__", {})
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise StateFormatError("the state's header cannot be read; it is no state file.") from error
    if not isinstance(metadata, dict) or metadata.get("format") != "liquidstream.state":
        raise StateFormatError("this is a safetensors file, but not a stream state.")
    if metadata.get("version") != str(FORMAT_VERSION):
        raise StateVersionError(
            f"the state has version {metadata.get('version')}; this release reads {FORMAT_VERSION}."
        )
    if not isinstance(metadata.get("spec"), str) or not isinstance(metadata.get("numerics"), str):
        raise StateFormatError("the state's header lacks its spec or its numeric fingerprint.")
    try:
        digest = ModelSpec.from_json(metadata["spec"]).digest
    except SpecError as error:
        raise StateFormatError(f"the state's spec is invalid: {error}") from error
    return {key: str(value) for key, value in metadata.items()} | {"digest": digest}


def spec_of(data: bytes) -> ModelSpec:
    """The spec that a state file belongs to; raises `StateFormatError` where it is none."""
    return ModelSpec.from_json(read_header(data)["spec"])


def _read_array(name: str, tensor: dict[str, Any], expected: NDArray[Any]) -> NDArray[Any]:
    dtype = _DTYPES.get(tensor["dtype"])
    if dtype is None or np.dtype(dtype) != expected.dtype or tuple(tensor["shape"]) != expected.shape:
        raise StateFormatError(
            f"`{name}` must be {expected.dtype} {expected.shape}: got {tensor['dtype']} {tuple(tensor['shape'])}."
        )
    data = bytes(tensor["data"])
    array: NDArray[Any] = np.frombuffer(data, dtype=dtype).reshape(expected.shape)
    _check_values(name, array)
    return array


def _check_values(name: str, array: NDArray[Any]) -> None:
    fault = _fault(array)
    if fault is not None:
        raise StateFormatError(f"`{name}` holds values that are {fault}.")


def _fault(array: NDArray[Any]) -> str | None:
    """What is wrong with some of the values."""
    if array.dtype == np.bool_ and array.view(np.uint8).max(initial=0) > 1:
        return "neither true nor false"
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return "not finite"
    return None


__all__ = ["FORMAT_VERSION", "StreamState", "read_header", "spec_of"]
