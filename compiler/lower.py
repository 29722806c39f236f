"""Quantised, placed layers to the controller's program, parameters and memory map."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ..hw.geometry import Geometry, accumulator_bits
from ..hw.image import Image, LayerSpan, Span
from ..hw.isa import Dac, Instruction, Op, Reg, instruction, pack_requant
from ..sim.converters import ADC_BITS, Converters
from ..sim.devices import Device
from .analog import (
    AnalogPlan,
    cells_together,
    endurance_cycles,
    level_words,
    pulse_cycles,
    stuck_codes,
)
from .errors import TargetError
from .mapping import Placement, row_groups
from .profile import make_profile
from .quantise import QuantisedLayer
from .scales import mantissa_and_shift

log = logging.getLogger(__name__)


def lower(
    layers: Sequence[QuantisedLayer],
    placements: Sequence[Placement],
    plan: AnalogPlan,
    device: Device,
    converters: Converters,
    geometry: Geometry,
    clk_hz: int,
) -> Image:
    """The image that every engine executes.

    Raises
    ------
    TargetError
        If it does not fit the controller's memories or accumulators.
    """
    for number, layer in enumerate(layers):
        _check_accumulator(layer, [p for p in placements if p.layer == number], plan, geometry)
    levels = level_words(device, converters, plan.gain)
    spans = _memory_map(layers, geometry)
    program = _Program()
    _emit_setup(program, plan, device, converters, geometry, clk_hz)
    mode = device.mode_index(device.programmable.mode)
    for p in placements:
        program.enter(f"program/{p.tile}")
        program.emit(Op.RESTORE, tile=p.tile, mode=mode)
        program.emit(Op.PROGRAM, tile=p.tile, cell=0, count=geometry.cells)
        program.emit(Op.HALT)
    program.enter("infer")
    param = len(levels)
    for number, layer in enumerate(layers):
        own = [p for p in placements if p.layer == number]
        _emit_layer(program, layer, own, plan, spans[number], spans[number + 1], param)
        param += layer.outputs
    program.emit(Op.HALT)

    words = levels + [word for layer in layers for word in _requant_words(layer, plan)]
    profile = make_profile(device, converters, clk_hz, base=len(words))
    if len(words) + len(profile.records) > geometry.param_depth:
        log.warning("no parameter memory is left for the recipes: modes cannot be changed")
        profile = profile.without_ways()
    words += profile.records
    _check_memory("program", len(program.code), geometry.program_depth)
    _check_memory("parameter", len(words), geometry.param_depth)
    return Image(
        geometry=geometry,
        code=tuple(program.code),
        entries=program.entries,
        params=np.array(words, np.uint64),
        tiles=len(placements),
        input=spans[0],
        layers=tuple(
            LayerSpan(layer.name, span) for layer, span in zip(layers, spans[1:], strict=True)
        ),
        profile=profile.words,
    )


@dataclass
class _Program:
    """Instructions so far, entry points, and what the registers are known to hold."""

    code: list[Instruction] = field(default_factory=list)
    entries: dict[str, int] = field(default_factory=dict)
    registers: dict[Reg, int] = field(default_factory=dict)

    def enter(self, name: str) -> None:
        """Start an entry: what an earlier run left in the registers is not known."""
        self.entries[name] = len(self.code)
        self.registers.clear()

    def emit(self, op: Op, **operands: int) -> None:
        self.code.append(instruction(op, **operands))

    def set(self, reg: Reg, value: int) -> None:
        """Set a register unless it holds the value already."""
        if self.registers.get(reg) != value:
            self.emit(Op.SET, reg=reg, value=value)
            self.registers[reg] = value


def _emit_setup(
    program: _Program,
    plan: AnalogPlan,
    device: Device,
    converters: Converters,
    geometry: Geometry,
    clk_hz: int,
) -> None:
    program.enter("setup")
    program.emit(Op.ADOPT)
    program.emit(Op.DAC, channel=Dac.RAIL_A, code=converters.read_code(device.v_read))
    program.emit(Op.DAC, channel=Dac.GATE_ON, code=converters.gate_on_code)
    program.set(Reg.LEVELS, 0)
    program.set(Reg.TRIES, device.verify_tries)
    program.set(Reg.AVERAGE, device.verify_conversions.bit_length() - 1)
    program.set(Reg.STUCK, stuck_codes(device, plan.gain))
    program.set(Reg.LINE, 0)
    program.set(Reg.TOGETHER, cells_together(device, geometry.columns))
    if geometry.wear:
        program.set(Reg.ENDURANCE, endurance_cycles(device))
    program.set(Reg.SET_CYCLES, pulse_cycles(device.set_width_s, clk_hz))
    program.set(Reg.RESET_CYCLES, pulse_cycles(device.reset_width_s, clk_hz))
    program.set(Reg.RAIL_SET, converters.dac_code(device.v_set))
    program.set(Reg.RAIL_RESET, converters.dac_code(device.v_reset))
    program.set(Reg.TIA_RANGE, plan.tia_range)
    program.emit(Op.HALT)


def _emit_layer(
    program: _Program,
    layer: QuantisedLayer,
    placements: Sequence[Placement],
    plan: AnalogPlan,
    source: Span,
    result: Span,
    param: int,
) -> None:
    low, high = layer.clamp
    program.set(Reg.CLAMP_LO, low)
    program.set(Reg.CLAMP_HI, high)
    last_input = max(p.first_input for p in placements)
    for p in placements:
        for first, rows in row_groups(p.inputs, plan.row_limit):
            program.emit(
                Op.MVM,
                tile=p.tile,
                act=source.address + p.first_input,
                first=first,
                rows=rows,
                planes=layer.input.planes,
                signed=int(layer.input.signed),
                clear=int(p.first_input == 0 and first == 0),
            )
        if p.first_input == last_input:
            program.emit(
                Op.REQUANT,
                out=result.address + p.first_output,
                param=param + p.first_output,
                count=p.outputs,
            )


def _memory_map(layers: Sequence[QuantisedLayer], geometry: Geometry) -> list[Span]:
    """Spans of the input and of every output, one after the other in whole tiles of rows."""
    spans, address = [], 0
    for count in (layers[0].inputs, *(layer.outputs for layer in layers)):
        spans.append(Span(address, count))
        address += -(-count // geometry.rows) * geometry.rows
    _check_memory("activation", address, geometry.act_depth)
    return spans


def _requant_words(layer: QuantisedLayer, plan: AnalogPlan) -> list[int]:
    """Bias in accumulator units and output factor, one word per output."""
    words = []
    for bias, weight_scale in zip(layer.bias, layer.weight_scale, strict=True):
        step = layer.input.scale * float(weight_scale) / plan.codes_per_weight
        factor = mantissa_and_shift(step / layer.output.scale)
        words.append(pack_requant(round(float(bias) / step), *factor))
    return words


def _check_accumulator(
    layer: QuantisedLayer, placements: Sequence[Placement], plan: AnalogPlan, geometry: Geometry
) -> None:
    conversions = sum(
        len(row_groups(p.inputs, plan.row_limit)) for p in placements if p.first_output == 0
    )
    needed = accumulator_bits(ADC_BITS, layer.input.planes, conversions)
    if needed > geometry.acc_width:
        raise TargetError(
            f"layer '{layer.name}' needs accumulators of {needed} bits "
            f"({layer.input.planes} planes, {conversions} conversions each), "
            f"the target has {geometry.acc_width}"
        )


def _check_memory(kind: str, needed: int, depth: int) -> None:
    if needed > depth:
        raise TargetError(
            f"the network needs {needed} words of {kind} memory, the target has {depth}"
        )
