"""The demo's data and how it is told."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from liquid_core.spec import ModelSpec
from service.demo_streams import demo_streams


@pytest.fixture(scope="module")
def streams():
    return {stream.name: stream for stream in demo_streams()}


def test_every_stream_has_a_valid_spec_and_samples_that_fit(streams):
    """Each spec builds a model as wide as its samples."""
    for stream in streams.values():
        spec = ModelSpec.from_json(json.dumps(stream.spec))
        assert {len(sample.x) for sample in stream.samples} == {spec.num_features}


def test_all_tasks_and_all_cells_take_part(streams):
    """The demo shows every task, and every kind of cell."""
    specs = [ModelSpec.from_json(json.dumps(stream.spec)) for stream in streams.values()]
    assert {spec.task for spec in specs} == {"forecast", "regression", "classification"}
    assert {spec.cell_spec.kind for spec in specs} == {"cfc", "ltc", "wired_cfc"}


def test_time_runs_forward_and_has_gaps(streams):
    """The water flow is real: hours and days of it are missing."""
    for stream in streams.values():
        assert all(later.t > earlier.t for earlier, later in pairwise(stream.samples))
    gaps = [later.t - earlier.t for earlier, later in pairwise(streams["water-cfc"].samples)]
    assert (len(gaps), max(gaps), sum(gap > 3600 for gap in gaps)) == (1267, 32 * 3600, 10)


def test_the_classification_gets_its_labels_late(streams):
    """Its classes are those that its labels name."""
    phishing = streams["phishing"]
    assert phishing.label_delay > 0
    assert {sample.y for sample in phishing.samples} == set(phishing.spec["classes"])


def test_a_limit_shortens_every_stream():
    """With a limit no stream is longer."""
    assert {len(stream.samples) for stream in demo_streams(limit=50)} == {50}
