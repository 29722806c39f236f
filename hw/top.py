"""The controller: link, memories, sequencer, engines and one analog front end."""

from __future__ import annotations

from typing import Protocol

from amaranth import Module, Mux, ResetInserter, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from .accumulator import Accumulator
from .afe.interface import Ceilings, FrontEndTiming, PlaneStep, Tag
from .fields import operands
from .frontend_mux import FrontEndMux
from .geometry import Geometry
from .guard import Guard
from .isa import LAYOUTS, OPCODE_BITS, RESULT_FIELDS, WORD_BITS, Op, Reg
from .link.link import Link
from .link.protocol import Space
from .mvm import MvmEngine
from .postprocess import PostProcessor
from .pulse import PulseSequencer
from .sequencer import MVM, PULSE, SEQUENCER, VERIFY, Sequencer
from .timers import Timers
from .verify import WriteVerify

RESULT_BITS = sum(field.width for field in RESULT_FIELDS)


class FrontEnd(Protocol):
    """A front-end provider: a component with ``core``, ``timer`` and its pins."""

    signature: wiring.Signature
    core: wiring.PureInterface
    timer: wiring.PureInterface

    def timing(self) -> FrontEndTiming: ...

    def ceilings(self) -> Ceilings: ...

    def plane_period_cycles(self) -> dict[PlaneStep, int]: ...


def pins_signature(afe: FrontEnd) -> wiring.Signature:
    """The pins of a front end: its members except the two that face the core."""
    inner = ("core", "timer")
    return wiring.Signature(
        {name: member for name, member in afe.signature.members.items() if name not in inner}
    )


