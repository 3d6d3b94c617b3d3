"""Graphs and pictures of wirings."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib as mpl
import matplotlib.pyplot as plt
import ncps.wirings
import networkx as nx
import pytest

from liquid_core.errors import WiringError
from liquid_core.wiring import AutoNCP, FullyConnected
from liquid_core.wiring.draw import draw_graph, get_graph


@pytest.fixture(autouse=True)
def _no_window() -> Iterator[None]:
    mpl.use("agg")
    yield
    plt.close("all")


def test_the_graph_is_that_of_ncps() -> None:
    """Nodes, edges and polarities are those that ncps gives its graph."""
    theirs = ncps.wirings.AutoNCP(12, 3)
    theirs.build(4)
    expected, graph = theirs.get_graph(), get_graph(AutoNCP(12, 3).build(4))

    assert dict(graph.nodes(data="neuron_type")) == dict(expected.nodes(data="neuron_type"))
    assert nx.get_edge_attributes(graph, "polarity") == nx.get_edge_attributes(expected, "polarity")


@pytest.mark.parametrize("layout", ["kamada", "circular", "random", "shell", "spring", "spectral", "spiral"])
def test_every_layout_draws(layout: str) -> None:
    """A picture has a patch for each type of neuron, for its legend."""
    patches = draw_graph(AutoNCP(8, 1).build(2), layout, draw_labels=True)  # type: ignore[arg-type]

    assert [patch.get_label() for patch in patches] == [
        "Sensory neurons",
        "Inter neurons",
        "Command neurons",
        "Motor neurons",
    ]


def test_colors_can_be_chosen() -> None:
    """Given colors replace the defaults, and types that do not occur have no patch."""
    _, axes = plt.subplots()
    patches = draw_graph(FullyConnected(3).build(1), neuron_colors={"motor": "black"}, axes=axes)

    assert [patch.get_label() for patch in patches] == ["Sensory neurons", "Motor neurons"]
    assert patches[1].get_facecolor() == (0.0, 0.0, 0.0, 1.0)


def test_an_unknown_layout_is_refused() -> None:
    """The message lists the layouts."""
    with pytest.raises(WiringError, match="`layout` must be one of shell, kamada"):
        draw_graph(AutoNCP(8, 1).build(2), "dot")  # type: ignore[arg-type]
