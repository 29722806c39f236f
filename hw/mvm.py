"""The bit-serial MVM engine.

Three things overlap: while plane ``p`` settles, the row setting of plane
``p+1`` is gathered from activation memory and shifted into the switches, and
the samples of plane ``p-1`` are read out and accumulated. A conversion holds
its inputs, so the switches move one cycle after it. The plane period is then
the longest of settling, conversion plus read-out, and switch update.
"""

from __future__ import annotations

from amaranth import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .afe.interface import (
    FrontEndSignature,
    FrontEndTiming,
    SwitchGroup,
    TimerChannel,
)
from .geometry import Geometry
from .isa import ITERATION_BITS, LAYOUTS, Op, Scheme
from .ranges import RANGE_BITS
from .settle import longest_settle_cycles, settle_cycles


class MvmEngine(wiring.Component):
    """Executes one ``MVM`` instruction.

    Members
    -------
    start : In(1)
        Strobe; the operands below are stable until ``done``.
    range : In(3)
        TIA range; its settling is waited for.
    pc, epoch : In
        Program address and inference number: the name of the conversions.
    fresh : In(1)
        Strobe: other users have moved column or gate switches since the last MVM.
    act_address, act_data : Out, In
        Activation memory read port, one cycle of latency.
    acc_clear, acc_shift, acc_negate, acc_enable, acc_idle
        To and from the accumulator.
    scheme, acc_single : In(2), Out(1)
        A :class:`~ohmloom.hw.isa.Scheme`, stable until ``done``, and what the accumulator
        has to know of it; where the geometry has single columns.
    fe : Out(FrontEndSignature)
        The front end, while this engine runs.
    done : Out(1)
        Strobe: every sample has been accumulated.
    active : Out(1)
        Something other than the settling timer is running.
    """

    def __init__(self, geometry: Geometry, timing: FrontEndTiming, clk_hz: int) -> None:
        self.geometry = geometry
        self.timing = timing
        self.clk_hz = clk_hz
        members = {field.name: In(field.width) for field in LAYOUTS[Op.MVM]}
        single = {"scheme": In(2), "acc_single": Out(1)} if geometry.has_single else {}
        super().__init__(
            {
                "operand": In(wiring.Signature({n: Out(f.shape) for n, f in members.items()})),
                "start": In(1),
                "range": In(RANGE_BITS),
                "pc": In(16),
                "epoch": In(32),
                "iteration": In(ITERATION_BITS),
                "fresh": In(1),
                "act_address": Out(16),
                "act_data": In(geometry.act_width),
                "acc_clear": Out(1),
                "acc_shift": Out(5),
                "acc_negate": Out(1),
                **single,
                "acc_enable": Out(1),
                "acc_idle": In(1),
                "timer": Out(TimerChannel.lasting(longest_settle_cycles(timing, clk_hz))),
                "fe": Out(FrontEndSignature(geometry)),
                "done": Out(1),
                "active": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        rows, columns = self.geometry.rows, self.geometry.columns
        sliced, single = self.geometry.takes("shift"), self.geometry.has_single
        op, fe, timer = self.operand, self.fe, self.timer

        running = Signal()
        configured = Signal()
        mask = Signal(rows)
        row = Signal(range(rows + 2))
        load_plane = Signal(5)
        plane = Signal(5)
        loading = Signal()
        converting = Signal()

        m.d.comb += [
            fe.tile.eq(op.tile),
            fe.gate_a.eq(running),
            self.acc_enable.eq(running),
            timer.cycles.eq(settle_cycles(m, self.timing, self.clk_hz, self.range)),
            fe.tag.inference.eq(1),
            fe.tag.epoch.eq(self.epoch),
            # In the order of isa.conversion_index.
            fe.tag.index.eq(
                Cat(plane, self.iteration[:11], self.pc[:11], self.pc[11:] ^ self.iteration[11:])
            ),
        ]
        with m.If(self.fresh):
            m.d.sync += configured.eq(0)

        # Row settings: gather the bits of one plane, shift them out, hold them loaded.
        last_row = rows - 1
        first, end = Signal.like(row), Signal.like(row)
        driven = Signal()  # the row whose activation has been read
        bit = Signal()
        columns_state, gates_state = Signal(), Signal()
        m.d.comb += [
            self.act_address.eq(op.act + row),
            first.eq(op.first),
            end.eq(op.first + op.rows),
            bit.eq(self.act_data.bit_select(load_plane, 1) & driven),
            # The mask is 0 until the first row setting.
            fe.switch.payload["a"].eq(mask | columns_state.replicate(columns)),
            fe.switch.payload["b"].eq(gates_state.replicate(columns)),
        ]
        with m.FSM(name="load"):
            with m.State("IDLE"), m.If(self.start):
                m.d.comb += self.acc_clear.eq(op.clear)
                m.d.sync += [running.eq(1), load_plane.eq(0)]
                with m.If(configured):
                    m.next = "GATHER"
                with m.Else():
                    m.next = "COLUMNS"
            with m.State("COLUMNS"):
                m.d.comb += [
                    fe.switch.valid.eq(1),
                    columns_state.eq(1),
                    fe.switch.payload["group"].eq(SwitchGroup.COLUMNS),
                ]
                with m.If(fe.switch.ready):
                    m.next = "COLUMNS-LATCH"
            with m.State("COLUMNS-LATCH"):
                m.d.comb += fe.latch.eq(fe.loaded)
                with m.If(fe.loaded):
                    m.next = "GATES"
            with m.State("GATES"):
                m.d.comb += [
                    fe.switch.valid.eq(1),
                    gates_state.eq(1),
                    fe.switch.payload["group"].eq(SwitchGroup.GATES),
                ]
                with m.If(fe.switch.ready):
                    m.next = "GATES-LATCH"
            with m.State("GATES-LATCH"):
                m.d.comb += fe.latch.eq(fe.loaded)
                with m.If(fe.loaded):
                    m.d.sync += configured.eq(1)
                    m.next = "GATHER"
            with m.State("GATHER"):
                m.d.comb += loading.eq(1)
                m.d.sync += [
                    row.eq(row + 1),
                    driven.eq((driven | (row == first)) & (row != end)),
                ]
                with m.If(row != 0):
                    m.d.sync += mask.eq(Cat(mask[1:], bit))
                with m.If(row == last_row + 1):
                    m.d.sync += row.eq(0)
                    m.next = "SHIFT"
            with m.State("SHIFT"):
                m.d.comb += [
                    loading.eq(1),
                    fe.switch.valid.eq(1),
                    fe.switch.payload["group"].eq(SwitchGroup.ROWS),
                ]
                with m.If(fe.switch.ready):
                    m.next = "LOADED"
            # The last conversion holds its inputs, or none is pending: move on.
            with m.State("LOADED"), m.If(fe.loaded & ~converting):
                m.d.comb += [fe.latch.eq(1), timer.start.eq(1)]
                m.d.sync += [load_plane.eq(load_plane + 1), converting.eq(1)]
                with m.If(load_plane == op.planes - 1):
                    m.next = "DRAIN"
                with m.Else():
                    m.next = "GATHER"
            with m.State("DRAIN"), m.If(~converting & fe.adc_idle & self.acc_idle):
                m.d.comb += self.done.eq(1)
                m.d.sync += [running.eq(0), mask.eq(0)]
                m.next = "IDLE"

        # Conversions: one per plane, once settled and once the last one is read out.
        settled = Signal()
        negated = op.signed & (plane == op.planes - 1)
        if single:
            negated ^= self.scheme == Scheme.SUBTRACTED
        with m.If(timer.done):
            m.d.sync += settled.eq(1)
        with m.If(self.start):
            m.d.sync += plane.eq(0)
        next_plane = Signal(5)
        with m.If((settled | timer.done) & converting & fe.adc_idle & self.acc_idle):
            m.d.comb += fe.convert.eq(1)
            m.d.sync += [
                settled.eq(0),
                converting.eq(0),
                self.acc_shift.eq(plane + op.shift if sliced else plane),
                self.acc_negate.eq(negated),
                plane.eq(next_plane),
            ]
        m.d.comb += next_plane.eq(plane + 1)
        if single:
            m.d.comb += self.acc_single.eq(self.scheme != Scheme.DIFFERENTIAL)

        waiting = Signal()
        m.d.comb += [
            # Waiting for the timer alone: the next plane is loaded (or there is none).
            waiting.eq(converting & timer.busy & ~loading),
            self.active.eq(running & ~waiting),
        ]
        return m
