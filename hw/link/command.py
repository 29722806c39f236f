"""Executes requests and sends replies and events."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..geometry import Geometry
from ..ram import Ram
from .frame import BodyToken
from .microcode import (
    ADDRESS_BITS,
    COUNTER_BITS,
    TAPS,
    WORD_BITS,
    Condition,
    Function,
    Kind,
    Mapped,
    Source,
    Strobe,
)
from .program import CYCLES, HEALTH, RESULT, assemble
from .protocol import (
    HEALTH_BODY,
    LIMIT_VALUE_BYTES,
    MAX_PAYLOAD,
    REFUSAL_BITS,
    REFUSAL_SHIFT,
    TRAP_BITS,
    Info,
)


class MemoryBusSignature(wiring.Signature):
    """The link's side of the controller's memories.

    Members
    -------
    space, address : Out
        Stable during a strobe and in the cycle after it.
    write_data : Out(64)
        The word, zero-extended.
    write, read : Out(1)
        Strobes.
    read_data : In(64)
        The word, in the cycle after ``read``.
    adopted : In(1)
        The profile's memory is locked.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "space": Out(4),
                "address": Out(16),
                "write_data": Out(64),
                "write": Out(1),
                "read": Out(1),
                "read_data": In(64),
                "adopted": In(1),
            }
        )


class RunSignature(wiring.Signature):
    """The link's side of the sequencer.

    Members
    -------
    run : Out(1)
        Strobe; ``run_address`` and ``run_epoch`` are valid with it.
    running : In(1)
        High from the cycle after ``run`` until ``done``.
    done : In(1)
        Strobe at the end of a run.
    cycles, saturations, illegal, stopped, refusal, trap, trap_address : In
        Of the last run: valid with ``done`` and stable until the next ``run``.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "run": Out(1),
                "run_address": Out(16),
                "run_epoch": Out(32),
                "running": In(1),
                "done": In(1),
                "cycles": In(64),
                "saturations": In(32),
                "illegal": In(1),
                "stopped": In(1),
                "refusal": In(REFUSAL_BITS),
                "trap": In(TRAP_BITS),
                "trap_address": In(16),
            }
        )


class GuardSignature(wiring.Signature):
    """The link's side of the guard.

    Members
    -------
    heard : Out(1)
        Strobe: the host has sent a good frame.
    abort, clear : Out(1)
        Strobes of the requests of those names.
    limit, limit_index, limit_value : Out
        Strobe of a LIMIT; index and value are stable before it, for the answer:
    limit_raises, limit_locked, limit_excludes : In(1)
        Why it is refused; looked at eight cycles after index and value have settled, or later.
    safe, cause : In(1)
        The guard is in its safe state; the cause is still there.
    health : In(64)
        :data:`~ohmloom.hw.link.protocol.HEALTH_BODY`.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "heard": Out(1),
                "abort": Out(1),
                "clear": Out(1),
                "limit": Out(1),
                "limit_index": Out(8),
                "limit_value": Out(8 * LIMIT_VALUE_BYTES),
                "limit_raises": In(1),
                "limit_locked": In(1),
                "limit_excludes": In(1),
                "safe": In(1),
                "cause": In(1),
                "health": In(8 * HEALTH_BODY.size),
            }
        )


