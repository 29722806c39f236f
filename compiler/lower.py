"""Quantised, placed layers to the controller's program, parameters and memory map."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np

from ..hw.geometry import MOST_LINES, Geometry, accumulator_bits
from ..hw.image import HostCall, Image, LayerSpan, Span
from ..hw.isa import Dac, Op, Reg, pack_requant
from ..sim.converters import ADC_BITS, Converters
from ..sim.devices import Device
from .analog import (
    AnalogPlan,
    cells_together,
    check_windows,
    endurance_cycles,
    level_words,
    pulse_cycles,
    stuck_codes,
)
from .emitter import Emitter, Piece, Product, Program
from .encoding import Encoding
from .errors import TargetError
from .graph import Network
from .heap import trim
from .host import Segment
from .layers import Host, Layer, Values
from .mapping import Placement, by_matrix, row_groups, tiles_used
from .memory import ZERO_WORD, MemoryMap
from .options import Options
from .profile import make_profile
from .quantise import QuantisedBlock
from .scales import Scale, mantissa_and_shift, product_factor

log = logging.getLogger(__name__)

_LARGE = 1 << 16
"""Values of a layer whose emission leaves much to give back."""
_REACH = {"tiles": 1 << 12, "program_depth": 1 << 16, "param_depth": 1 << 16, "act_depth": 1 << 16}
"""Tiles and words of memories that instructions reach without banks."""
_FLOAT32 = 2.0**-22
"""Rounding of a few float32 products."""
_NEAR = 1 / 16
"""Of a whole number: a bias of floats may be as near to one by chance."""


def lower(
    network: Network,
    scales: Sequence[Scale],
    blocks: Sequence[QuantisedBlock],
    placements: Sequence[Placement],
    encodings: Mapping[int, Encoding],
    verify: AnalogPlan,
    plans: Mapping[tuple[int, int], AnalogPlan],
    device: Device,
    converters: Converters,
    geometry: Geometry,
    options: Options,
) -> Image:
    """The image that every engine executes; with banks only where it takes them.

    Parameters
    ----------
    encodings:
        How weights lie in cells, by layer.
    verify, plans:
        How single cells are converted, and each matrix of each layer.

    Raises
    ------
    TargetError
        If it does not fit the controller's memories or accumulators, or needs an
        instruction that the controller lacks.
    """

    def lowered(geometry: Geometry) -> Image:
        return _lowered(
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

    within = max(geometry.rows, geometry.columns) <= MOST_LINES
    if geometry.banks and within and tiles_used(placements) <= _REACH["tiles"]:
        reached = {name: min(getattr(geometry, name), depth) for name, depth in _REACH.items()}
        try:
            return lowered(replace(geometry, banks=False, **reached))
        except TargetError as error:
            log.info("with banks, since %s", error)
    return lowered(geometry)


def _lowered(
    network: Network,
    scales: Sequence[Scale],
    blocks: Sequence[QuantisedBlock],
    placements: Sequence[Placement],
    encodings: Mapping[int, Encoding],
    verify: AnalogPlan,
    plans: Mapping[tuple[int, int], AnalogPlan],
    device: Device,
    converters: Converters,
    geometry: Geometry,
    options: Options,
) -> Image:
    """The image for a controller with or without banks."""
    words = level_words(device, converters, verify.gain)
    if options.verify:
        check_windows(device, converters, words)
    profile = None
    if geometry.banks:  # its words reach the first parameters alone
        profile = make_profile(device, converters, options.clk_hz, base=len(words))
        words += profile.records
    products = _products(network, blocks, placements, encodings, plans, geometry, words)
    program = Program(geometry)
    _emit_setup(program, verify, device, converters, geometry, options)
    mode = device.mode_index(device.programmable.mode)
    tiles = tiles_used(placements)
    _check_pulses(device, converters, geometry)
    op = writing_op(device, geometry)
    if op is not None:
        for tile in range(tiles):
            program.enter(f"{op.name.lower()}/{tile}")
            program.emit(Op.RESTORE, tile=tile, mode=mode)
            program.set(Reg.TIA_RANGE, verify.tia_range)
            program.emit(op, tile=tile, cell=0, count=geometry.cells)
            program.emit(Op.HALT)
    memory, made, params, used = _memory(network, placements, again=False), program, words, 0
    calls: list[HostCall] = []
    for again in (False, True):
        # Words are used again only where there are not enough for every layer's own.
        memory = _memory(network, placements, again=again)
        made, params, used = program.copy(), list(words), memory.end
        if used <= geometry.act_depth:
            used, calls = _emit_inference(network, scales, products, memory, made, params)
        if used <= geometry.act_depth:
            break
    _check_memory("activation", used, geometry.act_depth)

    if profile is None:
        profile = make_profile(device, converters, options.clk_hz, base=len(params))
        if len(params) + len(profile.records) > geometry.param_depth:
            log.warning("no parameter memory is left for the recipes: modes cannot be changed")
            profile = profile.without_ways()
        params += profile.records
    _check_memory("program", len(made.code), geometry.program_depth)
    _check_memory("parameter", len(params), geometry.param_depth)
    return Image(
        geometry=_fitted(geometry, len(made.code), len(params), used),
        code=tuple(made.code),
        entries=made.entries,
        params=np.array(params, np.uint64),
        tiles=tiles,
        input=memory.spans[0],
        layers=tuple(
            LayerSpan(layer.name, span)
            for layer, span, kept in zip(
                network.layers, memory.spans[1:], memory.kept[1:], strict=True
            )
            if kept
        ),
        profile=profile.words,
        host=tuple(calls),
    )


def _memory(network: Network, placements: Sequence[Placement], *, again: bool) -> MemoryMap:
    """Words with as many before them that addresses, which count from a tile's first row, fit."""
    begin = ZERO_WORD + 1
    memory = MemoryMap.of(network, begin, again=again)
    above: dict[int, int] = {}
    for p in placements:
        above[p.layer] = max(above.get(p.layer, 0), p.first_row - p.first_input)
    # What does not lie in a row is gathered behind all words.
    short = [max(above.values(), default=0) - memory.end]
    short += [
        above.get(network.holders[reader], 0) - span.address
        for span, readers in zip(memory.spans, network.readers, strict=True)
        for reader in readers
    ]
    return MemoryMap.of(network, begin + max(0, *short), again=again)


