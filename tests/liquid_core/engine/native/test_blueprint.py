"""The native engine's description of a cell is that of the cell itself, weights bit for bit; and it needs no torch."""

from __future__ import annotations

import platform
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from liquid_core import ModelSpec
from liquid_core.engine.anatomy import num_inputs
from liquid_core.engine.native.blueprint import blueprint_of
from liquid_core.engine.native.draws import Draws
from liquid_core.engine.rows import network_of
from liquid_core.errors import EngineUnavailableError
from liquid_core.spec import CfCSpec, NCPSpec
from tests.liquid_core.engine.native.specs import specs

WITHOUT_TORCH = """
import sys
from liquid_core import ModelSpec
from liquid_core.engine import Sample, Slab, build_engine

for cell in ("cfc", "wired_cfc", "ltc"):
    engine = build_engine(ModelSpec(task="forecast", features=("a", "b"), cell=cell), "native")
    slab = Slab(engine.layout)
    slot = slab.load(engine.initial_row())
    results = engine.step(slab, [slot] * 2, [Sample(seq=1, t=0.0, x=(1.0, 2.0)), Sample(seq=2, t=1.0, x=(2.0, 1.0))])
    assert len(results.prediction) == 2
assert "torch" not in sys.modules
"""


def assert_same(spec: ModelSpec) -> None:
    """Sizes, places and initial weights are those of the spec's network."""
    network, blueprint = network_of(spec, np.float32), blueprint_of(spec, num_inputs(spec))

    assert (blueprint.state_size, blueprint.output_size) == (network.cell.state_size, network.cell.output_size)
    numbered = network.packing.unpack(torch.arange(1, network.packing.size + 1)[None])  # from one, and zero for none
    places = {name: number[0].numpy() - 1 for name, number in numbered.items()}
    assert places.keys() == blueprint.places.keys()
    for name, place in blueprint.places.items():
        np.testing.assert_array_equal(place, places[name], name)
    expected = network.initial_weights.numpy()
    if platform.machine() in ("x86_64", "AMD64"):
        np.testing.assert_array_equal(blueprint.initial_weights.view(np.int32), expected.view(np.int32))
    else:  # torch's builds for other processors may round twice where they multiply and add
        np.testing.assert_allclose(blueprint.initial_weights, expected, rtol=0, atol=1e-7)


@settings(max_examples=150, deadline=None)
@given(spec=specs())
def test_it_is_the_cell_that_the_reference_has(spec: ModelSpec) -> None:
    """Whatever cell, wiring and seed."""
    assert_same(spec)


@pytest.mark.parametrize("cell", ["cfc", "wired_cfc", "ltc", CfCSpec(units=64, backbone_units=200, backbone_layers=2)])
def test_it_is_the_cell_also_at_its_usual_size(cell: str | CfCSpec) -> None:
    """The default sizes, a full NCP where there is a wiring, and a large seed."""
    wired = not isinstance(cell, CfCSpec) and cell != "cfc"
    wiring = NCPSpec(
        inter_neurons=12,
        command_neurons=8,
        motor_neurons=3,
        sensory_fanout=4,
        inter_fanout=3,
        recurrent_command_synapses=6,
        motor_fanin=4,
    )

    spec = ModelSpec(task="forecast", features=("a", "b"), cell=cell, wiring=wiring if wired else None, seed=2**31 - 1)
    assert_same(spec)


@given(
    seed=st.integers(0, 2**63 - 1),
    bound=st.floats(1e-3, 2.0),
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
)
def test_draws_are_those_of_torchs_generator(seed: int, bound: float, shape: tuple[int, int]) -> None:
    """Call after call, from the same seed."""
    generator, draws = torch.Generator().manual_seed(seed), Draws(seed)

    for _ in range(2):
        rand = torch.rand(*shape, generator=generator) * (1.0 - 0.001) + 0.001
        uniform = torch.empty(*shape).uniform_(-bound, bound, generator=generator)
        torch.rand(*shape, generator=generator)
        np.testing.assert_array_equal(draws.rand(0.001, 1.0, *shape), rand.numpy())
        np.testing.assert_allclose(draws.uniform(bound, *shape), uniform.numpy(), rtol=0, atol=1e-7 * bound)
        draws.skip(*shape)


def test_mixed_memory_has_no_blueprint() -> None:
    """No kernel knows it."""
    spec = ModelSpec(task="forecast", features=("a",), cell=CfCSpec(mixed_memory=True))

    with pytest.raises(EngineUnavailableError, match="MixedMemory"):
        blueprint_of(spec, num_inputs(spec))


def test_the_native_engine_steps_streams_without_torch() -> None:
    """A server of native streams starts without waiting for it, and has its memory for streams."""
    subprocess.run([sys.executable, "-c", WITHOUT_TORCH], check=True, timeout=60)
