"""How programs written for `ncps` build and call its torch models; run on ours through the alias."""

from __future__ import annotations

import ncps
import torch
from ncps.torch import LTC, CfC, LTCCell
from ncps.wirings import NCP, AutoNCP

INPUTS = torch.randn(5, 3, 8)


def test_an_ltc_cell_on_a_wiring() -> None:
    wiring = ncps.wirings.FullyConnected(8, 4)
    output, hx = LTCCell(wiring, 8)(torch.randn(3, 8), torch.zeros(3, wiring.units))
    assert output.size() == (3, 4)
    assert hx.size() == (3, wiring.units)


def test_a_cfc_of_units() -> None:
    for kwargs in ({}, {"batch_first": False}):
        output, _ = CfC(8, 32, **kwargs)(INPUTS)
        assert output.size() == (5, 3, 32)


def test_a_projected_cfc() -> None:
    output, _ = CfC(8, 32, proj_size=10)(INPUTS)
    assert output.size() == (5, 3, 10)


def test_an_ltc_of_units() -> None:
    output, hx = LTC(8, 32, batch_first=True)(INPUTS)
    assert output.size() == (5, 3, 32)
    assert hx.size() == (5, 32)
    output, hx = LTC(8, 32, batch_first=False)(INPUTS)
    assert output.size() == (5, 3, 32)
    assert hx.size() == (3, 32)


def test_one_sequence_without_a_batch() -> None:
    for model in (CfC, LTC):
        for batch_first in (True, False):
            output, _ = model(8, 32, batch_first=batch_first)(torch.randn(3, 8))
            assert output.size() == (3, 32)


def test_an_ncp() -> None:
    for model in (LTC, CfC):
        wiring = NCP(10, 10, 8, 6, 6, 4, 6)
        rnn = model(8, wiring, batch_first=True)
        assert wiring.synapse_count > 0
        assert wiring.sensory_synapse_count > 0
        output, hx = rnn(INPUTS)
        assert output.size() == (5, 3, 8)
        assert hx.size() == (5, 28)


def test_an_auto_ncp() -> None:
    for model in (LTC, CfC):
        output, hx = model(8, AutoNCP(16, 4), batch_first=True)(INPUTS)
        assert output.size() == (5, 3, 4)
        assert hx.size() == (5, 16)


def test_irregular_time_and_mixed_memory() -> None:
    rnn = CfC(8, 16, mixed_memory=True, mode="no_gate", backbone_units=20, backbone_layers=2, activation="silu")
    output, (h, c) = rnn(INPUTS, timespans=torch.rand(5, 3))
    assert output.size() == (5, 3, 16)
    assert h.size() == c.size() == (5, 16)
