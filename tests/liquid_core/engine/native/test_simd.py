"""The vector primitives that the kernels are made of, on every instruction set that can be run here."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from liquid_core.engine.native.status import load_kernels

SOURCES = Path("liquid_core/engine/native/src").resolve()
CHECK = Path(__file__).with_name("simd_check.cpp")
FLAGS = ["-std=c++17", "-O2", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-Wno-psabi"]
#: Compiler, its flags, and what runs the program, by instruction set.
BUILDS = {
    "x86-64-v2": ("c++", ["-march=x86-64-v2"], []),
    "x86-64-v3": ("c++", ["-march=x86-64-v3"], []),
    "x86-64-v4": ("c++", ["-march=x86-64-v4"], []),
    "arm64": ("c++", [], []),
    "arm64 by emulation": ("aarch64-linux-gnu-g++", ["-static"], ["qemu-aarch64-static"]),
}


@pytest.mark.parametrize("isa", list(BUILDS))
def test_vectors_do_what_loops_do(isa: str, tmp_path: Path) -> None:
    """Functions against the C library, sums, products, transposes and partial vectors against plain loops."""
    compiler, flags, runner = BUILDS[isa]
    if not runner and isa not in load_kernels().supported():
        pytest.skip(f"this {platform.machine()} does not run {isa}")
    for program in (compiler, *runner):
        if shutil.which(program) is None:
            pytest.skip(f"there is no {program}")
    built = tmp_path / "check"
    command = [compiler, *FLAGS, *flags, f"-I{SOURCES}", "-DLIQUID_ISA=checked", str(CHECK), "-o", str(built)]
    subprocess.run(command, check=True)
    found = subprocess.run([*runner, str(built)], capture_output=True, text=True, check=False)

    assert found.stdout == "all of it holds\n"
