"""The sequencer: fetches instructions, sets registers, starts the engines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType

from amaranth import Module, Mux, Signal, signed
from amaranth.hdl import Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .afe.interface import FrontEndSignature, FrontEndTiming, TimerChannel, cycles_from_ps
from .counters import count_or_load
from .fields import moved, operands
from .geometry import OPTIONAL_OPERANDS, Geometry
from .isa import ITERATION_BITS, LAYOUTS, OPCODE_BITS, Op
from .link.protocol import TRAP_BITS, Trap
from .loops import Loops
from .postprocess import UNITS
from .refusal import refused, strays
from .registers import Registers, registers_of
from .timers import COUNT_BITS

SEQUENCER, MVM, VERIFY, PULSE = range(4)
"""Users of the front end, as the sequencer's ``owner`` numbers them."""


@dataclass(frozen=True)
class Engine:
    """Who executes an instruction: ``start_NAME`` is its strobe, ``owner`` has the front end."""

    name: str
    owner: int = SEQUENCER


ENGINES: MappingProxyType[Op, Engine] = MappingProxyType(
    {
        Op.MVM: Engine("mvm", MVM),
        Op.PROGRAM: Engine("verify", VERIFY),
        Op.READ: Engine("verify", VERIFY),
        Op.PULSE: Engine("pulse", PULSE),
        Op.SWEEP: Engine("pulse", PULSE),
        Op.ADOPT: Engine("mode"),
        Op.RESTORE: Engine("mode"),
        Op.MODE: Engine("mode", PULSE),
        **{unit.OP: Engine("post") for unit in UNITS},
    }
)
"""The engine of each instruction that the sequencer does not execute itself."""
ASKING = (Op.PULSE, Op.SWEEP, Op.PROGRAM, Op.READ)
"""Instructions that the mode engine is asked about before they start."""
MOVING = tuple(
    op
    for op, fields in LAYOUTS.items()
    if any(OPTIONAL_OPERANDS.get(f.name) == "loop" for f in fields)
)
"""Instructions whose addresses a loop may move."""
STROBES = tuple(f"start_{name}" for name in sorted({engine.name for engine in ENGINES.values()}))


