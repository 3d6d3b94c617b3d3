"""`ncps` as the oracle: the same seed, the same weights, and the same numbers and gradients in float64.

Where `ncps` is known to be wrong (irregular time in batches) it is run on one sequence at a time, where it is right.
"""

from __future__ import annotations

from typing import Any

import ncps.torch
import ncps.wirings
import pytest
import torch
from torch import Tensor, nn

import liquid_core as liquid
from liquid_core import LTC, CfC

INPUTS, BATCH, TIME = 3, 4, 5
WIRINGS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "auto_ncp": ("AutoNCP", (12, 3)),
    "ncp": ("NCP", (5, 4, 3, 3, 2, 4, 2)),
    "random": ("Random", (9, None, 0.5)),
    "fully_connected": ("FullyConnected", (6, None, 7, False)),
}
#: Our class, the number of units or the wiring, and the keyword arguments.
MODELS: dict[str, tuple[type[nn.Module], int | str, dict[str, Any]]] = {
    **{f"ltc-{name}": (LTC, name, {}) for name in WIRINGS},
    "ltc-units": (LTC, 6, {}),
    "ltc-explicit": (LTC, "auto_ncp", {"implicit_param_constraints": False}),
    "ltc-linear-maps": (LTC, "auto_ncp", {"input_mapping": "linear", "output_mapping": "linear"}),
    "ltc-no-maps": (LTC, "auto_ncp", {"input_mapping": "none", "output_mapping": "none"}),
    "ltc-one-unfold": (LTC, "ncp", {"ode_unfolds": 1}),
    "ltc-last-output": (LTC, "ncp", {"return_sequences": False}),
    "ltc-mixed": (LTC, "auto_ncp", {"mixed_memory": True}),
    "cfc-no-backbone": (CfC, 6, {"backbone_layers": 0}),
    "cfc-deep": (CfC, 6, {"backbone_layers": 3, "backbone_units": 7, "activation": "silu", "backbone_dropout": 0.3}),
    "cfc-projected": (CfC, 6, {"proj_size": 2, "mixed_memory": True, "return_sequences": False}),
    **{f"cfc-{mode}": (CfC, 6, {"mode": mode}) for mode in ("default", "pure", "no_gate")},
    **{f"cfc-{mode}-mixed": (CfC, 6, {"mode": mode, "mixed_memory": True}) for mode in ("default", "pure", "no_gate")},
    **{f"cfc-{act}": (CfC, 6, {"activation": act, "backbone_units": 9}) for act in ("relu", "tanh", "gelu")},
    **{
        f"wired-{mode}-{name}": (CfC, name, {"mode": mode})
        for mode in ("default", "pure", "no_gate")
        for name in WIRINGS
    },
    "wired-mixed": (CfC, "auto_ncp", {"mixed_memory": True, "proj_size": 2}),
}
models = pytest.mark.parametrize("name", list(MODELS))


def pair(name: str, **more: Any) -> tuple[nn.Module, nn.Module]:
    """Our model and theirs, built from the same seed, in float64."""
    ours, units, kwargs = MODELS[name]
    built: list[nn.Module] = []
    for package, model in ((liquid, ours), (ncps.wirings, getattr(ncps.torch, ours.__name__))):
        who = units
        if isinstance(units, str):
            kind, numbers = WIRINGS[units]
            who = getattr(package, kind)(*numbers)
        torch.manual_seed(11)
        built.append(model(INPUTS, who, **kwargs, **more).double().eval())
    return built[0], built[1]


def with_other_weights(pair: tuple[nn.Module, nn.Module]) -> tuple[nn.Module, nn.Module]:
    """The same pair after some training, as it were: our weights are those of their state dict."""
    ours, theirs = pair
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in theirs.parameters():
            if parameter.requires_grad:  # their masks are parameters too
                parameter += 0.2 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def their_name(name: str) -> str:
    """What `ncps` calls our parameter."""
    return name.replace("rnn_cell.cell.", "rnn_cell.").replace("rnn_cell.lstm.", "lstm.")


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def flat(outputs: Tensor, hx: Tensor | tuple[Tensor, Tensor]) -> Tensor:
    parts = (outputs, hx) if isinstance(hx, Tensor) else (outputs, *hx)
    return torch.cat([part.reshape(-1) for part in parts])


def start(theirs: Any, batch: int) -> Tensor | tuple[Tensor, Tensor]:
    """Zeros to start from, in float64; a mixed memory of ncps would start from float32 and stumble."""
    zeros = torch.zeros(batch, theirs.state_size, dtype=torch.float64)
    return (zeros, zeros) if theirs.use_mixed else zeros


