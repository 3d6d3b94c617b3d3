"""scipy's ODE solver as the oracle of the LTC: what its unfolds converge to, and how fast."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

from liquid_core import NCP, AutoNCP, FullyConnected, LTCCell, Wiring


def softplus(raw: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.logaddexp(0.0, raw)


def solution(
    cell: LTCCell, inputs: NDArray[np.float64], start: NDArray[np.float64], time: float
) -> NDArray[np.float64]:
    """cm dv/dt = gleak (vleak - v) + Σ a (erev - v), written out from the paper and solved to ten digits."""
    p = {name: value.detach().numpy() for name, value in cell.named_parameters()}
    mask, sensory_mask = np.abs(cell.wiring.adjacency), np.abs(cell.wiring.sensory_adjacency)
    mapped = inputs * p["input_w"] + p["input_b"]

    def opened(source: NDArray[np.float64], kind: str) -> NDArray[np.float64]:
        return softplus(p[f"{kind}w"]) / (1 + np.exp(-p[f"{kind}sigma"] * (source[:, None] - p[f"{kind}mu"])))

    sensory = opened(mapped, "sensory_") * sensory_mask

    def slope(_: float, v: NDArray[np.float64]) -> NDArray[np.float64]:
        a = opened(v, "") * mask
        current = softplus(p["gleak"]) * (p["vleak"] - v)
        current += (a * (p["erev"] - v)).sum(0) + (sensory * (p["sensory_erev"] - v)).sum(0)
        return current / softplus(p["cm"])

    solved = solve_ivp(slope, (0.0, time), start, method="DOP853", rtol=1e-11, atol=1e-12)
    return solved.y[:, -1]  # type: ignore[no-any-return]


@pytest.mark.parametrize("wiring", [AutoNCP(12, 2), FullyConnected(5), NCP(5, 4, 3, 3, 2, 4, 2)], ids=lambda w: w.kind)
@pytest.mark.parametrize("time", [0.2, 0.5, 1.0])
def test_the_solver_is_of_first_order(wiring: Wiring, time: float) -> None:
    """The error to the exact solution falls in proportion to the number of unfolds: slope -1 of log on log."""
    generator = torch.Generator().manual_seed(3)
    inputs, start = (torch.randn(size, generator=generator, dtype=torch.float64) for size in (4, wiring.units))
    cell = LTCCell(wiring, 4, epsilon=0.0, implicit_param_constraints=True, generator=generator).double()
    exact = solution(cell, inputs.numpy(), start.numpy(), time)
    unfolds = np.array([32, 64, 128, 256])
    errors = []
    for cell.ode_unfolds in unfolds.tolist():
        _, hx = cell(inputs.unsqueeze(0), start.unsqueeze(0), time)
        errors.append(np.abs(hx.detach().numpy()[0] - exact).max())
    order = -np.polyfit(np.log(unfolds), np.log(errors), 1)[0]

    assert order == pytest.approx(1.0, abs=0.1)
    assert errors[-1] < 0.02
