"""Post-processing: the units, the multiplier that they share, and their way to the memories.

A further unit is one file in ``hw/post/``, its instruction in ``hw/isa/`` with its
bounds in ``hw/bounds.py``, and its line in :data:`UNITS`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from amaranth import Cat, Module, ResetInserter, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .geometry import Geometry
from .isa import OPCODE_BITS
from .post.add import ResidualAdd
from .post.argmax import ArgMax
from .post.lut import LookUp
from .post.pool import Pool
from .post.requant import Requantiser
from .post.scaler import Scaler
from .post.serial import SerialScaler
from .post.unit import PostUnit
from .post.widths import is_serial

UNITS: tuple[type[PostUnit], ...] = (Requantiser, LookUp, Pool, ResidualAdd, ArgMax)
"""Every unit; a controller has those of its geometry."""


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
        m.submodules.scaler = scaler = (SerialScaler if is_serial(geometry) else Scaler)(geometry)
        m.d.comb += [scaler.clamp_lo.eq(self.clamp_lo), scaler.clamp_hi.eq(self.clamp_hi)]

        units = [made(geometry) for made in UNITS if geometry.has(made.OP)]
        outside, faulted = Signal(), Signal()
        for unit in units:
            m.submodules[unit.OP.name.lower()] = ResetInserter(faulted)(unit)
            m.d.comb += [
                unit.instruction.eq(self.instruction),
                unit.start.eq(self.start & (self.instruction[:OPCODE_BITS] == unit.OP)),
                unit.act_data_in.eq(self.act_read_data),
                unit.param_data.eq(self.param_data),
                unit.acc_value.eq(self.acc_value),
                unit.scaler.result.eq(scaler.unit.result),
                unit.scaler.ready.eq(scaler.unit.ready),
            ]
            if unit.STRAYS:
                on_act = unit.act_read | unit.act_write
                with m.If(
                    (on_act & (unit.act_address >= geometry.act_depth))
                    | (unit.param_read & (unit.param_address >= geometry.param_depth))
                ):
                    m.d.comb += outside.eq(1)

        def present(units: list[PostUnit], what: Callable[[PostUnit], list[Any]]) -> None:
            """What the unit of the present instruction says; who is alone need not ask."""
            for unit in units[:1]:
                m.d.comb += what(unit)
            for unit in units[1:]:
                with m.If(self.instruction[:OPCODE_BITS] == unit.OP):
                    m.d.comb += what(unit)

        present(
            units,
            lambda unit: [
                self.act_address.eq(unit.act_address),
                self.act_data.eq(unit.act_data),
                self.param_address.eq(unit.param_address),
                self.acc_address.eq(unit.acc_address),
            ],
        )
        present(
            [unit for unit in units if unit.SCALES],
            lambda unit: [
                scaler.unit.accumulate.eq(unit.scaler.accumulate),
                scaler.unit.value.eq(unit.scaler.value),
                scaler.unit.bias.eq(unit.scaler.bias),
                scaler.unit.mantissa.eq(unit.scaler.mantissa),
                scaler.unit.shift.eq(unit.scaler.shift),
            ],
        )
        wrong, ended = Signal(), Signal()
        m.d.comb += [
            scaler.unit.load.eq(Cat(unit.scaler.load for unit in units).any()),
            wrong.eq(outside | Cat(unit.fault for unit in units).any()),
            ended.eq(Cat(unit.done for unit in units).any()),
            self.act_write.eq(Cat(unit.act_write for unit in units).any() & ~outside & ~faulted),
            self.active.eq(Cat(unit.active for unit in units).any()),
        ]
        # A fault ends the instruction in the next cycle, unless it ends in its own: no
        # path leads from a comparison of addresses to the resets.
        m.d.sync += faulted.eq(wrong & ~ended & ~faulted)
        m.d.comb += [
            self.done.eq(ended | faulted),
            self.fault.eq(faulted | (ended & wrong)),
        ]
        return m
