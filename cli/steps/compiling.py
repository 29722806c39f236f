"""ONNX file to bundle."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...compiler.bundle import REPORT_HTML, write_bundle
from ...compiler.compiled import Compiled
from ...compiler.options import Options
from ...compiler.pipeline import compile_model
from ...hw.geometry import Geometry
from ...sim.devices import load
from ..output import Reporter


def compile_bundle(
    model: Path,
    device: str,
    calib: np.ndarray,
    bundle: Path,
    reporter: Reporter,
    geometry: Geometry | None = None,
    act_bits: int = 8,
    seed: int = 1,
) -> tuple[Compiled, dict[str, object]]:
    """Compile a network into a bundle; also returns the figures that are shown.

    Raises
    ------
    DeviceError, CompileError, BundleError
        If device, model, samples or place do not do.
    """
    reporter.update("compiling")
    options = Options(act_bits=act_bits, seed=seed)
    compiled = compile_model(model, load(device), calib, geometry, options)
    write_bundle(compiled, bundle)
    image = compiled.image
    return compiled, {
        "bundle": str(bundle),
        "report": str(bundle / REPORT_HTML),
        "device": compiled.device.name,
        "layers": [
            f"{layer.name}: {layer.kind}, {layer.outputs} values" for layer in compiled.layers
        ],
        "tiles": image.tiles,
        "cells": image.tiles * image.geometry.cells,
        "instructions": len(image.code),
        "tia_ranges": sorted(set(compiled.ranges)),
    }