class LogSignature(wiring.Signature):
    """What the link counts for the log, whose first word it is.

    Members
    -------
    written, lost : In(1)
        An entry that was written, or an event that was lost, has not been counted yet.
    count_written, count_lost : Out(1)
        Strobes: one has been.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "written": In(1),
                "lost": In(1),
                "count_written": Out(1),
                "count_lost": Out(1),
            }
        )


class CommandProcessor(wiring.Component):
    """One request at a time: check all of it, execute, reply.

    What changes something (:data:`~ohmloom.hw.link.protocol.CHANGES`) is executed in the
    order of its numbers, and the last ``window`` of them are remembered by seq, kind and
    status: the same again is answered from that and not executed. An ABORT is executed
    whatever its number.

    A small microprogrammed processor: what it does is in
    :mod:`~ohmloom.hw.link.program`, its instructions are in
    :mod:`~ohmloom.hw.link.microcode`. An instruction takes two cycles, in the first of
    which its operand is read and a branch is decided, and more while it waits for a byte
    of the frame, for a byte of the reply to go, or for something to do.

    Members
    -------
    i : stream of bytes
        Of a good frame without CRC, from its first one on.
    held : In(1)
        There is a good frame.
    length : In
        Bytes of its payload.
    release : Out(1)
        Strobe: it has been used.
    dropped : In(1)
        A frame was dropped that has not been counted yet.
    counted : Out(1)
        Strobe: one of them has been.
    o : stream of :class:`BodyToken`
        Replies and events without CRC.
    memory : Out(MemoryBusSignature)
    core : Out(RunSignature)
    guard : Out(GuardSignature)
    log : Out(LogSignature)
    active : Out(1)
        A request is being answered, or an event waits. (While one is executed, its
        frame is held.)
    """

    def __init__(self, geometry: Geometry, clk_hz: int, front_end: str = "") -> None:
        self.geometry = geometry
        self.clk_hz = clk_hz
        self.front_end = front_end
        # Internal state, named for who follows the program: where it is, a strobe with which
        # that instruction is fetched, and whether a branch has led there.
        self.counter, self.fetching, self.jumped = Signal(COUNTER_BITS), Signal(), Signal()
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "held": In(1),
                "length": In(range(MAX_PAYLOAD + 1)),
                "release": Out(1),
                "dropped": In(1),
                "counted": Out(1),
                "o": Out(stream.Signature(BodyToken)),
                "memory": Out(MemoryBusSignature()),
                "core": Out(RunSignature()),
                "guard": Out(GuardSignature()),
                "log": Out(LogSignature()),
                "active": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bus, core, guard = self.memory, self.core, self.guard
        info = Info.of(self.geometry, self.clk_hz, self.front_end).pack()
        words, contents = assemble(self.geometry, info)
        m.submodules.code = code = Ram(WORD_BITS, 1 << COUNTER_BITS, words)
        m.submodules.scratch = scratch = Ram(8, 1 << ADDRESS_BITS, contents)

        word = Signal(64)
        accumulator, carry = Signal(8), Signal()
        index = Signal(ADDRESS_BITS)
        counter = self.counter
        # After a reset the control store has nothing yet: its first word is fetched.
        execute, started = Signal(init=1), Signal()
        done, answering = Signal(), Signal()
        wait, go = Signal(), Signal()

        # The instruction, and its operand.
        branch, kind = code.read.data[15], code.read.data[12:15]
        function, address = code.read.data[9:11], code.read.data[:ADDRESS_BITS]
        operand = Signal(8)
        loading = ~branch & (kind == Kind.LOAD)

        # What it is, told in the first cycle: a block RAM's word comes late in a cycle.
        takes, sends, rests, stores, counts = (
            Signal(name=name) for name in ("takes", "sends", "rests", "stores", "counts")
        )
        strobes = Signal(max(Strobe) + 2)
        strobing = ~branch & (kind == Kind.STROBE)
        with m.If(~execute):
            m.d.sync += [
                takes.eq(
                    (loading & (address[:2] == Source.FRAME)) | (~branch & (kind == Kind.ALU_TAKE))
                ),
                sends.eq(~branch & (kind == Kind.SEND)),
                rests.eq(strobing & code.read.data[11]),
                stores.eq(~branch & (kind == Kind.STORE)),
                counts.eq(~branch & (~kind[2] | (kind == Kind.LOAD))),
            ]
        # Only what rests waits, and that has no strobe.
        m.d.sync += strobes.eq(Mux(~execute & strobing, code.read.data[: len(strobes)], 0))
        idle = ~(done | self.dropped | self.log.written | self.log.lost | self.held)
        waits = (takes & ~self.i.valid) | (sends & ~self.o.ready) | (rests & idle)
        m.d.comb += [
            wait.eq(started & waits),
            go.eq(started & execute & ~wait),
            code.read.addr.eq(counter),
            self.fetching.eq(execute & ~wait),
            code.read.en.eq(self.fetching),
            scratch.read.addr.eq(address | Mux(code.read.data[8], index, 0)),
            scratch.read.en.eq(~execute),
            operand.eq(scratch.read.data),
        ]
        with m.If(loading), m.Switch(address[:2]):
            with m.Case(Source.FRAME):
                m.d.comb += operand.eq(self.i.payload)
            with m.Case(Source.WORD):
                m.d.comb += operand.eq(word[:8])
            with m.Case(Source.LENGTH_LOW):
                m.d.comb += operand.eq(self.length[:8])
            with m.Case(Source.LENGTH_HIGH):
                m.d.comb += operand.eq(self.length[8:])

        # What a branch looks at.
        tests = {
            Condition.ALWAYS: Const(1),
            Condition.ZERO: accumulator == 0,
            Condition.CARRY: carry,
            Condition.DONE: done,
            Condition.DROPPED: self.dropped,
            Condition.RUNNING: core.running,
            Condition.SAFE: guard.safe,
            Condition.CAUSE: guard.cause,
            Condition.RAISES: guard.limit_raises,
            Condition.LOCKED: guard.limit_locked,
            Condition.EXCLUDES: guard.limit_excludes,
            Condition.ADOPTED: bus.adopted,
            Condition.WRITTEN: self.log.written,
            Condition.LOST: self.log.lost,
        }
        true = Signal()
        with m.Switch(code.read.data[11:15]):
            for test, value in tests.items():
                with m.Case(test):
                    m.d.comb += true.eq(value)
        high, low = TAPS

        # First cycle: read, decide. Second one: execute, fetch.
        m.d.sync += [started.eq(1), execute.eq(~execute | wait)]
        with m.If(~execute):
            m.d.sync += counter.eq(Cat(~(counter[high] ^ counter[low]), counter[:-1]))
            jumps = branch & (true ^ code.read.data[10])
            m.d.sync += self.jumped.eq(jumps)
            with m.If(jumps):
                m.d.sync += counter.eq(code.read.data[:COUNTER_BITS])
            with m.If(~branch & code.read.data[11]):
                m.d.sync += accumulator.eq(0)

        # Accumulator plus something: AND is accumulator - (accumulator & ~operand).
        addend, carry_in, total = Signal(8), Signal(), Signal(10)
        with m.Switch(function):
            with m.Case(Function.ADD):
                m.d.comb += addend.eq(operand)
            with m.Case(Function.SUB):
                m.d.comb += addend.eq(~operand)
            with m.Case(Function.AND):
                m.d.comb += addend.eq(~(accumulator & ~operand))
            with m.Case(Function.OR):
                m.d.comb += addend.eq(~accumulator & operand)
        chained = kind == Kind.ALU_CARRY
        subtracts = (function == Function.SUB) | (function == Function.AND)
        m.d.comb += [
            carry_in.eq(Mux(chained, carry, subtracts)),
            total.eq(Cat(carry_in, accumulator) + Cat(carry_in, addend)),
        ]
        with m.If(go & counts):
            m.d.sync += accumulator.eq(total[1:9])
            with m.If(~function[1]):
                m.d.sync += carry.eq(total[9])

        # Scratch bytes, and those that are registers as well.
        m.d.comb += [
            scratch.write.addr.eq(scratch.read.addr),
            scratch.write.data.eq(accumulator),
            scratch.write.en.eq(go & stores),
            bus.space.eq(index),
        ]
        assert min(Mapped) == Mapped.INDEX and min(Mapped) & 3 == 0
        with m.If(go & stores & address[2:].all()), m.Switch(address[:2]):
            with m.Case(Mapped.INDEX & 3):
                m.d.sync += index.eq(accumulator)
            with m.Case(Mapped.ADDRESS_LOW & 3):
                m.d.sync += bus.address[:8].eq(accumulator)
            with m.Case(Mapped.ADDRESS_HIGH & 3):
                m.d.sync += bus.address[8:].eq(accumulator)

        reading = Signal()  # the word is there in this cycle
        m.d.sync += reading.eq(strobes[Strobe.READ])
        select = strobes[Strobe.SELECT :]
        m.d.comb += [
            bus.read.eq(strobes[Strobe.READ]),
            bus.write.eq(strobes[Strobe.WRITE]),
            core.run.eq(strobes[Strobe.RUN]),
            guard.abort.eq(strobes[Strobe.ABORT]),
            guard.clear.eq(strobes[Strobe.CLEAR]),
            guard.limit.eq(strobes[Strobe.LIMIT]),
            guard.heard.eq(strobes[Strobe.RELEASE]),
            self.release.eq(strobes[Strobe.RELEASE]),
            self.counted.eq(strobes[Strobe.COUNTED] & ~select.any()),
            self.log.count_written.eq(strobes[Strobe.COUNTED] & select[0]),
            self.log.count_lost.eq(strobes[Strobe.COUNTED] & select[1]),
        ]

        # The word: bytes go in at the top and out at the bottom, or all of it is loaded.
        shifts = go & (takes | sends | (~branch & (kind == Kind.ALU_SHIFT)))
        result = Cat(
            core.saturations,
            core.illegal,
            core.stopped,
            core.refusal,
            Const(0, 8 - REFUSAL_SHIFT - REFUSAL_BITS),
            core.trap,
            Const(0, 8 - TRAP_BITS),
            core.trap_address,
        )
        assert (CYCLES, RESULT, HEALTH) == (1, 2, 3)
        wide = _one_of_four(select, bus.read_data, core.cycles, result, guard.health)
        with m.If(reading | select.any() | shifts):
            shifted = Cat(word[8:], Mux(takes, self.i.payload, 0))
            m.d.sync += word.eq(Mux(shifts, shifted, wide))
        # Six bytes behind the kind, in RUN and LIMIT, end at the top of it.
        m.d.comb += [
            bus.write_data.eq(word),
            core.run_address.eq(word[16:32]),
            core.run_epoch.eq(word[32:64]),
            guard.limit_index.eq(word[16:24]),
            guard.limit_value.eq(word[24:64]),
        ]

        m.d.comb += [
            self.i.ready.eq(go & takes),
            self.o.valid.eq(started & execute & sends),
            self.o.payload.data.eq(accumulator),
            self.o.payload.end.eq(address[0]),
            self.active.eq(answering | done | core.done),
        ]
        with m.If(strobes[Strobe.RELEASE] | strobes[Strobe.EVENT]):
            m.d.sync += answering.eq(1)
        with m.Elif(go & sends & address[0]):
            m.d.sync += answering.eq(0)
        # A run that ends just now is never forgotten.
        with m.If(core.done):
            m.d.sync += done.eq(1)
        with m.Elif(strobes[Strobe.EVENT]):
            m.d.sync += done.eq(0)
        return m


def _one_of_four(select: Value, *values: Value) -> Value:
    """The selected one, in a form that takes two tables of four inputs for each bit."""
    low, high = select[0], select[1]
    bits = []
    for a, b, c, d in zip(*values, strict=True):
        first = Mux(high, low, Mux(low, b, a))
        bits.append(Mux(high, Mux(first, d, c), first))
    return Value.cast(Cat(*bits))
