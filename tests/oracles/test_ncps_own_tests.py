"""Test files written for `ncps` pass on ours, imported under its name.

Upstream's own file runs wherever it is found: beside the installed package, or at the path in LIQUID_NCPS_TESTS.
"""

from __future__ import annotations

import importlib.util
import os
import runpy
import sys
from pathlib import Path

import ncps
import pytest

import liquid_core

HERE = Path(__file__).parent


def files() -> list[Path]:
    """Our own file of typical usage, and upstream's where there is one."""
    package = Path(ncps.__file__).parent
    places = [package / "tests" / "test_torch.py", package.parent / "tests" / "test_torch.py"]
    if given := os.environ.get("LIQUID_NCPS_TESTS"):
        assert Path(given).exists(), f"LIQUID_NCPS_TESTS names {given}, which does not exist."
        places += [Path(given) / "test_torch.py" if Path(given).is_dir() else Path(given)]
    return [HERE / "ncps_usage.py", *(place for place in places if place.is_file())]


@pytest.mark.parametrize("path", files(), ids=lambda path: path.name)
def test_their_tests_pass_on_ours(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test function of the file passes, with `ncps` an alias of ours."""
    spec = importlib.util.spec_from_file_location("ncps_alias", HERE / "ncps_alias.py")
    assert spec is not None
    assert spec.loader is not None
    alias = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(alias)
    for name, module in alias.modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    names = runpy.run_path(str(path))
    tests = [value for name, value in names.items() if name.startswith("test_")]

    assert names["LTCCell"] is liquid_core.LTCCell
    assert tests
    for test in tests:
        test()