class Sequencer(wiring.Component):
    """Runs the program from ``run_address`` to the next ``HALT``.

    Members
    -------
    run, run_address, run_epoch : In
        Strobe, entry and inference number of a run.
    running, done, cycles : Out
        A run is under way; strobe at its end; its length in clock cycles (a compact
        controller counts up to 2^40, 25 hours at 12 MHz),
        skipped ones included, from the strobe to ``HALT``.
    illegal : Out(1)
        The last run ended at a word that is no instruction, or at one that the
        controller refused (:mod:`~ohmloom.hw.refusal`) or could not finish.
    trap : Out(4)
        Why (:class:`~ohmloom.hw.link.protocol.Trap`); ``pc`` stays at the instruction.
    step : In(COUNT_BITS)
        Cycles that this one counts for in the timer service, skipped ones included.
    code_address, code_enable, code_data : Out, Out, In
        Program memory read port, one cycle of latency; without ``code_enable`` the data
        stay. A compact geometry has no other register for the instruction.
    instruction, pc, epoch : Out
        The word being executed, its address, and the inference number.
    registers : Out
        One member per register of the controller, lower case
        (:class:`~ohmloom.hw.registers.Registers`).
    start_mvm, start_post, start_verify, ... : Out(1)
        :data:`STROBES`; ``engine_done`` answers any of them.
    engine_fault : In(1)
        With ``engine_done``: the instruction could not be finished.
    ask, answered, permitted : Out(1), In(1), In(1)
        The mode engine is asked, has answered, and lets the instruction start.
    owner : Out(2)
        Who has the front end.
    waiting : Out(1)
        The cycles of a ``WAIT``, as many as it says.
    """

    def __init__(self, geometry: Geometry, timing: FrontEndTiming, clk_hz: int) -> None:
        self.geometry = geometry
        self.dac_cycles = cycles_from_ps(timing.dac_settle_ps, clk_hz)
        super().__init__(
            {
                "run": In(1),
                "run_address": In(16),
                "run_epoch": In(32),
                "running": Out(1),
                "done": Out(1),
                "illegal": Out(1),
                "trap": Out(TRAP_BITS),
                "cycles": Out(64),
                "step": In(COUNT_BITS, init=1),
                "code_address": Out(16),
                "code_enable": Out(1, init=1),
                "code_data": In(64),
                "instruction": Out(64),
                "pc": Out(16),
                "epoch": Out(32),
                "iteration": Out(ITERATION_BITS),
                "registers": Out(
                    wiring.Signature(
                        {reg.name.lower(): Out(signed(32)) for reg in registers_of(geometry)}
                    )
                ),
                **{name: Out(1) for name in STROBES},
                "engine_done": In(1),
                "engine_fault": In(1),
                "ask": Out(1),
                "answered": In(1),
                "permitted": In(1),
                "owner": Out(2),
                "waiting": Out(1),
                "timer": Out(TimerChannel()),
                "fe": Out(FrontEndSignature(geometry)),
                "active": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        fe, timer, word = self.fe, self.timer, self.instruction
        opcode = word[:OPCODE_BITS]
        beyond = Signal()  # the instruction is not for this geometry
        unready = Signal()  # nor for what the registers hold
        failed = Signal()  # the engine could not finish
        m.submodules.registers = registers = Registers(self.geometry)
        engines = {op: engine for op, engine in ENGINES.items() if self.geometry.has(op)}
        stray = strays(word, self.geometry)

        set_ = operands(word, Op.SET)
        dac = operands(word, Op.DAC)
        m.d.comb += [
            self.code_address.eq(self.pc),
            self.active.eq(1),
            fe.dac.payload.channel.eq(dac["channel"]),
            fe.dac.payload.code.eq(dac["code"]),
            registers.reg.eq(set_["reg"]),
            registers.value.eq(set_["value"]),
        ]
        for reg in registers_of(self.geometry):
            name = reg.name.lower()
            m.d.comb += getattr(self.registers, name).eq(getattr(registers.values, name))
        begun, ending, advancing = Signal(), Signal(), Signal()
        loops = self._loops(m, begun) if self.geometry.has(Op.LOOP) else None
        fetching = Signal()
        compact = self.geometry.compact
        if compact:
            m.d.comb += [word.eq(self.code_data), self.code_enable.eq(fetching)]

        def advance() -> None:
            m.d.comb += advancing.eq(1)
            m.d.sync += self.owner.eq(SEQUENCER)
            m.next = "FETCH"

        def refuse(trap: Trap | Value) -> None:
            m.d.sync += [self.illegal.eq(1), self.trap.eq(trap)]
            m.next = "HALT"

        @contextmanager
        def case(op: Op) -> Iterator[None]:
            """Of an instruction that has no stray bits; each looks for its own only."""
            with m.Case(op):
                with m.If(stray[op]):
                    refuse(Trap.STRAY)
                with m.Else():
                    yield

        with m.If(begun | advancing):
            following = count_or_load(self.pc, begun, self.run_address, compact=compact)
            m.d.sync += self.pc.eq(following)
        # The cycle of HALT is not one of the run's.
        taken = Signal(COUNT_BITS if compact else len(self.cycles))
        m.d.comb += self.cycles.eq(taken)
        with m.If(begun):
            m.d.sync += taken.eq(self.step)
        with m.Elif(self.running & ~ending):
            m.d.sync += taken.eq(taken + self.step)
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.active.eq(0)
                with m.If(self.run):
                    m.d.comb += [begun.eq(1), registers.disarm.eq(1)]
                    m.d.sync += [
                        self.running.eq(1),
                        self.illegal.eq(0),
                        self.trap.eq(Trap.NONE),
                        self.epoch.eq(self.run_epoch),
                    ]
                    m.next = "READY"
            with m.State("READY"):
                m.d.comb += self.active.eq(0)
                with m.If(fe.ready):
                    m.next = "FETCH"
            with m.State("FETCH"):
                m.d.comb += fetching.eq(1)
                m.next = "DECODE"
                with m.If(self.pc >= self.geometry.program_depth):
                    refuse(Trap.RAN_OFF)
            # The word is registered first: no path leads from the memory into the decoder.
            with m.State("DECODE"):
                if not compact:
                    m.d.sync += word.eq(self.code_data)
                m.next = "EXECUTE"
                if loops is not None:
                    with m.If(~loops.none):
                        m.next = "MOVE"
            if loops is not None:
                with m.State("MOVE"):
                    m.next = "EXECUTE"
                    with m.Switch(opcode):
                        for op in MOVING:
                            with m.Case(op):
                                m.d.sync += word.eq(moved(word, op, loops.act, loops.out))
            with m.State("EXECUTE"):
                cycles = operands(word, Op.WAIT)["cycles"]
                m.d.comb += timer.cycles.eq(cycles)
                with m.Switch(opcode):
                    with case(Op.NOP):
                        advance()
                    with case(Op.SET):
                        advance()
                        m.d.comb += registers.write.eq(1)
                        with m.If(~registers.known):
                            refuse(Trap.REGISTER)
                    with case(Op.WAIT):
                        with m.If(cycles == 0):
                            advance()
                        with m.Else():
                            m.d.comb += timer.start.eq(1)
                            m.next = "TIMER"
                    with case(Op.DAC):
                        m.next = "DAC"
                    # The bounds have this cycle for themselves: no strobe waits for them.
                    for op, engine in engines.items():
                        with case(op):
                            operand, register = refused(word, op, registers, self.geometry)
                            m.d.sync += [
                                self.owner.eq(engine.owner),
                                beyond.eq(operand),
                                unready.eq(register),
                            ]
                            m.next = "START"
                    if loops is not None:
                        with case(Op.LOOP):
                            m.d.comb += loops.begin.eq((loops.count != 0) & ~loops.full)
                            advance()
                            with m.If(loops.count == 0):
                                refuse(Trap.OPERAND)
                            with m.Elif(loops.full):
                                refuse(Trap.NESTING)
                        with case(Op.END):
                            m.d.comb += loops.end.eq(~loops.none)
                            with m.If(loops.none):
                                refuse(Trap.NESTING)
                            with m.Elif(loops.again):
                                m.d.sync += self.pc.eq(loops.again_at)
                                m.next = "FETCH"
                            with m.Else():
                                advance()
                    with case(Op.HALT):
                        m.next = "HALT"
                    for op in (*ENGINES, Op.LOOP, Op.END):
                        if not self.geometry.has(op):
                            with m.Case(op):
                                refuse(Trap.FEATURE)
                    with m.Default():
                        refuse(Trap.OPCODE)
            with m.State("DAC"):
                m.d.comb += fe.dac.valid.eq(1)
                with m.If(fe.dac.ready):
                    m.next = "DAC-SHIFT"
            with m.State("DAC-SHIFT"), m.If(fe.dac_idle):
                m.d.comb += [timer.start.eq(1), timer.cycles.eq(self.dac_cycles)]
                m.next = "TIMER"
            with m.State("TIMER"):
                m.d.comb += [self.active.eq(0), self.waiting.eq(opcode == Op.WAIT)]
                with m.If(timer.done):
                    advance()
            with m.State("START"):
                m.next = "ENGINE"
                with m.If(beyond | unready):
                    refuse(Mux(beyond, Trap.OPERAND, Trap.BOUNDS))
                with m.Else(), m.Switch(word[:OPCODE_BITS]):
                    for op, engine in engines.items():
                        with m.Case(op):
                            if op in ASKING:
                                m.d.comb += self.ask.eq(1)
                                m.next = "GRANT"
                            else:
                                m.d.comb += getattr(self, f"start_{engine.name}").eq(1)
            with m.State("GRANT"), m.If(self.answered):
                m.next = "ENGINE"
                with m.If(~self.permitted):
                    refuse(Trap.MODE)
                with m.Else(), m.Switch(word[:OPCODE_BITS]):
                    for op in ASKING:
                        if op in engines:
                            with m.Case(op):
                                m.d.comb += getattr(self, f"start_{engines[op].name}").eq(1)
            with m.State("ENGINE"):
                m.d.comb += self.active.eq(0)
                with m.If(self.engine_done):
                    m.d.sync += failed.eq(self.engine_fault)
                    m.next = "FINISH"
            with m.State("FINISH"):  # a cycle between the engines' logic and this one's
                advance()
                with m.If(word[:OPCODE_BITS] == Op.MODE):
                    m.d.comb += registers.disarm.eq(1)
                with m.If(failed):
                    refuse(Trap.ENGINE)
            with m.State("HALT"):
                m.d.comb += ending.eq(1)
                m.d.sync += self.owner.eq(SEQUENCER)
                m.next = "DONE"
            with m.State("DONE"):
                m.d.comb += [self.done.eq(1), ending.eq(1)]
                m.d.sync += self.running.eq(0)
                m.next = "IDLE"
        return m

    def _loops(self, m: Module, begun: Signal) -> Loops:
        """The stack of open loops, which looks at the instruction's word."""
        m.submodules.loops = loops = Loops()
        loop = operands(self.instruction, Op.LOOP)
        m.d.comb += [
            loops.restart.eq(begun),
            loops.body.eq(self.pc + 1),
            loops.count.eq(loop["count"]),
            loops.act_step.eq(loop["act_step"]),
            loops.out_step.eq(loop["out_step"]),
            self.iteration.eq(loops.iteration),
        ]
        return loops
