"""The controller: link, memories, sequencer, engines and one analog front end."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import ClassVar, Protocol

from amaranth import Cat, Const, Module, Mux, ResetInserter, Signal
from amaranth.hdl import Value, ValueLike
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .accumulator import Accumulator
from .afe.interface import Ceilings, FrontEndTiming, PlaneStep, Tag
from .bounds import operand_bits
from .calibration import Calibrator
from .fields import operands
from .frontend_mux import FrontEndMux
from .geometry import Geometry, GeometryError
from .guard import Guard
from .isa import LAYOUTS, OPCODE_BITS, OUTCOME_FIELDS, RESULT_FIELDS, WORD_BITS, Op, Reg
from .link.link import Link
from .link.log import EventLog
from .link.log_entry import DETAIL_BITS
from .link.protocol import ADOPT_REFUSAL, FRONT_END_BYTES, Event, Space
from .modes.engine import TILE_BITS, ModeEngine
from .modes.warden import WEIGHING_CYCLES, Warden
from .mvm import MvmEngine
from .pair_accumulator import PairAccumulator
from .postprocess import PostProcessor
from .profile import PROFILE_QUARTERS, QUARTER_BITS, TILE_FIELDS
from .pulse import PulseSequencer
from .ram import Ram
from .ranges import RANGE_BITS, TEMPERATURE_RANGE
from .sequencer import MVM, PULSE, SEQUENCER, VERIFY, Sequencer
from .timers import FOREVER, NOW_BITS, TimerMux, Timers
from .verify import WEAR_BITS, WriteVerify

CHANGING = data.StructLayout({"on": 1, "to": 3})
RESULT_BITS = sum(field.width for field in RESULT_FIELDS)


class FrontEnd(Protocol):
    """A front-end provider: a component with ``core``, ``timer`` and its pins.

    With ``PAIRS_APART`` samples of the two columns of a pair have a cycle between them.
    """

    PAIRS_APART: ClassVar[bool]
    signature: wiring.Signature
    core: wiring.wiring.PureInterface
    timer: wiring.wiring.PureInterface

    def timing(self) -> FrontEndTiming: ...

    def ceilings(self) -> Ceilings: ...

    def plane_period_cycles(self) -> dict[PlaneStep, int]: ...


def front_end_name(afe: FrontEnd) -> str:
    """What the link says of a front end: its ``name``, or without one that of its class."""
    return getattr(afe, "name", type(afe).__name__)[:FRONT_END_BYTES]


def pins_signature(afe: FrontEnd) -> wiring.Signature:
    """The pins of a front end: its members except the two that face the core."""
    inner = ("core", "timer")
    return wiring.Signature(
        {name: member for name, member in afe.signature.members.items() if name not in inner}
    )


def _calibrate(
    m: Module,
    calibrator: Calibrator,
    fe: wiring.wiring.PureInterface,
    below: wiring.wiring.PureInterface,
) -> None:
    """Connects engines and front end, the calibrator between its samples and the engines."""
    inner = {path: value for path, _, value in fe.signature.flatten(below)}
    for path, member, value in fe.signature.flatten(fe):
        if path[0] not in ("samples", "adc_idle"):
            other = inner[path]
            m.d.comb += other.eq(value) if member.flow is Out else value.eq(other)
    m.d.comb += [
        calibrator.i.valid.eq(below.samples.valid),
        calibrator.i.payload.eq(below.samples.payload),
        fe.samples.valid.eq(calibrator.o.valid),
        fe.samples.payload.eq(calibrator.o.payload),
        calibrator.i_idle.eq(below.adc_idle),
        fe.adc_idle.eq(calibrator.o_idle),
        calibrator.convert.eq(fe.convert),
        calibrator.range.eq(fe.range),
        calibrator.bypass.eq(fe.source),
    ]


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
    jump, horizon, now, skipped, tag : In(1), In(64), Out(64), Out(64), Out(Tag)
        Simulation only: time jump and how far it may go, time base, cycles skipped, and the
        name of the last conversion. A board ties ``jump`` to 0 and leaves the others open.
    train : Out(1)
        Simulation only: from the first pulse of a ``PULSE`` or ``SWEEP`` to the end.
    waiting : Out(1)
        Simulation only: in a ``WAIT``.
    busy : Out(1)
        Simulation only: a run is under way, or something moves at the link or the pins.
    changing : Out
        Simulation only: a recipe is at work on a row, from its first opening on, and to
        which mode.
    abort : In(1)
        Strobe, of a key for example: ends a ``PULSE`` or ``SWEEP``. Open is 0.
    """

    def __init__(self, geometry: Geometry, clk_hz: int, baud: int, afe: FrontEnd) -> None:
        if geometry.banks:
            raise GeometryError(
                "a controller with banks is for simulation: gateware has the memories and "
                "tiles that its instructions reach"
            )
        if geometry.compact and not afe.PAIRS_APART:
            raise GeometryError(
                f"{type(afe).__name__} samples the columns of a pair in a row, "
                "for which a compact controller has no time"
            )
        self.geometry = geometry
        self.clk_hz = clk_hz
        self.afe = afe
        self.link = Link(geometry, clk_hz, baud, front_end_name(afe))
        super().__init__(
            {
                "rx": In(1, init=1),
                "tx": Out(1, init=1),
                "pins": Out(pins_signature(afe)),
                "jump": In(1),
                "horizon": In(NOW_BITS, init=FOREVER),
                "now": Out(NOW_BITS),
                "skipped": Out(64),
                "tag": Out(Tag),
                "train": Out(1),
                "waiting": Out(1),
                "busy": Out(1),
                "changing": Out(CHANGING),
                "abort": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry, afe, clk_hz = self.geometry, self.afe, self.clk_hz
        timing = afe.timing()

        m.submodules.afe = afe
        m.submodules.link = link = self.link
        m.submodules.guard = guard = Guard(
            geometry, timing, afe.ceilings(), clk_hz, WEIGHING_CYCLES
        )
        # The safe state resets all engines, and their timers a cycle before it ends.
        was_safe = Signal()
        m.d.sync += was_safe.eq(guard.safe)
        stoppable = ResetInserter(guard.safe | was_safe)
        m.submodules.sequencer = stoppable(seq := Sequencer(geometry, timing, clk_hz))
        m.submodules.mvm = stoppable(mvm := MvmEngine(geometry, timing, clk_hz))
        accumulator = PairAccumulator if geometry.compact else Accumulator
        m.submodules.accumulator = acc = accumulator(geometry)
        m.submodules.post = stoppable(post := PostProcessor(geometry))
        ver = WriteVerify(geometry, timing, clk_hz)
        # Left out, it is held in reset for good, and synthesis removes it.
        m.submodules.verify = (stoppable if geometry.verify else ResetInserter(Const(1)))(ver)
        m.submodules.modes = stoppable(modes := ModeEngine(geometry))
        m.submodules.warden = warden = Warden(geometry)
        m.submodules.mux = mux = FrontEndMux(geometry, 4)

        for user, engine in ((SEQUENCER, seq), (MVM, mvm), (VERIFY, ver)):
            wiring.connect(m, mux.users[user], engine.fe)
        pulsing, pulse_done, pulse_fault = Signal(), Signal(), Signal()
        waits_of = {SEQUENCER: seq.timer, MVM: mvm.timer, VERIFY: ver.timer}
        pulse, pulse_timers = None, ()
        if geometry.pulse:
            m.submodules.pulse = stoppable(pulse := PulseSequencer(geometry, timing, clk_hz))
            wiring.connect(m, mux.users[PULSE], pulse.fe)
            waits_of[PULSE] = pulse.timer
            pulse_timers = (pulse.pace, pulse.sampler)
        calibrator = None
        if geometry.calibration:
            m.submodules.calibrator = calibrator = Calibrator(geometry)
            _calibrate(m, calibrator, mux.fe, warden.core)
        else:
            wiring.connect(m, mux.fe, warden.core)
        wiring.connect(m, warden.fe, guard.core)
        wiring.connect(m, modes.drive, warden.drive)
        wiring.connect(m, guard.standing, warden.standing)
        wiring.connect(m, guard.afe, afe.core)
        wiring.connect(m, link.guard, guard.host)
        # Who has the front end is the only one that waits for it.
        widths = [timer.signature.bits for _user, timer in sorted(waits_of.items())]
        m.submodules.waits = waits = TimerMux(widths)
        m.d.comb += waits.select.eq(seq.owner)
        for user, timer in waits_of.items():
            wiring.connect(m, waits.users[user], timer)
        waiting = (waits.channel, *pulse_timers)
        users = (*waiting, afe.timer, guard.timer, warden.timer)
        widths = [user.signature.bits for user in users]
        m.submodules.timers = timers = Timers(widths, compact=geometry.compact)
        for channel, user in zip(timers.channel, users, strict=True):
            wiring.connect(m, channel, user)
        with m.If(guard.safe):
            m.d.comb += [channel.stop.eq(1) for channel in timers.channel[: len(waiting)]]
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
            timers.horizon.eq(self.horizon),
            self.now.eq(timers.now),
            self.skipped.eq(timers.skipped),
            timers.quiet.eq(
                ~(
                    link.active
                    | seq.active
                    | mvm.active
                    | post.active
                    | ver.active
                    | modes.active
                    | pulsing
                    | afe.core.active
                )
            ),
        ]

        m.d.comb += self.busy.eq(seq.running | ~timers.quiet)
        with m.If(mux.fe.convert):
            m.d.sync += self.tag.eq(mux.fe.tag)

        # Memories. The link has them while nothing runs, the engines during a run.
        running = seq.running
        last_space = Signal(4)
        with m.If(link.read):
            m.d.sync += last_space.eq(link.space)

        def ram(
            name: str, width: int, depth: int, address: Value, write: ValueLike, word: ValueLike
        ) -> wiring.PureInterface:
            """A memory's read port. The engines read and write at the one ``address``."""
            # A whole power of two: no address is beyond it, in whatever runs the RTL.
            whole = 1 << (depth - 1).bit_length()
            m.submodules[name] = words = Ram(width, whole)
            at = Mux(running, address, link.address)
            m.d.comb += [
                words.read.addr.eq(at),
                words.write.addr.eq(at),
                words.write.en.eq(write),
                words.write.data.eq(word),
            ]
            return words.read

        def sent(*spaces: Space) -> Value:
            """The link writes a word of one of them."""
            return link.write & reduce(or_, (link.space == space for space in spaces))

        def word(engine: Value, from_link: Value = link.write_data) -> Value:
            return Mux(running, engine, from_link)

        param_address, act_address = Signal(16), Signal(16)
        cell_address, cell_result, cell_write = Signal(16), Signal(32), Signal()
        levels = (Space.LEVEL, Space.TARGET) if geometry.line else (Space.LEVEL,)
        code = ram(
            "program_memory", WORD_BITS, geometry.program_depth, seq.code_address,
            sent(Space.PROGRAM), link.write_data,
        )  # fmt: skip
        param = ram(
            "param_memory", WORD_BITS, geometry.param_depth, param_address,
            sent(Space.PARAM), link.write_data,
        )  # fmt: skip
        act = ram(
            "act_memory", geometry.act_width, geometry.act_depth, act_address,
            sent(Space.ACT) | post.act_write, word(post.act_data),
        )  # fmt: skip
        # A level or a target has 16 bits at most.
        cell = ram(
            "cell_memory", 32, geometry.cells, cell_address,
            sent(*levels) | cell_write, word(cell_result, link.write_data[:16]),
        )  # fmt: skip
        profile = ram(
            "profile_memory", QUARTER_BITS, PROFILE_QUARTERS, modes.profile_address,
            sent(Space.PROFILE) & ~modes.adopted, link.write_data,
        )  # fmt: skip
        tile_mode = ram(
            "mode_memory", TILE_BITS, geometry.tiles, modes.drive.tile,
            modes.tile_write, modes.tile_value,
        )  # fmt: skip
        lock = None
        if geometry.lock_depth:
            lock = ram(
                "lock_memory", 1, geometry.lock_depth, modes.lock_address,
                sent(Space.LOCK) | modes.lock_write, word(modes.lock_value),
            )  # fmt: skip
            m.d.comb += modes.lock_data.eq(lock.data)
        read_ports = {Space.PROGRAM: code, Space.PARAM: param, Space.ACT: act, Space.CELL: cell}
        if geometry.wear:
            # Cycles of the cells of the tile at work; the host keeps those of the others.
            read_ports[Space.WEAR] = wear = ram(
                "wear_memory", WEAR_BITS, geometry.cells, ver.wear_address,
                sent(Space.WEAR) | ver.wear_write, word(ver.wear_next),
            )  # fmt: skip
            m.d.comb += ver.wear_data.eq(wear.data)
        if geometry.log_depth:
            m.submodules.log = events = EventLog(geometry.log_depth, geometry.program_depth)
            read_ports[Space.LOG] = events
            done = seq.done & ~seq.illegal
            happened = {
                Event.STOP: guard.safe & ~was_safe,
                Event.CLEARED: ~guard.safe & was_safe,
                Event.TRAP: seq.done & seq.illegal,
                Event.ENDED: done,
                Event.SATURATED: done & (acc.saturations != 0),
                Event.DROPPED: link.dropped,
            }
            m.d.comb += events.code.eq(seq.trap)
            if pulse is not None:
                happened[Event.PULSE] = failed = pulse.done & pulse.fault
                with m.If(failed):
                    outcome = pulse.cell_result[OUTCOME_FIELDS[0].width :]
                    m.d.comb += events.code.eq(outcome)
            for event, strobe in happened.items():
                m.d.comb += events.event[event - 1].eq(strobe)
            m.d.comb += [
                events.now.eq(timers.now),
                events.address.eq(link.address),
                events.pc.eq(seq.pc),
                events.reason.eq(link.guard.health[8:12]),
                events.saturations.eq(
                    Mux(acc.saturations[DETAIL_BITS:].any(), -1, acc.saturations[:DETAIL_BITS])
                ),
                link.log.written.eq(events.written),
                link.log.lost.eq(events.lost),
                events.count_written.eq(link.log.count_written),
                events.count_lost.eq(link.log.count_lost),
            ]
        with m.Switch(last_space):
            for space, port in read_ports.items():
                with m.Case(space):
                    m.d.comb += link.read_data.eq(port.data)
            with m.Case(Space.PROFILE):
                m.d.comb += link.read_data.eq(profile.data)
            with m.Case(Space.MODE):
                # In the order of profile.TILE_FIELDS.
                spare = Const(0, TILE_FIELDS[3].width)
                m.d.comb += link.read_data.eq(
                    Cat(tile_mode.data, spare, modes.status, modes.found, modes.adopted)
                )
            if lock is not None:
                with m.Case(Space.LOCK):
                    m.d.comb += link.read_data.eq(lock.data)
        if calibrator is not None:
            m.d.comb += [
                calibrator.address.eq(link.address),
                calibrator.word.eq(link.write_data),
                calibrator.write.eq(link.write & (link.space == Space.CALIBRATION)),
                calibrator.reading.eq(~running),
            ]
            with m.If(last_space == Space.CALIBRATION):
                m.d.comb += link.read_data.eq(calibrator.entry)

        # Sequencer and engines.
        m.d.comb += [
            self.waiting.eq(seq.waiting),
            seq.run.eq(link.run),
            seq.run_address.eq(link.run_address),
            seq.run_epoch.eq(link.run_epoch),
            seq.step.eq(timers.step),
            code.en.eq(seq.code_enable | ~running),
            seq.code_data.eq(code.data),
            seq.engine_done.eq(mvm.done | post.done | ver.done | pulse_done | modes.done),
            seq.engine_fault.eq(post.fault | pulse_fault | modes.fault),
            link.running.eq(running),
            link.done.eq(seq.done | stopping),
            guard.skipped.eq(timers.skipped),
            seq.answered.eq(modes.answered),
            seq.permitted.eq(modes.permitted),
            modes.run.eq(link.run),
            modes.start.eq(seq.start_mode),
            modes.ask.eq(seq.ask),
            modes.release.eq(seq.engine_done),
            modes.instruction.eq(seq.instruction),
            modes.arm.eq(seq.registers.arm),
            modes.profile_data.eq(profile.data),
            modes.tile_data.eq(tile_mode.data),
            modes.param_data.eq(param.data),
            # A code of a range that a read has chosen says nothing of a written cell, and
            # neither does a temperature.
            modes.cell_write.eq(
                ver.cell_write & (seq.registers.tia_range[: RANGE_BITS + 1] < TEMPERATURE_RANGE)
            ),
            modes.cell_result.eq(ver.cell_result),
            modes.automatic.eq(seq.registers.tia_range[3]),
            link.adopted.eq(modes.adopted),
            link.refusal.eq(Mux(modes.found != 0, ADOPT_REFUSAL + modes.found, modes.status)),
            link.cycles.eq(seq.cycles),
            link.saturations.eq(acc.saturations),
            link.illegal.eq(seq.illegal),
            link.trap.eq(seq.trap),
            link.trap_address.eq(seq.pc),
            acc.restart.eq(link.run),
            mux.select.eq(seq.owner),
            # A read may choose its range; what it has left behind settles with the next one.
            mux.range.eq(Mux(seq.owner == VERIFY, ver.range, seq.registers.tia_range)),
            mvm.start.eq(seq.start_mvm),
            mvm.fresh.eq(seq.start_verify | seq.start_pulse | modes.recipe_start),
            mvm.pc.eq(seq.pc),
            mvm.range.eq(seq.registers.tia_range),
            mvm.epoch.eq(seq.epoch),
            mvm.iteration.eq(seq.iteration),
            mvm.act_data.eq(act.data),
            mvm.acc_idle.eq(acc.idle),
            acc.samples.valid.eq(mux.fe.samples.valid),
            acc.samples.payload.eq(mux.fe.samples.payload),
            acc.enable.eq(mvm.acc_enable),
            acc.shift.eq(mvm.acc_shift),
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
            cell_address.eq(ver.cell_address),
            cell_result.eq(ver.cell_result),
            cell_write.eq(ver.cell_write),
            ver.start.eq(seq.start_verify),
            ver.program.eq(seq.instruction[:6] == Op.PROGRAM),
            ver.cell_data.eq(cell.data),
            ver.param_data.eq(param.data),
            param_address.eq(Mux(seq.owner == VERIFY, ver.param_address, post.param_address)),
        ]
        if geometry.has_single:
            m.d.comb += [
                mvm.scheme.eq(seq.registers.scheme),
                acc.single.eq(mvm.acc_single),
            ]
        for reg in (
            Reg.LEVELS,
            Reg.LINE,
            Reg.TRIES,
            Reg.AVERAGE,
            Reg.TIA_RANGE,
            Reg.STUCK,
            Reg.ENDURANCE,
            Reg.TOGETHER,
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
                pulse_done.eq(pulse.done & ~modes.recipe),
                pulse_fault.eq(pulse.fault & ~modes.recipe),
                modes.pulse_done.eq(pulse.done),
                modes.pulse_fault.eq(pulse.fault),
                pulse.start.eq(seq.start_pulse | modes.recipe_start),
                pulse.sweep.eq(
                    Mux(modes.recipe, modes.sweep, seq.instruction[:OPCODE_BITS] == Op.SWEEP)
                ),
                pulse.silent.eq(modes.recipe),
                self.changing.on.eq(pulse.train & modes.recipe),
                self.changing.to.eq(operands(seq.instruction, Op.MODE)["to"]),
                pulse.abort.eq(self.abort),
                pulse.range.eq(seq.registers.tia_range),
                pulse.param_data.eq(param.data),
                self.train.eq(pulse.train),
            ]
            with m.If((seq.owner == PULSE) | (not geometry.verify)):
                m.d.comb += [
                    cell_address.eq(pulse.cell_address),
                    cell_result.eq(pulse.cell_result),
                    cell_write.eq(pulse.cell_write),
                ]
            with m.If(seq.owner == PULSE):
                m.d.comb += param_address.eq(pulse.param_address)
        with m.If(modes.active):
            m.d.comb += param_address.eq(modes.param_address)
        if pulse is not None:
            values = operands(seq.instruction, Op.PULSE)
            for field in LAYOUTS[Op.PULSE]:
                bits = operand_bits(Op.PULSE, field.name, geometry)
                ours = getattr(modes.operand, field.name)
                m.d.comb += getattr(pulse.operand, field.name).eq(
                    Mux(modes.recipe, ours, values[field.name])[:bits]
                )
        for engine, op in ((mvm, Op.MVM), (ver, Op.PROGRAM)):
            values = operands(seq.instruction, op)
            for field in LAYOUTS[op]:
                bits = operand_bits(op, field.name, geometry)
                m.d.comb += getattr(engine.operand, field.name).eq(values[field.name][:bits])
        assert RESULT_BITS <= 32 and LAYOUTS[Op.PROGRAM] == LAYOUTS[Op.READ]
        assert LAYOUTS[Op.PULSE] == LAYOUTS[Op.SWEEP]
        return m