def close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@models
def test_equal_seeds_give_equal_initial_weights(name: str) -> None:
    """Every weight and mask that a seed gives in ncps it gives here, save the pure mode's two that ncps spoils."""
    ours, theirs = pair(name)
    expected = theirs.state_dict()

    assert {their_name(key) for key in ours.state_dict()} >= set(expected) - {k for k in expected if "backbone" in k}
    backbones = [[v for k, v in model.state_dict().items() if "backbone" in k] for model in (ours, theirs)]
    assert all(torch.equal(mine, other) for mine, other in zip(*backbones, strict=True))
    for key, value in ours.state_dict().items():
        if not key.endswith(("w_tau", ".A")) and "backbone" not in key:
            assert torch.equal(value, expected[their_name(key)]), key


@models
def test_outputs_and_states_agree_at_regular_time(name: str) -> None:
    """A batch of sequences one time unit apart gives the outputs and final states of ncps."""
    ours, theirs = with_other_weights(pair(name))
    inputs = numbers(BATCH, TIME, INPUTS)

    close(flat(*ours(inputs)), flat(*theirs(inputs, start(theirs, BATCH))))


@models
def test_outputs_and_states_agree_at_irregular_time(name: str) -> None:
    """A batch with its own time spans gives what ncps gives for each of its sequences alone."""
    ours, theirs = with_other_weights(pair(name))
    inputs, spans = numbers(BATCH, TIME, INPUTS), numbers(BATCH, TIME, seed=1).abs() + 0.01
    alone = [theirs(inputs[i : i + 1], start(theirs, 1), spans[i : i + 1]) for i in range(BATCH)]
    outputs, hx = ours(inputs, timespans=spans)

    close(outputs, torch.cat([output for output, _ in alone]))
    for mine, *others in zip(hx, *[state for _, state in alone], strict=True) if isinstance(hx, tuple) else []:
        close(mine, torch.cat(others))
    if isinstance(hx, Tensor):
        close(hx, torch.cat([state for _, state in alone]))


@models
def test_gradients_agree(name: str) -> None:
    """Gradients by every parameter, the inputs and the time spans are those of ncps."""
    gradients: list[dict[str, Tensor]] = []
    ours, theirs = with_other_weights(pair(name))
    for model in (ours, theirs):
        inputs = numbers(1, TIME, INPUTS).requires_grad_()
        spans = (numbers(1, TIME, seed=1).abs() + 0.01).requires_grad_()
        result = flat(*model(inputs, start(theirs, 1), spans))
        (result * numbers(len(result), seed=2)).sum().backward()
        found = {their_name(key): value.grad for key, value in model.named_parameters() if value.requires_grad}
        names = sorted(key for key in found if "backbone" not in key)
        depth = [value for key, value in found.items() if "backbone" in key]
        gradients.append({key: found[key] for key in names} | {str(i): g for i, g in enumerate(depth)})
        gradients[-1] |= {"inputs": inputs.grad, "spans": spans.grad}
    mine, expected = gradients

    assert set(mine) == set(expected)
    for key, value in mine.items():
        close(value, expected[key])


@pytest.mark.parametrize("name", ["ltc-auto_ncp", "ltc-mixed", "cfc-default", "cfc-projected", "wired-mixed"])
@pytest.mark.parametrize("batch_first", [True, False])
def test_layouts_agree(name: str, batch_first: bool) -> None:
    """Both layouts, a given initial state, and a single sequence of two axes mean what they mean in ncps."""
    ours, theirs = with_other_weights(pair(name, batch_first=batch_first))
    inputs = numbers(BATCH, TIME, INPUTS)
    batch = BATCH if batch_first else TIME
    _, hx = theirs(inputs, start(theirs, batch))
    alone = tuple(part[0] for part in hx) if isinstance(hx, tuple) else hx[0]

    close(flat(*ours(inputs, hx)), flat(*theirs(inputs, hx)))
    close(flat(*ours(inputs[0], alone, numbers(TIME).abs())), flat(*theirs(inputs[0], alone, numbers(TIME).abs())))


def test_a_cell_alone_agrees() -> None:
    """An LTC cell with explicit constraints, its default as in ncps, steps as ncps's does."""
    torch.manual_seed(2)
    ours = liquid.LTCCell(liquid.AutoNCP(12, 3), INPUTS).double()
    torch.manual_seed(2)
    theirs = ncps.torch.LTCCell(ncps.wirings.AutoNCP(12, 3), INPUTS).double()
    inputs, hx = numbers(BATCH, INPUTS), numbers(BATCH, 12, seed=1)

    close(flat(*ours(inputs, hx, 0.3)), flat(*theirs(inputs, hx, 0.3)))
