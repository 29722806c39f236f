"""What the schemes of weights cost and keep: the digits example on two devices.

For every scheme and number of slices: the largest integer weight, tiles, products and clock
cycles of an inference on the array card, estimated energy of the cells in it, and the accuracy
on the test images, mean and standard deviation over arrays of several seeds with every
nonideality on. What does not fit is told.

    python bench/schemes.py [--arrays 5] [--slices 1 2 3]
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import get_args

import numpy as np

from ohmloom.compiler.encoding import Encoding, SchemeName
from ohmloom.compiler.errors import TargetError
from ohmloom.compiler.frontend import load_model
from ohmloom.compiler.options import Options
from ohmloom.compiler.pipeline import Source, calibrated, compile_network
from ohmloom.compiler.report import summarise
from ohmloom.compiler.runner import accuracy, build_engine, dequantise_output, quantise_input
from ohmloom.hw.geometry import Geometry
from ohmloom.sim.converters import Converters
from ohmloom.sim.devices import load

DIGITS = Path(__file__).parents[1] / "examples" / "digits"
DEVICES = ("cspbbr3_ogb", "vb3")


def told(source: Source, name: str, scheme: SchemeName, slices: int, arrays: int) -> str:
    """A line of figures."""
    device, options = load(name), Options(slices=slices, scheme=scheme, golden_samples=0)
    encoding = Encoding(len(device.level_codes), slices, scheme)
    what = f"{name:12} {scheme:16} {slices} slices, weights to {encoding.top:6}"
    try:
        compiled = compile_network("digits", source, device, Geometry(), options, Converters())
    except TargetError as error:
        return f"{what}: {error}"
    x, y = (np.load(DIGITS / f"test_{each}.npy") for each in "xy")
    found = []
    for seed in range(1, arrays + 1):
        trace = build_engine(compiled, seed).infer(quantise_input(compiled, x))
        found.append(accuracy(dequantise_output(compiled, trace.output), y))
    report = summarise(compiled)
    (cells,) = (part for part in report["energy"]["parts"] if part["name"] == "cells")
    mvms = sum(layer["mvms"] for layer in report["layers"])
    return (
        f"{what}: {compiled.image.tiles:3} tiles {mvms:3} MVMs "
        f"{report['cycles']['later']:7} cycles {cells['joules'] * 1e6:7.3f} uJ in cells   "
        f"accuracy {np.mean(found):.4f} +- {np.std(found):.4f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--arrays", type=int, default=5)
    parser.add_argument("--slices", type=int, nargs="+", default=[1, 2, 3, 4])
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)  # of cells that do not converge
    source = calibrated(load_model(DIGITS / "digits.onnx"), np.load(DIGITS / "calib_x.npy"))
    for device in DEVICES:
        for scheme in get_args(SchemeName):
            for slices in arguments.slices:
                print(told(source, device, scheme, slices, arguments.arrays), flush=True)


if __name__ == "__main__":
    main()
