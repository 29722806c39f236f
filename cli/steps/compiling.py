"""ONNX file to bundle."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...compiler.bundle import REPORT_HTML, write_bundle
from ...compiler.compiled import Compiled
from ...compiler.options import Options
from ...compiler.pipeline import compile_model
from ...compiler.report import predict
from ...hw.geometry import Geometry
from ...sim.converters import Converters
from ...sim.devices import load
from ..output import Reporter


def compile_bundle(
    model: Path,
    device: str,
    calib: np.ndarray,
    bundle: Path,
    reporter: Reporter,
    geometry: Geometry | None = None,
    options: Options | None = None,
    adc_bits: int = 16,
) -> tuple[Compiled, dict[str, object]]:
    """Compile a network into a bundle; also returns the figures that are shown.

    Raises
    ------
    DeviceError, CompileError, BundleError
        If device, model, samples or place do not do.
    """
    reporter.update("compiling")
    converters = Converters(adc_bits=adc_bits)
    compiled = compile_model(model, load(device), calib, geometry, options, converters)
    write_bundle(compiled, bundle)
    image, cycles = compiled.image, predict(compiled)
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
        "predicted_cycles": cycles["first"] if cycles else None,
        "predicted_cycles_later": cycles["later"] if cycles else None,
        "predicted_ms_later": 1e3 * cycles["seconds"] if cycles else None,
    }
