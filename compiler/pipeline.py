"""The passes in order: ONNX, calibration, integers, tiles, program, golden vectors."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..hw.afe.kinds import FrontEndKind
from ..hw.geometry import Geometry
from ..hw.isa import Op
from ..sim.converters import ConverterError, Converters
from ..sim.devices import Device
from ..sim.emulated import emulated_tables
from .analog import plan_reads
from .biases import apart
from .cells import Cells, assign, check_faults, in_levels
from .compiled import Compiled, Golden, LayerInfo
from .correction import corrected
from .errors import CalibrationError, TargetError
from .frontend import load_model
from .graph import Network
from .heap import trim
from .host import HostStep
from .layers import Host, Matrix
from .lower import lower
from .mapping import check_encoding, encodings_of, place, tiles_used
from .options import Options
from .packing import packed
from .permuting import find_order
from .quantise import QuantisedBlock, Range, calibrate, check_weights, choose_scales, quantise
from .ranging import choose_ranges, conversions
from .runner import build_engine, quantise_input
from .samples import flat_samples
from .scales import Scale
from .seen import Seen, look

log = logging.getLogger(__name__)

SAMPLES = 64
"""Calibration samples that means and currents are taken on, if their values are not more
than ``MEMORY_VALUES`` together."""
MEMORY_VALUES = 1 << 24


def compile_model(
    model_path: str | Path,
    device: Device,
    calib: np.ndarray,
    geometry: Geometry | None = None,
    options: Options | None = None,
    converters: Converters | None = None,
    faults: np.ndarray | None = None,
    shape: Sequence[int] | None = None,
) -> Compiled:
    """Compile an ONNX file for a device and a controller.

    Parameters
    ----------
    calib:
        Calibration samples, shape (n, *sample shape).
    geometry, options, converters:
        Default to those of the reference controller and card.
    faults:
        Conductances of stuck cells [S] and NaN of the others, shape (tiles, rows, columns).
    shape:
        Of the input, where the model leaves dimensions open.

    Raises
    ------
    CompileError
        In one sentence, if model, samples, device or target do not fit.
    """
    geometry, options = geometry or Geometry(), options or Options()
    name, converters = Path(model_path).name, converters or Converters()
    compiled = compile_network(
        name,
        calibrated(
            load_model(model_path, shape, host=options.host), calib
        ),  # by no name here: it goes when it may
        device,
        geometry,
        options,
        converters,
        faults,
    )
    if not options.golden_samples:
        return compiled
    return replace(compiled, golden=_golden(compiled, calib[: options.golden_samples]))


@dataclass(frozen=True)
class Source:
    """A network with what is known of its values.

    Attributes
    ----------
    x:
        Calibration samples, shape (n, inputs), float32.
    ranges:
        Of the input and of every layer's values.
    """

    network: Network
    x: np.ndarray
    ranges: Sequence[Range]


def calibrated(network: Network, calib: np.ndarray) -> Source:
    """The network with its ranges on calibration samples (n, *sample shape).

    Raises
    ------
    CalibrationError
        If they do not fit the network.
    """
    x = flat_samples(calib, network.input_shape, "calibration samples", CalibrationError)
    return Source(network, x, calibrate(network, x))


def compile_network(
    name: str,
    source: Source,
    device: Device,
    geometry: Geometry,
    options: Options,
    converters: Converters,
    faults: np.ndarray | None = None,
) -> Compiled:
    """Compile a network; there are no golden vectors yet.

    Raises
    ------
    TargetError
        If device, converters or controller do not fit it.
    """
    if options.act_bits > geometry.act_width:
        raise TargetError(
            f"{options.act_bits}-bit activations do not fit the target's "
            f"{geometry.act_width}-bit words"
        )
    if device.weights is None:
        raise TargetError(
            f"{device.name} has no mode that holds weight levels: no network fits on it"
        )
    if options.afe is FrontEndKind.EMULATED:
        _check_emulated(device, options, converters, faults)
    network, x = source.network, source.x
    _check_layers(network, options)
    levels = len(device.level_codes)
    encodings = encodings_of(network, options, levels)
    used = [encodings[n] for n, layer in enumerate(network.layers) if isinstance(layer, Matrix)]
    for encoding in used:
        check_encoding(encoding, geometry)
    geometry = replace(geometry, single=any(encoding.single for encoding in used))
    check_weights(network, encodings)
    bits, words = options.act_bits, geometry.act_width
    scales = choose_scales(network, source.ranges, bits, words, options.layers)
    try:
        verify = plan_reads(device, converters, options.tia_range)
        if geometry.has(Op.ADD):
            network = apart(network, scales, encodings, verify.codes_per_weight)
        if network is not source.network:
            encodings = encodings_of(network, options, levels)
            ranges = calibrate(network, x)
            scales = choose_scales(network, ranges, bits, words, options.layers)
        infos = _layers(network, scales)
        network = packed(network, scales, geometry, encodings, options.pack)
        spare = faults is not None and options.spare
        placements = place(network, geometry, encodings, spare=spare)
        blocks = quantise(network, scales, encodings, verify.codes_per_weight)
        samples = max(1, min(SAMPLES, MEMORY_VALUES // network.values))
        seen = look(network, x[:samples].astype(network.precision), means=options.bias_correction)
        stuck = None
        if faults is not None:
            stuck = in_levels(check_faults(faults, tiles_used(placements), geometry), device)
        if stuck is not None and options.permute:

            def steps(blocks: Sequence[QuantisedBlock], seen: Seen, cells: Cells) -> int:
                plans = choose_ranges(
                    network, seen, blocks, cells, encodings, device, converters, options
                )
                return conversions(plans, cells.placements)

            order = find_order(
                network, blocks, placements, geometry, encodings, stuck, seen, steps, spare=spare
            )
            moves = order.moves
            infos = tuple(replace(info, moved=moves.get(info.name, ())) for info in infos)
            if moves:  # else weights are not copied
                blocks, seen = order.of_blocks(blocks), order.of_seen(seen)
                network = order.of_network()
        if not options.bias_correction:
            network = network.without_weights()
        del source
        trim()
        cells = assign(blocks, placements, geometry, encodings, stuck, spare=spare)
        placements = cells.placements
        if options.bias_correction:
            blocks = corrected(network, blocks, cells.weights, seen)
        plans = choose_ranges(network, seen, blocks, cells, encodings, device, converters, options)
        trim()
        image = lower(
            network,
            scales,
            blocks,
            placements,
            encodings,
            verify,
            plans,
            device,
            converters,
            geometry,
            options,
        )
    except ConverterError as error:
        raise TargetError(f"{device.name} does not suit the converters: {error}") from error
    if options.afe is FrontEndKind.EMULATED and not image.geometry.banks:
        # Tiles are memory too: no more of it than needed.
        image = replace(image, geometry=replace(image.geometry, tiles=image.tiles))
    log.info(
        "%d layers on %d tiles, %d instructions", len(network.layers), image.tiles, len(image.code)
    )
    return Compiled(
        name=name,
        input_shape=network.input_shape,
        input=scales[0],
        image=image,
        levels=cells.levels,
        placements=placements,
        layers=infos,
        device=device,
        converters=converters,
        options=options,
        verify_range=verify.tia_range,
        ranges=tuple(
            plans[block.layer, block.block].tia_range
            for block in blocks
            if network.holders[block.layer] == block.layer
        ),
        golden=Golden(
            np.empty((0, network.inputs), np.int32),
            tuple(np.empty((0, layer.span.count), np.int32) for layer in image.layers),
        ),
        host=_host(network, scales),
    )


def _check_emulated(
    device: Device, options: Options, converters: Converters, faults: np.ndarray | None
) -> None:
    """Refuse what an emulated array does not have."""
    if options.wires is not None or faults is not None:
        raise TargetError("an emulated array has neither lines with resistance nor stuck cells")
    if not device.emulated:
        raise TargetError(f"{device.name} is no device of an emulated array")
    try:
        emulated_tables(device, converters, options.seed)
    except ConverterError as error:
        raise TargetError(str(error)) from error


def _check_layers(network: Network, options: Options) -> None:
    """Refuse choices for layers that there are not.

    Raises
    ------
    TargetError
        Naming those that there are.
    """
    matrices = [layer.name for layer in network.layers if isinstance(layer, Matrix)]
    names = [network.input_name, *(layer.name for layer in network.layers)]
    for name, own in options.layers.items():
        if name not in names:
            raise TargetError(f"there is no layer '{name}', but {', '.join(names)}")
        if own.tia_range is not None and name not in matrices:
            raise TargetError(f"layer '{name}' has no matrix, which a TIA range is for")
        if (own.slices or own.scheme) and name not in matrices:
            raise TargetError(f"layer '{name}' has no matrix, which slices and schemes are for")


def _layers(network: Network, scales: Sequence[Scale]) -> tuple[LayerInfo, ...]:
    """The layers as they run; matrices are those of the layer that holds them."""
    return tuple(
        LayerInfo(
            layer.name,
            layer.kind,
            layer.count,
            layer.weights if isinstance(layer, Matrix) and holder == number else 0,
            scale,
        )
        for number, (layer, holder, scale) in enumerate(
            zip(network.layers, network.holders, scales[1:], strict=True)
        )
    )


def _host(network: Network, scales: Sequence[Scale]) -> tuple[HostStep, ...]:
    """Segments that run on the host, with the scales of what they read and make."""
    steps: dict[str, HostStep] = {}
    for number, layer in enumerate(network.layers):
        if isinstance(layer, Host):
            name = layer.segment.name
            takes = tuple(scales[network.tensor_of(source.start)] for source in layer.sources)
            step = steps.setdefault(name, HostStep(layer.segment, takes, ()))
            if not layer.result:
                gives = (*step.gives, (layer.output, scales[number + 1]))
                steps[name] = replace(step, gives=gives)
    return tuple(steps.values())


def _golden(compiled: Compiled, samples: np.ndarray) -> Golden:
    """Run samples on the numpy engine, programming spread and read noise on."""
    inputs = quantise_input(compiled, samples)
    trace = build_engine(compiled).infer(inputs, 0)
    layers = tuple(trace.layers[span.name].astype(np.int32) for span in compiled.image.layers)
    return Golden(inputs, layers)
