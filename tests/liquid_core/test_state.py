"""StreamState: a stream to bytes and back, exactly; damaged bytes are refused, saying how."""

from __future__ import annotations

import hashlib
import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save

from liquid_core import ModelSpec, StateFormatError, StateVersionError
from liquid_core.engine import Record, Sample, Slab, TorchEngine
from liquid_core.engine.torch_engine import numeric_fingerprint
from liquid_core.spec import AutoNCPSpec, CfCSpec, LearnerSpec, LTCSpec, WiredCfCSpec
from liquid_core.state import FORMAT_VERSION, StreamState, read_header
from liquid_core.types import ByteArray

LEARNER = LearnerSpec(window=3, warmup=2, label_horizon=4)
NCP = AutoNCPSpec(units=6, outputs=2)
CFC = CfCSpec(units=4, backbone_units=5)
SPECS = {
    "forecast-cfc": ModelSpec(task="forecast", features=("a", "b"), horizon=(1, 3), cell=CFC, learner=LEARNER),
    "forecast-ltc": ModelSpec(
        task="forecast", features=("a",), cell=LTCSpec(ode_unfolds=2), wiring=NCP, learner=LEARNER
    ),
    "regression-wired": ModelSpec(
        task="regression", features=("a",), targets=("y",), cell=WiredCfCSpec(), wiring=NCP, learner=LEARNER
    ),
    "classification-mixed": ModelSpec(
        task="classification",
        features=("a",),
        classes=("no", "yes"),
        cell=CfCSpec(units=4, backbone_units=5, mixed_memory=True),
        learner=LEARNER,
    ),
}
ENGINES = {name: TorchEngine(spec) for name, spec in SPECS.items()}


def records(spec: ModelSpec, start: int, stop: int) -> list[Record]:
    rng = np.random.default_rng(start)
    return [
        Sample(
            seq=seq,
            t=float(seq),
            x=tuple(rng.normal(size=spec.num_features).tolist()),
            y=None if spec.task == "forecast" else (float(seq % 2),),
        )
        for seq in range(start, stop)
    ]


def fold(engine: TorchEngine, row: ByteArray, given: list[Record]) -> ByteArray:
    slab = Slab(engine.layout)
    slot = slab.load(row)
    engine.step(slab, [slot] * len(given), given)
    return slab.read(slot)


STATES = {
    name: StreamState(
        spec=spec, row=fold(ENGINES[name], ENGINES[name].initial_row(), records(spec, 1, 9)), numerics="n"
    )
    for name, spec in SPECS.items()
}
ENGINE, STATE = ENGINES["regression-wired"], STATES["regression-wired"]
BYTES = STATE.to_bytes(ENGINE.layout)
(HEADER_SIZE,) = struct.unpack("<Q", BYTES[:8])


def read(data: bytes) -> StreamState:
    return StreamState.from_bytes(data, ENGINE.layout, ENGINE.spec)


def rewritten(**changes: Any) -> bytes:
    """The state's file with other arrays (or without, where `None`) or other metadata."""
    header = json.loads(BYTES[8 : 8 + HEADER_SIZE])["__metadata__"]
    header |= {name: value for name, value in changes.items() if "." not in name}
    arrays = load(BYTES)
    for name, value in changes.items():
        if "." in name:
            arrays.pop(name, None)
            if value is not None:
                arrays[name] = value
    return save(arrays, metadata={name: value for name, value in header.items() if value is not None})


# --- round trips -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(SPECS))
def test_a_state_comes_back_exactly(name: str) -> None:
    """Every byte of the row, the spec and the fingerprint of what computed it."""
    state, layout = STATES[name], ENGINES[name].layout
    again = StreamState.from_bytes(state.to_bytes(layout), layout, state.spec)

    np.testing.assert_array_equal(again.row, state.row)
    assert (again.spec, again.numerics) == (state.spec, state.numerics)