class Top(wiring.Component):
    """One lane's controller.

    Parameters
    ----------
    geometry : Geometry
        Dimensions; see there.
    clk_hz, baud : int
        Clock that is really there, and the link's rate (error over 1 % is refused).
    afe : FrontEnd
        The front end, built for the same geometry and clock.

    Members
    -------
    rx, tx : In(1), Out(1)
        UART of the link.
    pins : Out
        Pins of the front end.
    jump, now, skipped, tag : In(1), Out(64), Out(64), Out(Tag)
        Simulation only: time jump, time base, cycles skipped, and the name of the
        last conversion. A board ties ``jump`` to 0 and leaves the others open.
    train : Out(1)
        Simulation only: from the first pulse of a ``PULSE`` or ``SWEEP`` to the end.
    abort : In(1)
        Strobe, of a key for example: ends a ``PULSE`` or ``SWEEP``. Open is 0.
    """

    def __init__(self, geometry: Geometry, clk_hz: int, baud: int, afe: FrontEnd) -> None:
        self.geometry = geometry
        self.clk_hz = clk_hz
        self.afe = afe
        self.link = Link(geometry, clk_hz, baud)
        super().__init__(
            {
                "rx": In(1, init=1),
                "tx": Out(1, init=1),
                "pins": Out(pins_signature(afe)),
                "jump": In(1),
                "now": Out(64),
                "skipped": Out(64),
                "tag": Out(Tag),
                "train": Out(1),
                "abort": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry, afe, clk_hz = self.geometry, self.afe, self.clk_hz
        timing = afe.timing()

        m.submodules.afe = afe
        m.submodules.link = link = self.link
        m.submodules.timers = timers = Timers(8 if geometry.pulse else 5)
        m.submodules.guard = guard = Guard(geometry, timing, afe.ceilings(), clk_hz)
        # The safe state resets all engines, and their timers a cycle before it ends.
        was_safe = Signal()
        m.d.sync += was_safe.eq(guard.safe)
        stoppable = ResetInserter(guard.safe | was_safe)
        m.submodules.sequencer = stoppable(seq := Sequencer(geometry, timing, clk_hz))
        m.submodules.mvm = stoppable(mvm := MvmEngine(geometry, timing, clk_hz))
        m.submodules.accumulator = acc = Accumulator(geometry)
        m.submodules.post = stoppable(post := PostProcessor(geometry))
        m.submodules.verify = stoppable(ver := WriteVerify(geometry, timing, clk_hz))
        m.submodules.mux = mux = FrontEndMux(geometry, 4)

        for user, engine in ((SEQUENCER, seq), (MVM, mvm), (VERIFY, ver)):
            wiring.connect(m, mux.users[user], engine.fe)
        pulsing, pulse_done, pulse_fault = Signal(), Signal(), Signal()
        pulse, pulse_timers = None, ()
        if geometry.pulse:
            m.submodules.pulse = stoppable(pulse := PulseSequencer(geometry, timing, clk_hz))
            wiring.connect(m, mux.users[PULSE], pulse.fe)
            pulse_timers = (pulse.timer, pulse.pace, pulse.sampler)
        wiring.connect(m, mux.fe, guard.core)
        wiring.connect(m, guard.afe, afe.core)
        wiring.connect(m, link.guard, guard.host)
        waiting = (seq.timer, mvm.timer, ver.timer, *pulse_timers)
        for i, user in enumerate((*waiting, afe.timer, guard.timer)):
            wiring.connect(m, timers.channel[i], user)
        with m.If(guard.safe):
            for channel in (timers.channel[i] for i in range(len(waiting))):
                m.d.comb += [channel.start.eq(1), channel.cycles.eq(1)]
        stopping = guard.safe & ~was_safe & seq.running
        with m.If(link.run):
            m.d.sync += link.stopped.eq(0)
        with m.Elif(stopping):
            m.d.sync += link.stopped.eq(1)
        for name, member in pins_signature(afe).members.items():
            inside, outside = getattr(afe, name), getattr(self.pins, name)
            m.d.comb += outside.eq(inside) if member.flow is Out else inside.eq(outside)

        m.d.comb += [
            link.rx.eq(self.rx),
            self.tx.eq(link.tx),
            timers.jump.eq(self.jump),
            self.now.eq(timers.now),
            self.skipped.eq(timers.skipped),
            timers.quiet.eq(
                ~(
                    link.active
                    | seq.active
                    | mvm.active
                    | post.active
                    | ver.active
                    | pulsing
                    | afe.core.active
                )
            ),
        ]

        with m.If(mux.fe.convert):
            m.d.sync += self.tag.eq(mux.fe.tag)

        # Memories. The link has them while nothing runs, the engines during a run.
        running = seq.running
        last_space = Signal(3)
        with m.If(link.read):
            m.d.sync += last_space.eq(link.space)

        def ram(name: str, width: int, depth: int, reader: Signal) -> memory.ReadPort:
            m.submodules[name] = mem = memory.Memory(shape=width, depth=depth, init=[])
            port = mem.read_port()
            m.d.comb += port.addr.eq(Mux(running, reader, link.address))
            writers[name] = mem.write_port()
            return port

        writers: dict[str, memory.WritePort] = {}
        code = ram("program_memory", WORD_BITS, geometry.program_depth, seq.code_address)
        param_address = Signal(16)
        act_address = Signal(16)
        param = ram("param_memory", WORD_BITS, geometry.param_depth, param_address)
        act = ram("act_memory", geometry.act_width, geometry.act_depth, act_address)
        cell = ram("cell_memory", 32, geometry.cells, ver.cell_address)

        def from_link(name: str, space: Space) -> None:
            port = writers[name]
            m.d.comb += [
                port.addr.eq(link.address),
                port.data.eq(link.write_data),
                port.en.eq(link.write & (link.space == space)),
            ]

        from_link("program_memory", Space.PROGRAM)
        from_link("param_memory", Space.PARAM)
        from_link("act_memory", Space.ACT)
        from_link("cell_memory", Space.LEVEL)
        with m.If(post.act_write):
            port = writers["act_memory"]
            m.d.comb += [port.addr.eq(post.act_address), port.data.eq(post.act_data), port.en.eq(1)]
        with m.If(ver.cell_write):
            port = writers["cell_memory"]
            m.d.comb += [
                port.addr.eq(ver.cell_address),
                port.data.eq(ver.cell_result),
                port.en.eq(1),
            ]
        with m.Switch(last_space):
            for space, port in (
                (Space.PROGRAM, code),
                (Space.PARAM, param),
                (Space.ACT, act),
                (Space.CELL, cell),
            ):
                with m.Case(space):
                    m.d.comb += link.read_data.eq(port.data)

        # Sequencer and engines.
        m.d.comb += [
            seq.run.eq(link.run),
            seq.run_address.eq(link.run_address),
            seq.run_epoch.eq(link.run_epoch),
            seq.now.eq(timers.now),
            seq.code_data.eq(code.data),
            seq.engine_done.eq(mvm.done | post.done | ver.done | pulse_done),
            seq.engine_fault.eq(post.fault | pulse_fault),
            link.running.eq(running),
            link.done.eq(seq.done | stopping),
            guard.skipped.eq(timers.skipped),
            link.cycles.eq(seq.cycles),
            link.saturations.eq(acc.saturations),
            link.illegal.eq(seq.illegal),
            acc.restart.eq(link.run),
            mux.select.eq(seq.owner),
            mux.range.eq(seq.registers.tia_range),
            mvm.start.eq(seq.start_mvm),
            mvm.fresh.eq(seq.start_verify | seq.start_pulse),
            mvm.pc.eq(seq.pc),
            mvm.epoch.eq(seq.epoch),
            mvm.act_data.eq(act.data),
            mvm.acc_idle.eq(acc.idle),
            acc.samples.valid.eq(mux.fe.samples.valid),
            acc.samples.payload.eq(mux.fe.samples.payload),
            acc.enable.eq(mvm.acc_enable),
            acc.plane.eq(mvm.acc_plane),
            acc.negate.eq(mvm.acc_negate),
            acc.clear.eq(mvm.acc_clear),
            acc.address.eq(post.acc_address),
            post.acc_value.eq(acc.value),
            post.start.eq(seq.start_post),
            post.instruction.eq(seq.instruction),
            post.clamp_lo.eq(seq.registers.clamp_lo),
            post.clamp_hi.eq(seq.registers.clamp_hi),
            post.act_read_data.eq(act.data),
            post.param_data.eq(param.data),
            act_address.eq(Mux(seq.owner == MVM, mvm.act_address, post.act_address)),
            ver.start.eq(seq.start_verify),
            ver.program.eq(seq.instruction[:6] == Op.PROGRAM),
            ver.cell_data.eq(cell.data),
            ver.param_data.eq(param.data),
            param_address.eq(Mux(seq.owner == VERIFY, ver.param_address, post.param_address)),
        ]
        for reg in (
            Reg.LEVELS,
            Reg.TRIES,
            Reg.AVERAGE,
            Reg.STUCK,
            Reg.SET_CYCLES,
            Reg.RESET_CYCLES,
            Reg.RAIL_SET,
            Reg.RAIL_RESET,
        ):
            name = reg.name.lower()
            m.d.comb += getattr(ver, name).eq(getattr(seq.registers, name))
        if pulse is not None:
            m.d.comb += [
                pulsing.eq(pulse.active),
                pulse_done.eq(pulse.done),
                pulse_fault.eq(pulse.fault),
                pulse.start.eq(seq.start_pulse),
                pulse.sweep.eq(seq.instruction[:OPCODE_BITS] == Op.SWEEP),
                pulse.abort.eq(self.abort),
                pulse.param_data.eq(param.data),
                self.train.eq(pulse.train),
            ]
            with m.If(seq.owner == PULSE):
                port = writers["cell_memory"]
                m.d.comb += param_address.eq(pulse.param_address)
                with m.If(pulse.cell_write):
                    m.d.comb += [
                        port.addr.eq(pulse.cell_address),
                        port.data.eq(pulse.cell_result),
                        port.en.eq(1),
                    ]
        engines = [(mvm, Op.MVM), (ver, Op.PROGRAM)]
        if pulse is not None:
            engines.append((pulse, Op.PULSE))
        for engine, op in engines:
            values = operands(seq.instruction, op)
            for field in LAYOUTS[op]:
                m.d.comb += getattr(engine.operand, field.name).eq(values[field.name])
        assert RESULT_BITS <= 32 and LAYOUTS[Op.PROGRAM] == LAYOUTS[Op.READ]
        assert LAYOUTS[Op.PULSE] == LAYOUTS[Op.SWEEP]
        return m
