"""Post-processing: the units, the multiplier that they share, and their way to the memories.

A further unit is one file in ``hw/post/``, its instruction in ``hw/isa/`` with its
bounds in ``hw/bounds.py``, and its line in :data:`UNITS`.
"""

from __future__ import annotations

from collections.abc import Sequence

from amaranth import Module, ResetInserter, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .geometry import Geometry
from .isa import OPCODE_BITS, POOL_WORDS, Instruction, Op, unpack_pool
from .post.add import ResidualAdd
from .post.argmax import ArgMax
from .post.lut import LookUp
from .post.pool import Pool
from .post.requant import Requantiser
from .post.scaler import Scaler
from .post.unit import PostUnit

UNITS: tuple[type[PostUnit], ...] = (Requantiser, LookUp, Pool, ResidualAdd, ArgMax)
"""Every unit; a controller has those of its geometry."""


def cycles(instr: Instruction, params: Sequence[int]) -> int:
    """Cycles from ``start`` to ``done`` of one instruction with that parameter memory."""
    match instr.op:
        case Op.POOL:
            grid = unpack_pool(params[instr["param"] : instr["param"] + POOL_WORDS])
            return Pool.cycles(grid, bool(instr["average"]))
        case Op.LUT:
            return LookUp.CYCLES * instr["count"]
        case Op.ADD:
            return ResidualAdd.OVERHEAD + ResidualAdd.CYCLES * instr["count"]
        case Op.ARGMAX:
            return ArgMax.OVERHEAD + ArgMax.CYCLES * instr["count"]
        case _:
            return Requantiser.CYCLES * instr["count"]


class PostProcessor(wiring.Component):
    """Executes one instruction of post-processing with the unit that is for it.

    Members
    -------
    instruction, start, done : In(64), In(1), Out(1)
        The word, stable between the two strobes.
    fault : Out(1)
        With ``done``: an address was beyond its memory or the data cannot be
        processed. What was written before stays; nothing is written then.
    clamp_lo, clamp_hi : In
        Bounds of a scaled result, inclusive.
    act_address, act_read_data, act_write, act_data
        Activation memory, read and written at the one address.
    param_address, param_data : Out, In
        Parameter memory read port, one cycle of latency.
    acc_address, acc_value : Out, In
        Accumulator read port, one cycle of latency.
    active : Out(1)
        High while an instruction is executed.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        super().__init__(
            {
                "instruction": In(64),
                "start": In(1),
                "done": Out(1),
                "fault": Out(1),
                "clamp_lo": In(signed(geometry.act_width)),
                "clamp_hi": In(signed(geometry.act_width)),
                "act_address": Out(16),
                "act_read_data": In(geometry.act_width),
                "act_write": Out(1),
                "act_data": Out(geometry.act_width),
                "param_address": Out(16),
                "param_data": In(64),
                "acc_address": Out(8),
                "acc_value": In(signed(geometry.acc_width)),
                "active": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry = self.geometry
        m.submodules.scaler = scaler = Scaler(geometry)
        outside, faulted = Signal(), Signal()
        m.d.comb += [scaler.clamp_lo.eq(self.clamp_lo), scaler.clamp_hi.eq(self.clamp_hi)]

        wrong, ended = Signal(), Signal()
        units = [made(geometry) for made in UNITS if geometry.has(made.OP)]
        for unit in units:
            m.submodules[unit.OP.name.lower()] = ResetInserter(faulted)(unit)
            m.d.comb += [
                unit.instruction.eq(self.instruction),
                unit.act_data_in.eq(self.act_read_data),
                unit.param_data.eq(self.param_data),
                unit.acc_value.eq(self.acc_value),
                unit.scaler.result.eq(scaler.unit.result),
            ]
        with m.Switch(self.instruction[:OPCODE_BITS]):
            for unit in units:
                on_act, on_param = unit.act_read | unit.act_write, unit.param_read
                with m.Case(unit.OP):
                    m.d.comb += [
                        unit.start.eq(self.start),
                        scaler.unit.load.eq(unit.scaler.load),
                        scaler.unit.accumulate.eq(unit.scaler.accumulate),
                        scaler.unit.value.eq(unit.scaler.value),
                        scaler.unit.mantissa.eq(unit.scaler.mantissa),
                        scaler.unit.shift.eq(unit.scaler.shift),
                        self.act_address.eq(unit.act_address),
                        self.act_data.eq(unit.act_data),
                        self.param_address.eq(unit.param_address),
                        self.acc_address.eq(unit.acc_address),
                        outside.eq(
                            (on_act & (unit.act_address >= geometry.act_depth))
                            | (on_param & (unit.param_address >= geometry.param_depth))
                        ),
                        wrong.eq(outside | unit.fault),
                        ended.eq(unit.done),
                        self.act_write.eq(unit.act_write & ~outside & ~faulted),
                        self.active.eq(unit.active),
                    ]
        # A fault ends the instruction in the next cycle, unless it ends in its own: no
        # path leads from a comparison of addresses to the resets.
        m.d.sync += faulted.eq(wrong & ~ended & ~faulted)
        m.d.comb += [
            self.done.eq(ended | faulted),
            self.fault.eq(faulted | (ended & wrong)),
        ]
        return m
