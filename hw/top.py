"""The controller: link, memories, sequencer, engines and one analog front end."""

from __future__ import annotations

from typing import Protocol

from amaranth import Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from .accumulator import Accumulator
from .afe.interface import FrontEndTiming, PlaneStep, Tag
from .fields import operands
from .frontend_mux import FrontEndMux
from .geometry import Geometry
from .isa import LAYOUTS, RESULT_FIELDS, WORD_BITS, Op, Reg
from .link.link import Link
from .link.protocol import Space
from .mvm import MvmEngine
from .postprocess import Requantiser
from .sequencer import MVM, SEQUENCER, VERIFY, Sequencer
from .timers import Timers
from .verify import WriteVerify

RESULT_BITS = sum(field.width for field in RESULT_FIELDS)


class FrontEnd(Protocol):
    """A front-end provider: a component with ``core``, ``timer`` and its pins."""

    signature: wiring.Signature
    core: wiring.PureInterface
    timer: wiring.PureInterface

    def timing(self) -> FrontEndTiming: ...

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
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry, afe, clk_hz = self.geometry, self.afe, self.clk_hz
        timing = afe.timing()

        m.submodules.afe = afe
        m.submodules.link = link = self.link
        m.submodules.timers = timers = Timers(4)
        m.submodules.sequencer = seq = Sequencer(geometry, timing, clk_hz)
        m.submodules.mvm = mvm = MvmEngine(geometry, timing, clk_hz)
        m.submodules.accumulator = acc = Accumulator(geometry)
        m.submodules.requantiser = req = Requantiser(geometry)
        m.submodules.verify = ver = WriteVerify(geometry, timing, clk_hz)
        m.submodules.mux = mux = FrontEndMux(geometry, 3)

        for user, engine in ((SEQUENCER, seq), (MVM, mvm), (VERIFY, ver)):
            wiring.connect(m, mux.users[user], engine.fe)
        wiring.connect(m, mux.fe, afe.core)
        for i, user in enumerate((seq.timer, mvm.timer, ver.timer, afe.timer)):
            wiring.connect(m, timers.channel[i], user)
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
                ~(link.active | seq.active | mvm.active | req.active | ver.active | afe.core.active)
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
        param = ram("param_memory", WORD_BITS, geometry.param_depth, param_address)
        act = ram("act_memory", geometry.act_width, geometry.act_depth, mvm.act_address)
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
        with m.If(req.act_write):
            port = writers["act_memory"]
            m.d.comb += [port.addr.eq(req.act_address), port.data.eq(req.act_data), port.en.eq(1)]
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
            seq.engine_done.eq(mvm.done | req.done | ver.done),
            link.running.eq(running),
            link.done.eq(seq.done),
            link.cycles.eq(seq.cycles),
            link.saturations.eq(acc.saturations),
            link.illegal.eq(seq.illegal),
            acc.restart.eq(link.run),
            mux.select.eq(seq.owner),
            mux.range.eq(seq.registers.tia_range),
            mvm.start.eq(seq.start_mvm),
            mvm.fresh.eq(seq.start_verify),
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
            acc.address.eq(req.acc_address),
            req.acc_value.eq(acc.value),
            req.start.eq(seq.start_requant),
            req.clamp_lo.eq(seq.registers.clamp_lo),
            req.clamp_hi.eq(seq.registers.clamp_hi),
            req.param_data.eq(param.data),
            ver.start.eq(seq.start_verify),
            ver.program.eq(seq.instruction[:6] == Op.PROGRAM),
            ver.cell_data.eq(cell.data),
            ver.param_data.eq(param.data),
            param_address.eq(Mux(seq.owner == VERIFY, ver.param_address, req.param_address)),
        ]
        for reg in (
            Reg.LEVELS,
            Reg.TRIES,
            Reg.SET_CYCLES,
            Reg.RESET_CYCLES,
            Reg.RAIL_SET,
            Reg.RAIL_RESET,
        ):
            name = reg.name.lower()
            m.d.comb += getattr(ver, name).eq(getattr(seq.registers, name))
        for engine, op in ((mvm, Op.MVM), (req, Op.REQUANT), (ver, Op.PROGRAM)):
            values = operands(seq.instruction, op)
            for field in LAYOUTS[op]:
                m.d.comb += getattr(engine.operand, field.name).eq(values[field.name])
        assert RESULT_BITS <= 32 and LAYOUTS[Op.PROGRAM] == LAYOUTS[Op.READ]
        return m
