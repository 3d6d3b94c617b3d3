"""The page of promises names tests that are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/guarantees.md").read_text("utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))


@pytest.mark.parametrize(("file", "name"), NAMED, ids=[name for _, name in NAMED])
def test_a_promise_names_a_test(file: str, name: str) -> None:
    """In the file that it names."""
    tree = ast.parse((ROOT / file).read_text("utf-8"))

    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_promise_names_one() -> None:
    """A paragraph that promises in bold is followed by the tests that hold it."""
    promised = PAGE.partition("## Promised")[2].partition("\n## ")[0]
    promises = re.split(r"^\*\*", promised, flags=re.MULTILINE)[1:]

    assert len(promises) >= 10
    assert [each.partition("**")[0] for each in promises if "\n* `tests/" not in each] == []
