"""Decoding: whatever bytes come, there is a message or a problem."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api import decoding
from service.messages import SampleIn
from service.problems import Problem

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
SAMPLES = st.fixed_dictionaries(
    {"t": NUMBERS, "x": st.lists(st.none() | NUMBERS, max_size=4)},
    optional={
        "seq": st.integers(1, 2**53 - 1),
        "y": NUMBERS | st.text() | st.lists(NUMBERS, max_size=3),
    },
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["t", "x", "seq", "y", "samples", "z"]), inner),
    max_leaves=20,
)


@given(SAMPLES)
def test_a_sample_comes_through_as_it_was_sent(sample: dict[str, Any]) -> None:
    """Every number bit for bit."""
    decoded = decoding.samples(json.dumps(sample).encode(), 1)
    assert isinstance(decoded, SampleIn)
    assert (decoded.t, decoded.x, decoded.y) == (sample["t"], sample["x"], sample.get("y"))


@given(st.lists(SAMPLES, max_size=5))
def test_many_samples_keep_their_order(samples: list[dict[str, Any]]) -> None:
    """A body of many is a list, also of one or none."""
    decoded = decoding.samples(json.dumps({"samples": samples}, ensure_ascii=False).encode(), 5)
    assert isinstance(decoded, list)
    assert [sample.t for sample in decoded] == [sample["t"] for sample in samples]


@given(st.binary(max_size=64) | ANYTHING.map(lambda value: json.dumps(value).encode()))
def test_other_bytes_are_a_problem(body: bytes) -> None:
    """Nothing else can be raised, whatever comes."""
    for decode in (decoding.spec, decoding.peek, lambda body: decoding.samples(body, 9)):
        with suppress(Problem):
            decode(body)


@given(st.data())
def test_a_repeated_field_is_found_wherever_it_is(data: st.DataObject) -> None:
    """Of two values for one field nobody can say which one was meant."""
    samples = [{"t": float(index), "x": [1.0]} for index in range(3)]
    parts = [json.dumps(sample) for sample in samples]
    at = data.draw(st.integers(0, 2))
    again = data.draw(st.sampled_from(['"t": 5.0', '"x": []', '"\\u0078": [2]']))
    parts[at] = parts[at][:-1] + f", {again}}}"
    with pytest.raises(Problem, match="given twice"):
        decoding.samples(f'{{"samples": [{", ".join(parts)}]}}'.encode(), 9)