def _emit_setup(
    program: Program,
    plan: AnalogPlan,
    device: Device,
    converters: Converters,
    geometry: Geometry,
    options: Options,
) -> None:
    program.enter("setup")
    program.emit(Op.ADOPT)
    program.emit(Op.DAC, channel=Dac.RAIL_A, code=converters.read_code(device.v_read))
    program.emit(Op.DAC, channel=Dac.GATE_ON, code=converters.gate_on_code)
    program.set(Reg.LEVELS, 0)
    program.set(Reg.TRIES, device.verify_tries if options.verify else 1)
    program.set(Reg.AVERAGE, device.verify_conversions.bit_length() - 1)
    program.set(Reg.STUCK, stuck_codes(device, plan.gain))
    program.set(Reg.LINE, 0)
    if geometry.wear:
        program.set(Reg.ENDURANCE, endurance_cycles(device))
    if device.pulses is not None:  # only reads are of cells together
        program.set(Reg.TOGETHER, geometry.columns)
    else:
        program.set(Reg.TOGETHER, cells_together(device, geometry.columns))
        program.set(Reg.SET_CYCLES, pulse_cycles(device.set_width_s, options.clk_hz))
        program.set(Reg.RESET_CYCLES, pulse_cycles(device.reset_width_s, options.clk_hz))
        program.set(Reg.RAIL_SET, converters.dac_code(device.v_set))
        program.set(Reg.RAIL_RESET, converters.dac_code(device.v_reset))
    program.set(Reg.TIA_RANGE, plan.tia_range)
    program.emit(Op.HALT)