@pytest.mark.parametrize("name", list(SPECS))
def test_a_restored_stream_goes_on_bit_for_bit(name: str) -> None:
    """Saving and loading in the middle of a series leaves no trace in what follows."""
    engine, state = ENGINES[name], STATES[name]
    restored = StreamState.from_bytes(state.to_bytes(engine.layout), engine.layout, state.spec)
    after = records(state.spec, 9, 14)

    np.testing.assert_array_equal(fold(engine, restored.row, after), fold(engine, state.row, after))


def test_the_header_tells_what_it_is() -> None:
    """Version, spec and fingerprint can be read before anything else is."""
    header = read_header(BYTES)

    assert header["version"] == str(FORMAT_VERSION)
    assert ModelSpec.from_json(header["spec"]) == STATE.spec
    assert header["numerics"] == "n"


def test_other_arrays_are_another_version() -> None:
    """Streams that an earlier release has written must not be taken for damaged ones: raise `FORMAT_VERSION`."""
    digest = hashlib.sha256()
    for name in SPECS:
        for field in ENGINES[name].layout.fields:
            digest.update(f"{name} {field.name} {field.dtype} {field.shape}\n".encode())
    assert (FORMAT_VERSION, digest.hexdigest()[:16]) == (4, "b067dbaac8959a1b")


def test_a_state_of_another_version_is_told_apart() -> None:
    """It is not damaged: the release that wrote it can read it."""
    with pytest.raises(StateVersionError, match=f"version 2; this release reads {FORMAT_VERSION}"):
        read(rewritten(version="2"))


def test_any_safetensors_reader_opens_it() -> None:
    """The arrays stand in the file under their names, without a batch axis."""
    arrays = load(BYTES)

    assert arrays["stream.samples"] == 8
    assert arrays["network.weights"].shape == (ENGINE.network.packing.size,)


def test_the_fingerprint_names_what_decides_the_last_bits() -> None:
    """Engine, torch, numpy and instruction set."""
    assert {"torch", "numpy"} <= set(numeric_fingerprint("native").replace(";", "").split())
    assert numeric_fingerprint("native") != numeric_fingerprint("torch")


def test_a_spec_with_the_longest_names_can_be_read_again() -> None:
    """The limit on a header leaves room for every legal spec, even where each character is written as an escape."""
    classes = tuple(f"{n:04d}" + "\x01" * 124 for n in range(1024))
    spec = ModelSpec(
        task="classification",
        features=("a",),
        classes=classes,
        cell=CfCSpec(units=1, backbone_units=1),
        learner=LearnerSpec(window=1, label_horizon=1),
    )
    engine = TorchEngine(spec)
    state = StreamState(spec, engine.initial_row(), "n")

    assert StreamState.from_bytes(state.to_bytes(engine.layout), engine.layout, spec).spec == spec


