"""The examples in the documentation run, and print what they say."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import liquid_core

MODULES = ["checks", "rnn", "spec", "wiring.base"]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name: str) -> None:
    """A module's examples give the answers that stand beside them."""
    failed, tried = doctest.testmod(importlib.import_module(f"liquid_core.{name}"))

    assert tried > 0
    assert failed == 0


def test_examples_in_the_readme_run() -> None:
    """So do those of liquid_core/README.md."""
    readme = Path(liquid_core.__file__).with_name("README.md")
    failed, tried = doctest.testfile(str(readme), module_relative=False)

    assert tried > 10
    assert failed == 0


def test_the_public_names_exist() -> None:
    """`__all__` lists what is there, without repetition."""
    assert len(set(liquid_core.__all__)) == len(liquid_core.__all__)
    assert all(hasattr(liquid_core, name) for name in liquid_core.__all__)
