"""Builds the native kernels, one object an instruction set; where that fails, the package is installed without them.

``LIQUID_NATIVE=0`` leaves them out, ``LIQUID_NATIVE=1`` makes a failure an error. Everything else about the package is
in pyproject.toml.
"""

from __future__ import annotations

import os
import platform
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pybind11.setup_helpers import Pybind11Extension, build_ext
from setuptools import setup

SOURCES = Path("liquid_core/engine/native/src")
#: By machine: name of each instruction set's namespace and in the product, and the compiler's flags for it.
INSTRUCTION_SETS = {
    "x86_64": [
        ("v2", "x86-64-v2", ["-march=x86-64-v2"]),
        ("v3", "x86-64-v3", ["-march=x86-64-v3"]),
        ("v4", "x86-64-v4", ["-march=x86-64-v4", "-mprefer-vector-width=512"]),
    ],
    "aarch64": [("arm64", "arm64", [])],
}
INSTRUCTION_SETS |= {"AMD64": INSTRUCTION_SETS["x86_64"], "arm64": INSTRUCTION_SETS["aarch64"]}
#: No contraction of a * b + c: where one rounding is wanted the code says so, and no bit depends on a compiler's mood.
FLAGS = ["-std=c++17", "-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-Wno-psabi"]


class BuildKernels(build_ext):
    """Compiles kernels.cpp once an instruction set, and links what could be compiled."""

    def run(self) -> None:
        wanted = os.environ.get("LIQUID_NATIVE", "auto")
        if wanted == "0":
            self._notice("left out, as LIQUID_NATIVE=0 asks")
            return
        try:
            super().run()
        except BaseException as error:  # whatever a missing or broken compiler leads to, down to SystemExit
            if wanted == "1" or isinstance(error, KeyboardInterrupt):
                raise
            self._notice(f"not built: {error}")

    def build_extension(self, ext: Pybind11Extension) -> None:
        sets = INSTRUCTION_SETS.get(platform.machine(), [])
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            compiled = [item for item in pool.map(self._compile, sets) if item is not None]
        if not compiled:
            raise RuntimeError(f"the compiler makes kernels for no instruction set of {platform.machine()}")
        for namespace, objects in compiled:
            ext.extra_objects += objects
            ext.define_macros.append((f"LIQUID_HAS_{namespace.upper()}", "1"))
        super().build_extension(ext)

    def _compile(self, instruction_set: tuple[str, str, list[str]]) -> tuple[str, list[str]] | None:
        namespace, name, flags = instruction_set
        try:
            objects = self.compiler.compile(
                [str(SOURCES / "kernels.cpp")],
                output_dir=str(Path(self.build_temp) / namespace),
                macros=[("LIQUID_ISA", namespace), ("LIQUID_ISA_NAME", f'"{name}"')],
                extra_postargs=[*FLAGS, *flags],
                depends=[str(path) for path in SOURCES.iterdir()],
            )
        except Exception as error:
            print(f"liquidstream: no kernels for {name}: {error}", file=sys.stderr)
            return None
        return namespace, objects

    def _notice(self, what: str) -> None:
        lines = [
            f"liquidstream: the native kernels were {what}.",
            "liquidstream: everything works without them, on the torch engine, fifty times slower or more.",
            "liquidstream: to have them, install a C++17 compiler (Debian: apt-get install g++) and install again.",
        ]
        print("\n".join(lines), file=sys.stderr)


setup(
    ext_modules=[
        Pybind11Extension(
            "liquid_core.engine.native._kernels",
            [str(SOURCES / "bindings.cpp")],
            cxx_std=17,
            extra_compile_args=["-O2"],
            depends=[str(path) for path in SOURCES.iterdir()],
        )
    ],
    cmdclass={"build_ext": BuildKernels},
)
