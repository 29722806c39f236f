"""An inference as one number; as a command, of a bundle in a process of its own.

    python tests/sim/engine/digest.py BUNDLE INPUTS [MISSING]

``INPUTS`` are integers, .npy (n, inputs), and ``MISSING`` is a module that cannot be imported.
Prints the digest of the integers, that of a product in floats, and what was at work.
"""

from __future__ import annotations

import hashlib
import json
import sys

import numpy as np
from threadpoolctl import threadpool_info

from ohmloom.compiler.bundle import load_bundle
from ohmloom.compiler.compiled import Compiled
from ohmloom.compiler.runner import build_engine
from ohmloom.sim.array import SimulatedArray
from ohmloom.sim.engine import NumpyEngine, Trace

SHORTED = 9e-4
"""Conductance [S] of the cells of a column that brings the ADC to its rail."""


def engine(
    compiled: Compiled, array_type: type[SimulatedArray] = SimulatedArray, threads: int = 1
) -> NumpyEngine:
    """One that has written a network's cells; the first column of each tile is shorted."""
    faults = np.full(compiled.levels.shape, np.nan)
    faults[:, :, 0] = SHORTED
    return build_engine(compiled, faults=faults, array_type=array_type, threads=threads)


def digest(trace: Trace) -> str:
    """Of every layer's integers, the output's, saturations and conversions."""
    counted = np.array([trace.saturations, trace.conversions])
    found = hashlib.sha256()
    for name, values in {**trace.layers, "output": trace.output, "counted": counted}.items():
        found.update(f"{name} {values.shape}".encode())
        found.update(values.astype("<i8").tobytes())
    return found.hexdigest()


def main(bundle: str, inputs: str, *missing: str) -> None:
    for name in missing:
        sys.modules[name] = None  # pyright: ignore[reportArgumentType]
    integers = digest(engine(load_bundle(bundle)).infer(np.load(inputs)))
    floats = np.random.default_rng(0).normal(size=(300, 300)).astype(np.float32)
    found = {
        "integers": integers,
        "floats": hashlib.sha256((floats @ floats).tobytes()).hexdigest(),
        "cores": [library.get("architecture") for library in threadpool_info()],
        "compiled": sys.modules.get("numba") is not None,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