def writing_op(device: Device, geometry: Geometry) -> Op | None:
    """Of the entry of each tile that its cells are written with, which has this one's name.

    None where a host writes by ``PULSE`` alone, in programs of its own.
    """
    if device.pulses is not None:
        return Op.READ
    return Op.PROGRAM if geometry.has(Op.PROGRAM) else None


def _check_pulses(device: Device, converters: Converters, geometry: Geometry) -> None:
    """Whether a controller can drive the pulses that put cells on levels, if a host's do.

    Raises
    ------
    TargetError, ConverterError
        If it lacks the instruction, the array has no transistors, cells change by themselves
        while a host reads them, or the amplitudes are beyond the rails.
    """
    by_pulses = device.pulses is not None
    if not by_pulses and geometry.has(Op.PROGRAM):
        return
    needed = (Op.PULSE, Op.READ) if by_pulses else (Op.PULSE,)
    lacking = [f"it has no {op.name}" for op in needed if not geometry.has(op)]
    if geometry.passive:
        lacking.append("its array has no transistors")
    if lacking:
        raise TargetError(
            f"{device.name} cells are put on levels by a host's pulses and reads of single cells, "
            f"which the target's controller cannot do: {', '.join(lacking)}"
        )
    if device.pulses is None:
        if device.mode(device.programmable.mode).relaxes:
            raise TargetError(
                f"{device.name} cells change by themselves between a pulse and a read: without "
                "PROGRAM the target's controller cannot write them"
            )
        return
    for sign in (-1, 1):
        converters.dac_code(sign * device.pulses.volts)


def _emit_inference(
    network: Network,
    scales: Sequence[Scale],
    products: Mapping[str, Sequence[Product]],
    memory: MemoryMap,
    program: Program,
    params: list[int],
) -> tuple[int, list[HostCall]]:
    """The ``infer`` entries; the activation words that they use, and the host's calls."""
    program.enter("infer")
    begin = len(program.code)

    def scale(value: int) -> Scale:
        return scales[network.tensor_of(value)]

    emitter = Emitter(
        program, params, memory.places(network), ZERO_WORD, scale, products, memory.end
    )
    calls: list[HostCall] = []
    for segment, layers in groupby(network.layers, _segment):
        if segment is not None:
            _end_entry(program, calls)
            calls.append(_call(network, memory, segment, layers))
            program.enter(f"infer/{len(calls)}")
            continue
        for layer in layers:
            emitter.emit_layer(layer)
            if layer.count > _LARGE:
                trim()
    _end_entry(program, calls)
    if emitter.zero_used:
        word = emitter.record([pack_requant(0, 1, 0)])
        before = Program(geometry=program.geometry)
        before.set(Reg.CLAMP_LO, 0)
        before.set(Reg.CLAMP_HI, 0)
        before.emit(Op.REQUANT, out=ZERO_WORD, param=word, count=1)
        program.insert(begin, before.code)
    return emitter.used, calls


def _segment(layer: Layer) -> Segment | None:
    return layer.segment if isinstance(layer, Host) else None


def _end_entry(program: Program, calls: list[HostCall]) -> None:
    """End the entry of what was emitted last; behind a call there is none of nothing."""
    name, first = next(reversed(program.entries.items()))
    if not calls or len(program.code) > first:
        program.emit(Op.HALT)
        calls[-1:] = [replace(call, entry=name) for call in calls[-1:]]
    else:
        del program.entries[name]


def _call(
    network: Network, memory: MemoryMap, segment: Segment, layers: Iterable[Layer]
) -> HostCall:
    """The words of a segment."""
    reads, writes = list[Span](), list[Span]()
    for layer in layers:
        # All layers of a segment read the same.
        reads = [_words(network, memory, each) for each in layer.reads]
        writes.append(memory.spans[network.tensor_of(layer.first)])
    return HostCall(segment.name, tuple(reads), tuple(span for span in writes if span.count))


