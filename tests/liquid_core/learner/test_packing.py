"""Packing: named tensors in one vector and back, without what the wiring leaves out."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from liquid_core import AutoNCP, LTCCell
from liquid_core.learner.packing import Packing
from liquid_core.types import Parameters

shapes = st.lists(st.lists(st.integers(1, 4), max_size=3).map(tuple), min_size=1, max_size=4)


def in_order(parameters: Parameters) -> Tensor:
    """Parameters as they come."""
    return torch.cat([value.reshape(-1) for value in parameters.values()])


@st.composite
def packings(draw: st.DrawFn) -> tuple[Packing, dict[str, Tensor], dict[str, Tensor]]:
    """A packing, random parameters of its shapes for two streams, and its masks."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 1000)))
    names = {f"p{index}": shape for index, shape in enumerate(draw(shapes))}
    masks = {
        name: torch.rand(shape, generator=generator) < draw(st.sampled_from([0.0, 0.5, 1.0]))
        for name, shape in names.items()
        if draw(st.booleans())
    }
    template = {name: torch.zeros(shape) for name, shape in names.items()}
    values = {name: torch.randn(2, *shape, generator=generator) for name, shape in names.items()}
    order = torch.randperm(sum(tensor.numel() for tensor in template.values()), generator=generator)

    def arrange(parameters: Parameters) -> Tensor:
        return torch.cat([value.reshape(-1) for value in parameters.values()])[order]

    return Packing(template, masks, arrange), values, masks


@settings(deadline=None)
@given(packings())
def test_unpacking_gives_back_what_the_masks_leave(case: tuple[Packing, dict[str, Tensor], dict[str, Tensor]]) -> None:
    """Kept values come back exactly where they were, the others as zero."""
    packing, values, masks = case
    back = packing.unpack(packing.pack(values))

    assert list(back) == list(values)
    for name, value in values.items():
        kept = masks.get(name, torch.ones(value.shape[1:], dtype=torch.bool))
        assert torch.equal(back[name], value * kept)


@settings(deadline=None)
@given(packings())
def test_packing_gives_back_the_vector(case: tuple[Packing, dict[str, Tensor], dict[str, Tensor]]) -> None:
    """A vector that is unpacked and packed again is the same vector: nothing in it is redundant."""
    packing, _, masks = case
    vector = torch.randn(3, packing.size, generator=torch.Generator().manual_seed(0))

    assert torch.equal(packing.pack(packing.unpack(vector)), vector)
    assert packing.dense_size - packing.size == sum(int((~mask).sum()) for mask in masks.values())


def test_one_set_of_tensors_makes_one_vector() -> None:
    """Without a batch axis, tensors pack to `(params,)`, and say the same."""
    cell = LTCCell(AutoNCP(8, 2), 3)
    packing = Packing(dict(cell.named_parameters()), cell.parameter_masks(), cell.arrange)
    vector = packing.pack({name: value.detach() for name, value in cell.named_parameters()})

    assert vector.shape == (packing.size,)
    assert packing.size == cell.effective_parameter_count
    assert packing.names() == tuple(name for name, _ in cell.named_parameters())


def test_a_gradient_passes_through() -> None:
    """What is derived by the tensors is derived by the vector, each entry in its place."""
    mask = torch.tensor([[True, False], [True, True]])
    packing = Packing({"a": torch.zeros(2, 2), "b": torch.zeros(1)}, {"a": mask}, in_order)
    vector = torch.randn(2, 4, requires_grad=True)
    tensors = packing.unpack(vector)
    (gradient,) = torch.autograd.grad(
        (tensors["a"] * torch.tensor([[1.0, 2], [3, 4]])).sum() + tensors["b"].sum(), vector
    )

    assert gradient.tolist() == [[1.0, 3.0, 4.0, 1.0]] * 2
