"""The passes in order: ONNX, calibration, integers, tiles, program, golden vectors."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..hw.geometry import Geometry
from ..hw.isa import Op
from ..sim.converters import ConverterError, Converters
from ..sim.devices import Device
from .analog import plan_analog
from .biases import apart
from .compiled import Compiled, Golden, LayerInfo
from .errors import CalibrationError, TargetError
from .frontend import load_model
from .layers import Matrix
from .lower import lower
from .mapping import cell_levels, check_slices, place
from .options import Options
from .quantise import calibrate, choose_scales, quantise
from .ranging import choose_ranges
from .runner import build_engine, quantise_input
from .samples import flat_samples
from .slicing import Slicing

log = logging.getLogger(__name__)


def compile_model(
    model_path: str | Path,
    device: Device,
    calib: np.ndarray,
    geometry: Geometry | None = None,
    options: Options | None = None,
    converters: Converters | None = None,
) -> Compiled:
    """Compile an ONNX file for a device and a controller.

    Parameters
    ----------
    calib:
        Calibration samples, shape (n, *sample shape).
    geometry, options, converters:
        Default to those of the reference controller and card.

    Raises
    ------
    CompileError
        In one sentence, if model, samples, device or target do not fit.
    """
    geometry, options = geometry or Geometry(), options or Options()
    converters = converters or Converters()
    if options.act_bits > geometry.act_width:
        raise TargetError(
            f"{options.act_bits}-bit activations do not fit the target's "
            f"{geometry.act_width}-bit words"
        )
    if device.weights is None:
        raise TargetError(
            f"{device.name} has no mode that holds weight levels: no network fits on it"
        )
    network = load_model(model_path)
    ranges = calibrate(network, calib)
    scales = choose_scales(network, ranges, options.act_bits, geometry.act_width)
    slicing = Slicing(len(device.level_codes), options.slices)
    check_slices(slicing, geometry)
    placements = place(network, geometry, slicing.count)
    rows = max((p.inputs for p in placements), default=1)
    try:
        verify = plan_analog(device, converters, 1, options.tia_range)
        whole = network
        if geometry.has(Op.ADD):
            network = apart(whole, scales, slicing, verify.codes_per_weight)
        if network is not whole:
            ranges = calibrate(network, calib)
            scales = choose_scales(network, ranges, options.act_bits, geometry.act_width)
            placements = place(network, geometry, slicing.count)
        blocks = quantise(network, scales, slicing.top, verify.codes_per_weight)
        plans = choose_ranges(
            network,
            flat_samples(calib, network.input_shape, "calibration samples", CalibrationError),
            blocks,
            placements,
            slicing,
            device,
            converters,
            rows,
            options.tia_range,
        )
        image = lower(
            network,
            scales,
            blocks,
            placements,
            slicing,
            verify,
            plans,
            device,
            converters,
            geometry,
            options,
        )
    except ConverterError as error:
        raise TargetError(f"{device.name} does not suit the converters: {error}") from error
    log.info(
        "%d layers on %d tiles, %d instructions", len(network.layers), image.tiles, len(image.code)
    )
    compiled = Compiled(
        name=Path(model_path).name,
        input_shape=network.input_shape,
        input=scales[0],
        image=image,
        levels=cell_levels(blocks, placements, geometry, slicing),
        placements=placements,
        layers=tuple(
            LayerInfo(
                layer.name,
                layer.kind,
                layer.count,
                layer.weights
                if isinstance(layer, Matrix) and network.holders[number] == number
                else 0,
                scale,
            )
            for number, (layer, scale) in enumerate(zip(network.layers, scales[1:], strict=True))
        ),
        device=device,
        converters=converters,
        options=options,
        verify_range=verify.tia_range,
        ranges=tuple(plans[block.layer, block.block].tia_range for block in blocks),
        golden=Golden(np.empty((0, network.inputs), np.int32), ()),
    )
    return replace(compiled, golden=_golden(compiled, calib[: options.golden_samples]))


def _golden(compiled: Compiled, samples: np.ndarray) -> Golden:
    """Run samples on the numpy engine, programming spread and read noise on."""
    inputs = quantise_input(compiled, samples)
    trace = build_engine(compiled).infer(inputs, 0)
    layers = tuple(trace.layers[span.name].astype(np.int32) for span in compiled.image.layers)
    return Golden(inputs, layers)