def _words(network: Network, memory: MemoryMap, values: Values | range) -> Span:
    """Where values of one tensor lie, one after the other."""
    tensor, first = network.tensor_of(int(values[0])), int(values[0])
    begin = memory.spans[tensor].address + first - network.tensors[tensor].start
    return Span(begin, len(values))


def _products(
    network: Network,
    blocks: Sequence[QuantisedBlock],
    placements: Sequence[Placement],
    encodings: Mapping[int, Encoding],
    plans: Mapping[tuple[int, int], AnalogPlan],
    geometry: Geometry,
    params: list[int],
) -> dict[str, list[Product]]:
    """Matrices by the name of their layer; their parameter words are added to ``params``."""
    products: dict[str, list[Product]] = {}
    holders, parts = network.holders, by_matrix(placements)
    for block in blocks:
        name = network.layers[block.layer].name
        plan, encoding = plans[block.layer, block.block], encodings[block.layer]
        own = parts[holders[block.layer], block.block]
        _check_accumulator(name, block, own, encoding, plan, geometry)
        param = len(params)
        params += _requant_words(block, plan)
        outputs = []
        for first in sorted({p.first_output for p in own}):
            here = [p for p in own if p.first_output == first]
            pieces = tuple(
                Piece(
                    p.tile,
                    p.first_input - p.first_row,
                    p.first_row + begin,
                    rows,
                    encoding.shift(p.slice),
                    encoding.register(p.slice),
                )
                for p in here
                for begin, rows in row_groups(p.inputs, plan.row_limit)
            )
            outputs.append((first, here[0].outputs, param + first, pieces))
        product = Product(tuple(outputs), block.input.planes, block.input.signed, plan.tia_range)
        products.setdefault(name, []).append(product)
    return products


def _requant_words(block: QuantisedBlock, plan: AnalogPlan) -> list[int]:
    """Bias in accumulator units and output factor, one word per output."""
    words = []
    for bias, scale, unit in zip(block.bias, block.weight_scale, block.unit, strict=True):
        if block.own:
            units = _whole(float(bias) / float(unit)) * plan.codes_per_weight
            ratio = product_factor(block.input.scale, float(scale), block.output.scale)
            factor = ratio / plan.codes_per_weight
        else:
            step = float(unit) / plan.codes_per_weight
            units, factor = float(bias) / step, step / block.output.scale
        words.append(pack_requant(round(units), *mantissa_and_shift(factor)))
    return words


def _whole(number: float) -> float:
    """The whole number that a number is but for float32 rounding: biases of quantised models."""
    near = round(number)
    return near if abs(number - near) <= min(abs(near) * _FLOAT32, _NEAR) else number


def _check_accumulator(
    name: str,
    block: QuantisedBlock,
    placements: Sequence[Placement],
    encoding: Encoding,
    plan: AnalogPlan,
    geometry: Geometry,
) -> None:
    conversions = sum(
        len(row_groups(p.inputs, plan.row_limit)) for p in placements if p.first_output == 0
    )
    planes = block.input.planes + encoding.shift(encoding.slices - 1)
    needed = accumulator_bits(ADC_BITS, planes, conversions)
    if needed > geometry.acc_width:
        raise TargetError(
            f"layer '{name}' needs accumulators of {needed} bits "
            f"({planes} planes, {conversions} conversions each), "
            f"the target has {geometry.acc_width}"
        )


def _fitted(geometry: Geometry, program: int, params: int, activations: int) -> Geometry:
    """The geometry with memories no larger than needed, in powers of two.

    Those of the standard controller are the least: that is what boards are built with.
    """
    standard = Geometry()
    depths = {
        name: min(getattr(geometry, name), max(1 << (used - 1).bit_length(), least))
        for name, used, least in (
            ("program_depth", program, standard.program_depth),
            ("param_depth", params, standard.param_depth),
            ("act_depth", activations, standard.act_depth),
        )
    }
    return replace(geometry, **depths)


def _check_memory(kind: str, needed: int, depth: int) -> None:
    if needed > depth:
        raise TargetError(
            f"the network needs {needed} words of {kind} memory, the target has {depth}"
        )
