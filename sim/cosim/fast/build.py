"""The compiled bench: C++ to a shared library, once for the same design and compiler."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ....cache import cache_folder, content_key, publish
from ....errors import OhmloomError
from ..bench import Bench
from . import source

LIBRARY = "bench.so"
LOG = "compiler.log"
DRIVER = "driver.cc"
INCLUDED = "driver.inc"
PORTS = "ports.h"
COMPILER = "g++"
COMPILER_VARIABLE = "CXX"
"""Environment variable that names another compiler."""
FLAGS = (
    "-std=c++14", "-O2", "-fno-tree-fre", "-fno-tree-pre", "-g0", "-fPIC", "-fvisibility=hidden",
    "-w",
)  # fmt: skip
"""Without value numbering: with it GCC 12 has read one word of a wide value for another."""
PARTS = 4
"""Source files that the design is cut into; fixed, so that the key is the design's alone."""
CACHE_FORMAT = 1
"""Part of every key: raise it when the meaning of a cached folder changes."""
PACKAGE = "apt-get install g++"

Progress = Callable[[str, int, int], None]


class CompileError(OhmloomError, RuntimeError):
    """The library could not be built."""


def ports(bench: Bench) -> list[str]:
    """Names of all ports, in the order in which the library counts them."""
    return ["clk", "rst", *bench.signature.members]


def library(
    bench: Bench,
    progress: Progress = lambda stage, done, total: None,
    cache: Path | None = None,
    driver: str = DRIVER,
    netlist: str = "",
) -> Path:
    """Path of the library for ``bench``: from the cache, or compiled now.

    Parameters
    ----------
    bench : Bench
        Not elaborated before.
    progress : callable
        Told ("compile", parts done, parts).
    cache : Path, optional
        Folder of the cache; by default the user's.
    driver : str
        Source file beside this one; another than :data:`DRIVER` includes that as
        :data:`INCLUDED`.
    netlist : str
        RTLIL of modules that the design takes as they are.

    Raises
    ------
    CompileError
        If there is no C++ compiler, or it fails.
    """
    compiler, version = find_compiler()
    files = source.split(source.generate(bench, netlist), PARTS)
    files[PORTS] = source.port_table(ports(bench))
    files[driver] = Path(__file__).with_name(driver).read_text()
    if driver != DRIVER:
        files[INCLUDED] = Path(__file__).with_name(DRIVER).read_text()
    include = Path(source.headers())
    runtime = [
        (str(path.relative_to(include)), path.read_bytes()) for path in sorted(include.rglob("*.h"))
    ]
    key = content_key(
        [
            ("format", str(CACHE_FORMAT)),
            ("compiler", version),
            ("flags", " ".join(FLAGS)),
            *sorted(files.items()),
            *runtime,
        ]
    )
    entry = (cache or cache_folder("engines")) / key
    if not entry.is_dir():
        _compile(compiler, files, include, entry, progress)
    return entry / LIBRARY


def find_compiler() -> tuple[str, str]:
    """Path of the C++ compiler, and what it says of its version.

    Raises
    ------
    CompileError
        If there is none.
    """
    wanted = os.environ.get(COMPILER_VARIABLE) or COMPILER
    path = shutil.which(wanted)
    if path is None:
        raise CompileError(
            f"the engine cxxrtl needs a C++ compiler, {wanted} was not found: {PACKAGE}"
        )
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    return path, said.stdout.partition("\n")[0].strip()


def _compile(
    compiler: str, files: dict[str, str], include: Path, entry: Path, progress: Progress
) -> None:
    """Compile in a temporary folder beside ``entry``, then give it that name."""
    entry.parent.mkdir(parents=True, exist_ok=True)
    units = [name for name in files if name.endswith(".cc")]
    done = 0
    progress("compile", done, len(units))
    with tempfile.TemporaryDirectory(prefix="build-", dir=entry.parent) as temporary:
        folder, kept = Path(temporary), Path(temporary) / "kept"
        kept.mkdir()
        for name, text in files.items():
            (folder / name).write_text(text)

        def call(*arguments: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [compiler, *arguments],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )

        def compile_unit(name: str) -> subprocess.CompletedProcess[str]:
            return call(*FLAGS, f"-I{include}", "-c", name, "-o", f"{name}.o")

        with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
            for outcome in pool.map(compile_unit, units):
                _insist(outcome, entry)
                done += 1
                progress("compile", done, len(units))
        objects = [f"{name}.o" for name in units]
        _insist(call("-shared", "-o", str(kept / LIBRARY), *objects), entry)
        publish(kept, entry)


def _insist(outcome: subprocess.CompletedProcess[str], entry: Path) -> None:
    if outcome.returncode:
        said = outcome.stdout + outcome.stderr
        kept = entry.with_name(f"{entry.name}.{LOG}")
        kept.write_text(said)
        errors = [line for line in said.splitlines() if re.search(r"\b(fatal )?error\b", line)]
        reason = next(iter(errors or said.splitlines()), "it said nothing").strip()
        raise CompileError(f"the C++ compiler failed: {reason} (see {kept})")
