"""Names that bring torch along are imported when they are asked for, and otherwise are names like all others."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

PACKAGES = ["liquid_core", "liquid_core.engine", "liquid_core.learner"]


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_has_all_that_it_lists(name: str) -> None:
    """Also in `dir`, for whoever looks around in it."""
    package = importlib.import_module(name)
    assert set(package.__all__) <= set(dir(package))
    assert all(getattr(package, each) is not None for each in package.__all__)


@pytest.mark.parametrize("name", PACKAGES)
def test_another_name_is_missing_as_usual(name: str) -> None:
    """With the usual words."""
    with pytest.raises(AttributeError, match=f"module '{name}' has no attribute 'Poetry'"):
        _ = importlib.import_module(name).Poetry


def test_torch_comes_with_who_needs_it() -> None:
    """Specs, wirings, records and states do not; cells do."""
    program = f"""
import sys
for name in {[*PACKAGES, "liquid_core.fold", "liquid_core.control", "liquid_core.soundness"]}:
    __import__(name)
assert "torch" not in sys.modules
from liquid_core import CfC
assert "torch" in sys.modules and CfC is sys.modules["liquid_core.rnn"].CfC
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
