"""Imports only point down the layers of the design, there are no cycles, and every package says what it is."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = {
    "liquid_core": ROOT / "liquid_core",
    "service": ROOT / "service",
    "liquidstream_client": ROOT / "clients/python/liquidstream_client",
}
#: What stands on what, from top to bottom; modules of one line may import each other.
LAYERS = {
    "liquid_core": [
        ["checks"],
        ["fold"],
        ["control", "soundness"],
        ["state"],
        ["engine"],
        ["learner"],
        ["rnn"],
        ["scripting"],
        ["cells"],
        ["wiring"],
        ["spec"],
        ["types"],
        ["errors", "lazy"],
    ],
    "service": [
        ["cli"],
        ["cli_evaluate"],
        ["demo", "evaluation", "replay", "server"],
        ["app", "child_server", "connections", "demo_streams", "opening", "report"],
        ["api", "security"],
        ["shard"],
        ["store"],
        ["cli_options"],
        ["cli_errors", "dashboard", "lag", "logs", "scoring"],
        ["csv_samples", "csv_times", "metrics", "settings"],
        ["clock", "fairness", "memory", "messages", "problems"],
    ],
}
#: The science knows no wire, no store and no clock.
FORBIDDEN_BELOW = {
    "fastapi",
    "starlette",
    "uvicorn",
    "redis",
    "prometheus_client",
    "asyncio",
    "time",
    "httpx",
    "service",
}


def modules(package: str) -> Iterator[tuple[str, Path]]:
    """Name and file of every module of a package."""
    folder = PACKAGES[package]
    for file in sorted(folder.rglob("*.py")):
        parts = file.relative_to(folder).with_suffix("").parts
        yield ".".join([package, *(part for part in parts if part != "__init__")]), file


MODULES = {name: file for package in PACKAGES for name, file in modules(package)}


def imports(name: str, *, at_once: bool = False) -> set[str]:
    """Modules that a module imports; `at_once`: only those that importing it runs, not those of a later call."""
    tree = ast.parse(MODULES[name].read_text())
    nodes = _run_at_once(tree.body) if at_once else ast.walk(tree)
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively; name the module in full."
            assert node.module is not None
            found |= {
                f"{node.module}.{alias.name}" if f"{node.module}.{alias.name}" in MODULES else node.module
                for alias in node.names
            }
    return found


def _run_at_once(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If) and "TYPE_CHECKING" not in ast.unparse(node.test):
            yield from _run_at_once([*node.body, *node.orelse])
        elif isinstance(node, ast.Try):
            yield from _run_at_once([*node.body, *node.orelse, *node.finalbody])


def layer_of(name: str) -> int | None:
    """Which line of its package's layers a module stands on, from the top; `None` for the package itself."""
    package, _, rest = name.partition(".")
    if not rest:
        return None
    part = rest.split(".")[0]
    for height, line in enumerate(LAYERS[package]):
        if part in line:
            return height
    raise AssertionError(f"{name} stands on no layer; give it one in LAYERS.")


@pytest.mark.parametrize("package", list(LAYERS))
def test_imports_point_down(package: str) -> None:
    """No module imports one of a layer above its own."""
    upward = [
        f"{name} imports {imported}"
        for name in MODULES
        if name.startswith(f"{package}.")
        for imported in imports(name)
        if imported.startswith(f"{package}.") and (layer_of(imported) or 0) < (layer_of(name) or 0)
    ]

    assert upward == []


def test_the_science_stands_alone() -> None:
    """`liquid_core` does no input or output, knows no event loop and no clock, and nothing of the service."""
    outside = [
        f"{name} imports {imported}"
        for name in MODULES
        if name.startswith("liquid_core")
        for imported in imports(name)
        if imported.split(".")[0] in FORBIDDEN_BELOW | {"liquidstream_client"}
    ]

    assert outside == []


def test_the_client_stands_alone() -> None:
    """Who installs the client alone gets neither torch nor the service."""
    roots = {root.split(".")[0] for name in MODULES if name.startswith("liquidstream_client") for root in imports(name)}

    assert not roots & {"liquid_core", "service", "torch", "numpy"}


def test_the_edge_reaches_the_shards_through_its_seam_only() -> None:
    """Routes know neither shards nor store: what they need of them is the seam's protocol."""
    reached = {
        imported.split(".")[1]
        for name in MODULES
        if name.startswith("service.api")
        for imported in imports(name)
        if imported.startswith("service.")
    }

    assert not reached & {"shard", "store", "app", "cli"}


def test_there_are_no_import_cycles() -> None:
    """No module waits, while it is imported, for one that waits for it."""
    waits = {name: {other for other in imports(name, at_once=True) if other in MODULES} for name in MODULES}
    free: set[str] = set()
    while ready := {name for name in waits.keys() - free if waits[name] <= free | {name}}:
        free |= ready

    assert sorted(waits.keys() - free) == []


@pytest.mark.parametrize("name", [name for name, file in MODULES.items() if file.name == "__init__.py"])
def test_a_package_is_a_table_of_contents(name: str) -> None:
    """Its `__init__` says what it holds in a docstring and lists what it offers in `__all__`."""
    tree = ast.parse(MODULES[name].read_text())
    listed = [
        node for node in tree.body if isinstance(node, ast.Assign | ast.AnnAssign) and "__all__" in ast.unparse(node)
    ]
    names = ast.literal_eval(listed[0].value) if listed and listed[0].value else None

    assert ast.get_docstring(tree)
    assert names is not None, f"{name} has no __all__"
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_module_opens_with_its_purpose(name: str) -> None:
    """Every file says in its first line what it is for."""
    docstring = ast.get_docstring(ast.parse(MODULES[name].read_text()))

    assert docstring
    assert len(docstring.splitlines()[0]) >= 15
