"""StreamState: every array that a stream is, to and from bytes.

The bytes are a safetensors file: raw little-endian arrays behind a JSON header that holds the format version, the model
spec and a numeric fingerprint. Reading checks every name, type and shape against what the spec's layout says, and that
every number is finite; nothing in the file is ever executed.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, deserialize

from liquid_core.engine.layout import StateLayout
from liquid_core.errors import SpecError, StateFormatError
from liquid_core.spec import ModelSpec
from liquid_core.types import ByteArray

FORMAT_VERSION = 3
#: More than the longest spec takes: a thousand names, every character of them written as an escape of an escape.
MAX_HEADER_BYTES = 4 * 1024 * 1024

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
        if ModelSpec.from_json(header["spec"]).digest != spec.digest:
            raise StateFormatError("the state belongs to another model spec; load it into a stream of that spec.")
        try:
            tensors = dict(deserialize(data))  # type: ignore[no-untyped-call]
        except SafetensorError as error:
            raise StateFormatError(f"the state is damaged: {error}. Use an older snapshot.") from error
        row = np.zeros(layout.row_bytes, dtype=np.uint8)
        views = layout.views(row[None])
        if set(tensors) != set(views):
            odd = sorted(set(tensors) ^ set(views))[0]
            raise StateFormatError(f"the state's arrays differ from what its spec needs, first at `{odd}`.")
        for name, view in views.items():
            view[0] = _read_array(name, tensors[name], view[0])
        return cls(spec=spec, row=row, numerics=header["numerics"])


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
    """The metadata of a state file: ``version``, ``spec`` (JSON) and ``numerics``, before anything else is read."""
    if len(data) < 8:
        raise StateFormatError("the state is cut short: it has no header.")
    (size,) = struct.unpack("<Q", data[:8])
    if size > MAX_HEADER_BYTES or len(data) < 8 + size:
        raise StateFormatError("the state is cut short, or it is no state file.")
    try:
        header = msgspec.json.decode(data[8 : 8 + size], type=dict[str, Any]).get("__metadata__", {})
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise StateFormatError("the state's header cannot be read; it is no state file.") from error
    if not isinstance(header, dict) or header.get("format") != "liquidstream.state":
        raise StateFormatError("this is a safetensors file, but not a stream state.")
    if header.get("version") != str(FORMAT_VERSION):
        raise StateFormatError(f"the state has version {header.get('version')}; this release reads {FORMAT_VERSION}.")
    if not isinstance(header.get("spec"), str) or not isinstance(header.get("numerics"), str):
        raise StateFormatError("the state's header lacks its spec or its numeric fingerprint.")
    try:
        ModelSpec.from_json(header["spec"])
    except SpecError as error:
        raise StateFormatError(f"the state's spec is invalid: {error}") from error
    return {key: str(value) for key, value in header.items()}


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
    if dtype is np.bool_ and max(data, default=0) > 1:
        raise StateFormatError(f"`{name}` holds values that are neither true nor false.")
    array: NDArray[Any] = np.frombuffer(data, dtype=dtype).reshape(expected.shape)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise StateFormatError(f"`{name}` holds values that are not finite.")
    return array


__all__ = ["FORMAT_VERSION", "StreamState", "read_header", "spec_of"]
