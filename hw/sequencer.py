"""The sequencer: fetches instructions, sets registers, starts the engines."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from amaranth import Module, Signal, signed
from amaranth.hdl import Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .afe.interface import FrontEndSignature, FrontEndTiming, TimerChannel, cycles_from_ps
from .fields import operands
from .geometry import Geometry
from .isa import OPCODE_BITS, Op, Reg
from .postprocess import UNITS
from .refusal import refused, stray_bits

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
        **{unit.OP: Engine("post") for unit in UNITS},
    }
)
"""The engine of each instruction that the sequencer does not execute itself."""
STROBES = tuple(f"start_{name}" for name in sorted({engine.name for engine in ENGINES.values()}))


class Sequencer(wiring.Component):
    """Runs the program from ``run_address`` to the next ``HALT``.

    Members
    -------
    run, run_address, run_epoch : In
        Strobe, entry and inference number of a run.
    running, done, cycles : Out
        A run is under way; strobe at its end; its length in clock cycles,
        skipped ones included, from the strobe to ``HALT``.
    illegal : Out(1)
        The last run ended at a word that is no instruction, or at one that the
        controller refused (:mod:`~ohmloom.hw.refusal`) or could not finish.
    now : In(64)
        The time base of the timer service.
    code_address, code_data : Out, In
        Program memory read port, one cycle of latency.
    instruction, pc, epoch : Out
        The word being executed, its address, and the inference number.
    registers : Out
        One member per :class:`~ohmloom.hw.isa.Reg`, lower case.
    start_mvm, start_post, start_verify, ... : Out(1)
        :data:`STROBES`; ``engine_done`` answers any of them.
    engine_fault : In(1)
        With ``engine_done``: the instruction could not be finished.
    owner : Out(2)
        Who has the front end.
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
                "cycles": Out(64),
                "now": In(64),
                "code_address": Out(16),
                "code_data": In(64),
                "instruction": Out(64),
                "pc": Out(16),
                "epoch": Out(32),
                "registers": Out(
                    wiring.Signature({reg.name.lower(): Out(signed(32)) for reg in Reg})
                ),
                **{name: Out(1) for name in STROBES},
                "engine_done": In(1),
                "engine_fault": In(1),
                "owner": Out(2),
                "timer": Out(TimerChannel()),
                "fe": Out(FrontEndSignature(geometry)),
                "active": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        fe, timer, word = self.fe, self.timer, self.instruction
        opcode = self.code_data[:OPCODE_BITS]
        begun = Signal(64)
        registers: dict[Reg, Value] = {
            reg: getattr(self.registers, reg.name.lower()) for reg in Reg
        }
        engines = {op: engine for op, engine in ENGINES.items() if self.geometry.has(op)}
        stray = Signal()
        with m.Switch(opcode):
            for op in Op:
                with m.Case(op):
                    m.d.comb += stray.eq(stray_bits(self.code_data, op))

        set_ = operands(word, Op.SET)
        dac = operands(word, Op.DAC)
        m.d.comb += [
            self.code_address.eq(self.pc),
            self.active.eq(1),
            fe.dac.payload.channel.eq(dac["channel"]),
            fe.dac.payload.code.eq(dac["code"]),
        ]

        def advance() -> None:
            m.d.sync += [self.pc.eq(self.pc + 1), self.owner.eq(SEQUENCER)]
            m.next = "FETCH"

        def refuse() -> None:
            m.d.sync += self.illegal.eq(1)
            m.next = "HALT"

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.active.eq(0)
                with m.If(self.run):
                    m.d.sync += [
                        self.running.eq(1),
                        self.illegal.eq(0),
                        self.pc.eq(self.run_address),
                        self.epoch.eq(self.run_epoch),
                        begun.eq(self.now),
                    ]
                    m.next = "READY"
            with m.State("READY"):
                m.d.comb += self.active.eq(0)
                with m.If(fe.ready):
                    m.next = "FETCH"
            with m.State("FETCH"):
                m.next = "DECODE"
                with m.If(self.pc >= self.geometry.program_depth):
                    refuse()
            with m.State("DECODE"):
                m.d.sync += word.eq(self.code_data)
                with m.Switch(opcode):
                    with m.Case(Op.NOP):
                        advance()
                    with m.Case(Op.SET):
                        m.next = "SET"
                    with m.Case(Op.WAIT):
                        m.next = "WAIT"
                    with m.Case(Op.DAC):
                        m.next = "DAC"
                    for op, engine in engines.items():
                        with m.Case(op):
                            m.d.sync += self.owner.eq(engine.owner)
                            m.next = "START"
                    with m.Default():
                        m.d.sync += self.illegal.eq(opcode != Op.HALT)
                        m.next = "HALT"
                with m.If(stray):
                    refuse()
            with m.State("SET"):
                advance()
                with m.Switch(set_["reg"]):
                    for reg, register in registers.items():
                        with m.Case(reg):
                            m.d.sync += register.eq(set_["value"])
                    with m.Default():
                        refuse()
            with m.State("WAIT"):
                cycles = operands(word, Op.WAIT)["cycles"]
                m.d.comb += timer.cycles.eq(cycles)
                with m.If(cycles == 0):
                    advance()
                with m.Else():
                    m.d.comb += timer.start.eq(1)
                    m.next = "TIMER"
            with m.State("DAC"):
                m.d.comb += fe.dac.valid.eq(1)
                with m.If(fe.dac.ready):
                    m.next = "DAC-SHIFT"
            with m.State("DAC-SHIFT"), m.If(fe.dac_idle):
                m.d.comb += [timer.start.eq(1), timer.cycles.eq(self.dac_cycles)]
                m.next = "TIMER"
            with m.State("TIMER"):
                m.d.comb += self.active.eq(0)
                with m.If(timer.done):
                    advance()
            with m.State("START"):
                m.next = "ENGINE"
                with m.Switch(word[:OPCODE_BITS]):
                    for op, engine in engines.items():
                        with m.Case(op):
                            with m.If(refused(word, op, registers, self.geometry)):
                                refuse()
                            with m.Else():
                                m.d.comb += getattr(self, f"start_{engine.name}").eq(1)
            with m.State("ENGINE"):
                m.d.comb += self.active.eq(0)
                with m.If(self.engine_done):
                    advance()
                with m.If(self.engine_done & self.engine_fault):
                    refuse()
            with m.State("HALT"):
                m.d.sync += [self.cycles.eq(self.now - begun), self.owner.eq(SEQUENCER)]
                m.next = "DONE"
            with m.State("DONE"):
                m.d.comb += self.done.eq(1)
                m.d.sync += self.running.eq(0)
                m.next = "IDLE"
        return m
