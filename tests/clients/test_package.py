"""The client as a package of its own."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import liquidstream_client

CLIENT = Path(__file__).parents[2] / "clients" / "python"


def test_everything_exported_is_there():
    """`__all__` is sorted and holds only names that exist."""
    assert liquidstream_client.__all__ == sorted(liquidstream_client.__all__)
    assert all(hasattr(liquidstream_client, name) for name in liquidstream_client.__all__)


def test_it_needs_nothing_of_the_server():
    """Importing the client loads httpx and websockets, and none of the server's packages."""
    heavy = ("torch", "numpy", "pydantic", "fastapi", "redis", "typer", "service", "liquid_core")
    program = (
        f"import sys; sys.path.insert(0, {str(CLIENT)!r}); import liquidstream_client; "
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_its_requirements_are_httpx_and_websockets():
    """The package's own pyproject asks for these two alone, in the versions that the server's asks for."""
    own = tomllib.loads((CLIENT / "pyproject.toml").read_text())["project"]
    whole = tomllib.loads((CLIENT.parents[1] / "pyproject.toml").read_text())["project"]
    assert sorted(requirement.split(">")[0] for requirement in own["dependencies"]) == ["httpx", "websockets"]
    assert set(own["dependencies"]) <= set(whole["dependencies"])
    assert own["version"] == whole["version"] == liquidstream_client.__version__
