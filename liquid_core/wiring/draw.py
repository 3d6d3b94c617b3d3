"""A wiring as a networkx graph, and as a picture. Needs the extra `draw`: `pip install 'liquidstream[draw]'`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from liquid_core.errors import WiringError
from liquid_core.wiring.base import BuiltWiring

Layout = Literal["kamada", "circular", "random", "shell", "spring", "spectral", "spiral"]

NEURON_COLORS = {"sensory": "tab:olive", "inter": "tab:blue", "command": "tab:green", "motor": "tab:orange"}
SYNAPSE_COLORS = {"excitatory": "tab:green", "inhibitory": "tab:red"}


def get_graph(wiring: BuiltWiring) -> Any:
    """The wiring as a `networkx.DiGraph`.

    Nodes are called ``sensory_0`` … and ``neuron_0`` … and carry `neuron_type`; edges carry `polarity`, "excitatory" or
    "inhibitory".
    """
    import networkx as nx

    graph = nx.DiGraph()
    graph.add_nodes_from((f"sensory_{i}", {"neuron_type": "sensory"}) for i in range(wiring.input_size))
    graph.add_nodes_from((f"neuron_{i}", {"neuron_type": kind}) for i, kind in enumerate(wiring.neuron_types))
    for stem, matrix in (("sensory", wiring.sensory_adjacency), ("neuron", wiring.adjacency)):
        for source, destination in zip(*matrix.nonzero(), strict=True):
            polarity = "excitatory" if matrix[source, destination] > 0 else "inhibitory"
            graph.add_edge(f"{stem}_{source}", f"neuron_{destination}", polarity=polarity)
    return graph


def draw_graph(
    wiring: BuiltWiring,
    layout: Layout = "shell",
    neuron_colors: Mapping[str, str] | None = None,
    synapse_colors: Mapping[str, str] | None = None,
    draw_labels: bool = False,
    axes: Any = None,
) -> list[Any]:
    """Draw the wiring with matplotlib.

    Parameters
    ----------
    layout
        How networkx places the neurons; "shell" puts motor neurons inside and inputs outside.
    neuron_colors, synapse_colors
        Colors by type of neuron and by polarity, where others than the defaults are wanted.
    draw_labels
        Whether to write the neurons' names.
    axes
        Where to draw; the current axes by default.

    Returns
    -------
    list
        Patches for a legend of the neuron types: ``plt.legend(handles=...)``.

    Raises
    ------
    WiringError
        There is no such layout.
    """
    import matplotlib.patches
    import matplotlib.pyplot
    import networkx as nx

    colors = NEURON_COLORS | dict(neuron_colors or {})
    edge_colors = SYNAPSE_COLORS | dict(synapse_colors or {})
    graph = get_graph(wiring)
    places = _places(graph, wiring, layout)
    axes = matplotlib.pyplot.gca() if axes is None else axes
    axes.set_axis_off()
    kinds = nx.get_node_attributes(graph, "neuron_type")
    nx.draw_networkx_nodes(graph, places, node_color=[colors[kinds[node]] for node in graph], ax=axes)
    for polarity, color in edge_colors.items():
        edges = [edge for edge in graph.edges if graph.edges[edge]["polarity"] == polarity]
        nx.draw_networkx_edges(graph, places, edgelist=edges, edge_color=color, ax=axes)
    if draw_labels:
        nx.draw_networkx_labels(graph, places, ax=axes)
    present = [kind for kind in colors if kind in kinds.values()]
    return [matplotlib.patches.Patch(color=colors[kind], label=f"{kind.capitalize()} neurons") for kind in present]


def _places(graph: Any, wiring: BuiltWiring, layout: str) -> Any:
    import networkx as nx

    if layout == "shell":
        shells = [[f"neuron_{i}" for i in neurons] for neurons in reversed(wiring.layers)]
        return nx.shell_layout(graph, [*shells, [f"sensory_{i}" for i in range(wiring.input_size)]])
    functions = {
        "kamada": nx.kamada_kawai_layout,
        "circular": nx.circular_layout,
        "random": nx.random_layout,
        "spring": nx.spring_layout,
        "spectral": nx.spectral_layout,
        "spiral": nx.spiral_layout,
    }
    if layout not in functions:
        raise WiringError(f"`layout` must be one of shell, {', '.join(functions)}: got {layout!r}.")
    return functions[layout](graph)


__all__ = ["draw_graph", "get_graph"]