# --- damage ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "cut short: it has no header"),
        (BYTES[:7], "cut short: it has no header"),
        (BYTES[:8], "cut short, or it is no state file"),
        (BYTES[: 8 + HEADER_SIZE - 1], "cut short, or it is no state file"),
        (BYTES[: 8 + HEADER_SIZE], "the state is damaged: .*Use an older snapshot"),
        (BYTES[:-1], "the state is damaged: .*Use an older snapshot"),
        (BYTES + b"\0", "the state is damaged"),
        (b"\xff" * 64, "cut short, or it is no state file"),
        (BYTES[:8] + b"!" + BYTES[9:], "header cannot be read"),
        (BYTES[:20] + b"\xff" + BYTES[21:], "header cannot be read"),
        (struct.pack("<Q", 200_000) + b'{"a":' + b"[" * 200_000, "header cannot be read"),
        (save({"a": np.zeros(1)}), "a safetensors file, but not a stream state"),
        (rewritten(format="liquidstream.model"), "a safetensors file, but not a stream state"),
        (rewritten(version="0"), "the state has version 0; this release reads 4"),
        (rewritten(version=None), "the state has version None"),
        (rewritten(spec=None), "lacks its spec or its numeric fingerprint"),
        (rewritten(numerics=None), "lacks its spec or its numeric fingerprint"),
        (rewritten(spec='{"task": "dream"}'), "the state's spec is invalid: .*task"),
        (rewritten(spec=SPECS["forecast-cfc"].to_json().decode()), "belongs to another model spec"),
        (rewritten(**{"adam.first": None}), "arrays differ from what its spec needs, first at `adam.first`"),
        (rewritten(**{"adam.third": np.zeros(3)}), "arrays differ .* first at `adam.third`"),
        (rewritten(**{"clock.gap": np.zeros(2)}), r"`clock.gap` must be float64 \(\): got F64 \(2,\)"),
        (rewritten(**{"clock.gap": np.zeros((), np.float32)}), r"`clock.gap` must be float64 \(\): got F32"),
        (rewritten(**{"clock.gap": np.zeros((), np.int16)}), r"`clock.gap` must be float64 \(\): got I16"),
        (rewritten(**{"clock.gap": np.array(np.nan)}), "`clock.gap` holds values that are not finite"),
        (rewritten(**{"clock.gap": np.array(np.inf)}), "`clock.gap` holds values that are not finite"),
        (
            rewritten(**{"network.weights": np.full(ENGINE.network.packing.size, np.nan, np.float32)}),
            "`network.weights` holds values that are not finite",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_damage_is_named(data: bytes, message: str) -> None:
    """Each kind of damage raises `StateFormatError` that says what is wrong."""
    with pytest.raises(StateFormatError, match=message):
        read(data)


def test_a_truth_value_is_true_or_false() -> None:
    """A byte of 2 in a boolean array is damage, not a third truth."""
    marked = rewritten(**{"window.labelled": np.ones_like(load(BYTES)["window.labelled"])})
    (size,) = struct.unpack("<Q", marked[:8])
    start = json.loads(marked[8 : 8 + size])["window.labelled"]["data_offsets"][0] + 8 + size
    damaged = marked[:start] + b"\2" + marked[start + 1 :]

    assert read(marked)
    with pytest.raises(StateFormatError, match=r"`window\.labelled` holds values that are neither true nor false"):
        read(damaged)


def test_the_order_of_arrays_in_a_file_is_free() -> None:
    """Other programs write them in another one."""
    other = rewritten()

    assert other[:HEADER_SIZE] != BYTES[:HEADER_SIZE]
    np.testing.assert_array_equal(read(other).row, STATE.row)


def overwritten(name: str, values: bytes) -> bytes:
    """The state's own file with the first bytes of an array changed."""
    start = json.loads(BYTES[8 : 8 + HEADER_SIZE])[name]["data_offsets"][0] + 8 + HEADER_SIZE
    return BYTES[:start] + values + BYTES[start + len(values) :]


@pytest.mark.parametrize(
    ("name", "values", "fault"),
    [
        ("clock.gap", np.array(np.nan).tobytes(), "not finite"),
        ("network.weights", np.array(np.inf, np.float32).tobytes(), "not finite"),
        ("window.labelled", b"\2", "neither true nor false"),
    ],
)
def test_values_of_our_own_files_are_checked_too(name: str, values: bytes, fault: str) -> None:
    """They are read by their places; what is wrong is found and named all the same."""
    with pytest.raises(StateFormatError, match=f"`{name}` holds values that are {fault}"):
        read(overwritten(name, values))


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(BYTES) - 1))
def test_every_truncation_is_refused(length: int) -> None:
    """A state that was cut anywhere is no state."""
    with pytest.raises(StateFormatError):
        read(BYTES[:length])


@settings(max_examples=500, deadline=None)
@given(st.integers(0, 8 + HEADER_SIZE - 1), st.integers(1, 255))
def test_a_flipped_byte_in_the_header_does_no_harm(position: int, flip: int) -> None:
    """It is refused, or it hit a word that decides nothing: what is read is a whole state of this spec."""
    damaged = bytearray(BYTES)
    damaged[position] ^= flip
    try:
        state = read(bytes(damaged))
    except StateFormatError:
        return

    assert state.row.shape == STATE.row.shape
    assert state.spec == STATE.spec


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_noise_is_refused(data: bytes) -> None:
    """Bytes that never were a state raise nothing but `StateFormatError`."""
    with pytest.raises(StateFormatError):
        read(data)
