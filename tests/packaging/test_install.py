"""Installing: with a compiler the wheel holds kernels, without one it is a wheel all the same, and says so."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PARTS = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "liquid_core", "service", "clients")
#: Asks an installation for its engine, and lets it learn.
ASK = """
from liquid_core import ModelSpec
from liquid_core.engine import Sample, Slab, build_engine, native_status
engine = build_engine(ModelSpec(task="forecast", features=("a",)))
slab = Slab(engine.layout)
slot = slab.load(engine.initial_row())
for seq in range(1, 20):
    results = engine.step(slab, [slot], [Sample(seq=seq, t=float(seq), x=(float(seq % 3),))])
print(engine.name, results.update[0], native_status().reason)
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A copy of what the package is built from, without anything that was built already."""
    copy = tmp_path / "source"
    copy.mkdir()
    for part in PARTS:
        origin = ROOT / part
        if origin.is_dir():
            shutil.copytree(origin, copy / part, ignore=shutil.ignore_patterns("*.so", "__pycache__", "*.egg-info"))
        else:
            shutil.copy(origin, copy / part)
    return copy


def install(source: Path, **environment: str) -> tuple[Path, str]:
    """Where the package was unpacked to, and what its build printed."""
    wheels = source.parent / "wheels"
    built = subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "-v",
            "--no-deps",
            "--no-build-isolation",
            "-w",
            str(wheels),
            str(source),
        ],
        env=os.environ | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = wheels.iterdir()
    site = source.parent / "site"
    zipfile.ZipFile(wheel).extractall(site)
    return site, built.stdout + built.stderr


def test_without_a_compiler_it_runs_on_torch(source: Path) -> None:
    """The install succeeds with a clear notice, and the package works and says what is missing."""
    site, said = install(source, CC="no-compiler", CXX="no-compiler", LIQUID_NATIVE="auto")
    answer = subprocess.run(
        [sys.executable, "-c", ASK],
        cwd=site,
        env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
    )

    assert "liquidstream: the native kernels were not built" in said
    assert "install a C++17 compiler" in said
    assert not list(site.rglob("*.so"))
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith("torch 1 the native kernels were not built here")


def test_who_insists_on_kernels_is_told(source: Path) -> None:
    """Where a torch engine would be a surprise, as in an image, a failed build is a failed install."""
    with pytest.raises(AssertionError, match="no-compiler"):
        install(source, CC="no-compiler", CXX="no-compiler", LIQUID_NATIVE="1")


def test_a_source_distribution_has_the_kernels_sources(source: Path) -> None:
    """Who builds from it builds kernels."""
    code = "import setuptools.build_meta as build; print(build.build_sdist('dist'))"
    made = subprocess.run([sys.executable, "-c", code], cwd=source, capture_output=True, text=True, check=True)
    names = subprocess.run(
        ["tar", "tzf", str(source / "dist" / made.stdout.split()[-1])], capture_output=True, text=True, check=True
    ).stdout
    for path in (ROOT / "liquid_core/engine/native/src").iterdir():
        assert f"liquid_core/engine/native/src/{path.name}\n" in names
