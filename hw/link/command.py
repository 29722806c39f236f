"""Executes requests and sends replies and events."""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..geometry import Geometry
from .cobs import FrameByte
from .protocol import (
    ACCESS,
    CHANGES,
    DONE,
    DONE_BODY,
    HEALTH_BODY,
    LIMIT_BYTES,
    LIMIT_VALUE_BYTES,
    MAX_PAYLOAD,
    MAX_READ,
    READ_HEAD,
    REFUSAL_BITS,
    REFUSAL_SHIFT,
    REPLY,
    RUN_HEAD,
    STATUS_BODY,
    TRAP_BITS,
    WRITE_HEAD,
    Info,
    Kind,
    Limit,
    Space,
    Status,
    depth,
)

KNOWN = data.StructLayout({"kind": 8, "status": 4})
"""What is remembered of a request."""


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
        Why it is refused.
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


class CommandProcessor(wiring.Component):
    """One request at a time: check all of it, execute, reply.

    What changes something (:data:`CHANGES`) is executed in the order of its numbers, and
    the last ``window`` of them are remembered by seq, kind and status: the same again is
    answered from that and not executed. An ABORT is executed whatever its number.

    Members
    -------
    i : stream of :class:`FrameByte`
        Good frames without CRC.
    length, good, bad : In
        Payload bytes of the frame on ``i``; frame counters. See ``FrameReceiver``.
    o : stream of :class:`FrameByte`
        Replies and events without CRC.
    memory : Out(MemoryBusSignature)
    core : Out(RunSignature)
    guard : Out(GuardSignature)
    active : Out(1)
        A request is being executed or answered, or an event waits.
    """

    def __init__(self, geometry: Geometry, clk_hz: int, front_end: str = "") -> None:
        self.geometry = geometry
        self.clk_hz = clk_hz
        self.front_end = front_end
        super().__init__(
            {
                "i": In(stream.Signature(FrameByte)),
                "length": In(range(MAX_PAYLOAD + 1)),
                "good": In(32),
                "bad": In(32),
                "o": Out(stream.Signature(FrameByte)),
                "memory": Out(MemoryBusSignature()),
                "core": Out(RunSignature()),
                "guard": Out(GuardSignature()),
                "active": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bus, core, guard, byte = self.memory, self.core, self.guard, self.i.payload.data

        seq, kind, status = Signal(8), Signal(8), Signal(8)
        ended = Signal()  # the last byte of the request has been taken
        head = Signal(8 * RUN_HEAD.size)  # the payload's first bytes
        count = Signal(range(MAX_PAYLOAD + 1))  # words still to be read for the reply
        lane = Signal(3)  # byte of the word
        word = Signal(64)
        run_seq = Signal(8)
        done = Signal()  # an event waits
        # The last changing requests, by the lowest bits of their numbers.
        window = self.geometry.window
        known = Signal(range(window + 1))  # how many
        known_seq = Signal(8)  # of the last of them, or of the PING that made it forget them
        counting = Signal()  # one of these has been there since the reset
        slots = [Signal(KNOWN, name=f"known{i}") for i in range(window)]
        place = seq[: (window - 1).bit_length()]
        behind = Signal(8)  # how many numbers it is behind the last

        # Bodies of replies, one after the other: the status, whose tail is also
        # the body of the event, and the constant description.
        info = Info.of(self.geometry, self.clk_hz, self.front_end).pack()
        bodies = Cat(
            core.running,
            Const(0, 7),
            self.good,
            self.bad,
            core.cycles,
            core.saturations,
            core.illegal,
            core.stopped,
            core.refusal,
            Const(0, 8 - REFUSAL_SHIFT - REFUSAL_BITS),
            core.trap,
            Const(0, 8 - TRAP_BITS),
            core.trap_address,
            Const(int.from_bytes(info, "little"), 8 * len(info)),
            guard.health,
        )
        status_end, info_end = STATUS_BODY.size, STATUS_BODY.size + len(info)
        body = Signal()  # the reply has one of them, from ``index`` to ``end``
        health_end = info_end + HEALTH_BODY.size
        index, end = Signal(range(health_end)), Signal(range(health_end))

        def attach(start: int, stop: int) -> None:
            m.d.sync += [body.eq(1), index.eq(start), end.eq(stop - 1)]

        # The verdict is registered: what it starts waits for no comparison.
        finding, verdict, words, last_lane = Signal(8), Signal(8), Signal(16), Signal(3)
        self._judge(m, kind, head, finding, words, last_lane)
        changes = reduce(or_, (kind == change for change in CHANGES))
        slot_kind, slot_status = Signal(8), Signal(4)
        for i, slot in enumerate(slots):
            with m.If(place == i if window > 1 else Const(1)):
                m.d.comb += [slot_kind.eq(slot.kind), slot_status.eq(slot.status)]
        repeated = changes & (behind < known) & (slot_kind == kind)
        follows = ~counting | (behind == 0xFF)
        gap = changes & ~follows & (kind != Kind.ABORT)

        m.d.sync += behind.eq(known_seq - seq)
        m.d.comb += [
            bus.space.eq(head),
            bus.write_data.eq(word),
            core.run_address.eq(head[0:16]),
            core.run_epoch.eq(head[16:48]),
            guard.limit_index.eq(head[0:8]),
            guard.limit_value.eq(head[8:]),
        ]
        taken, sent = self.i.valid & self.i.ready, self.o.valid & self.o.ready
        with m.If(taken):
            m.d.sync += ended.eq(self.i.payload.last)

        def put(value: Value, last: Value | int = 0) -> None:
            out = self.o.payload
            m.d.comb += [self.o.valid.eq(1), out.data.eq(value), out.last.eq(last)]

        with m.FSM() as fsm:
            m.d.comb += self.active.eq(~fsm.ongoing("idle") | done | core.done)

            with m.State("idle"):
                with m.If(done):
                    m.d.sync += [
                        seq.eq(run_seq),
                        kind.eq(DONE),
                        status.eq(Status.OK),
                        done.eq(0),
                    ]
                    attach(status_end - DONE_BODY.size, status_end)
                    m.next = "reply seq"
                with m.Else():
                    m.d.comb += self.i.ready.eq(1)
                    with m.If(taken):
                        m.d.sync += seq.eq(byte)
                        m.next = "kind"

            with m.State("kind"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += index.eq(0)
                with m.If(taken):
                    m.d.sync += kind.eq(byte)
                    m.next = "head"
                    with m.If(self.i.payload.last):
                        m.next = "weigh"

            with m.State("head"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(taken):
                    m.d.sync += [head.word_select(index, 8).eq(byte), index.eq(index + 1)]
                    full = index == Mux(kind == Kind.WRITE, WRITE_HEAD.size, RUN_HEAD.size) - 1
                    with m.If(self.i.payload.last | full):
                        m.next = "weigh"

            with m.State("weigh"):
                m.d.sync += verdict.eq(finding)
                m.next = "judge"

            with m.State("judge"):
                m.d.sync += [
                    status.eq(verdict),
                    bus.address.eq(head[8:24]),
                    lane.eq(0),
                ]
                m.next = "drain"
                m.d.comb += guard.heard.eq(1)
                with m.If(repeated):
                    m.d.sync += status.eq(slot_status)
                with m.Elif(gap):
                    m.d.sync += status.eq(Status.GAP)
                with m.Else():
                    with m.If(changes):
                        m.d.sync += [
                            known.eq(Mux(~follows, 1, Mux(known == window, window, known + 1))),
                            known_seq.eq(seq),
                            counting.eq(1),
                        ]
                        for i, slot in enumerate(slots):
                            with m.If(place == i if window > 1 else Const(1)):
                                m.d.sync += [slot.kind.eq(kind), slot.status.eq(verdict)]
                    with m.If(verdict == Status.OK), m.Switch(kind):
                        with m.Case(Kind.PING):
                            m.d.sync += [known.eq(0), known_seq.eq(seq), counting.eq(1)]
                            attach(status_end, info_end)
                        with m.Case(Kind.STATUS):
                            attach(0, status_end)
                        with m.Case(Kind.READ):
                            m.d.sync += count.eq(words)
                        with m.Case(Kind.WRITE), m.If(~ended):
                            m.next = "gather"
                        with m.Case(Kind.RUN):
                            m.next = "run"
                        with m.Case(Kind.ABORT):
                            m.d.comb += guard.abort.eq(1)
                        with m.Case(Kind.CLEAR):
                            m.d.comb += guard.clear.eq(1)
                        with m.Case(Kind.HEALTH):
                            attach(info_end, health_end)
                        with m.Case(Kind.LIMIT):
                            m.d.comb += guard.limit.eq(1)

            with m.State("gather"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(taken):
                    m.d.sync += [word.word_select(lane, 8).eq(byte), lane.eq(lane + 1)]
                    with m.If(lane == 0):
                        m.d.sync += word.eq(byte)
                    with m.If(lane == last_lane):
                        m.next = "write"

            with m.State("write"):
                m.d.comb += bus.write.eq(1)
                m.d.sync += [bus.address.eq(bus.address + 1), lane.eq(0)]
                m.next = "gather"
                with m.If(ended):
                    m.next = "drain"

            with m.State("run"):
                m.d.comb += core.run.eq(1)
                m.d.sync += run_seq.eq(seq)
                m.next = "drain"

            with m.State("drain"):
                m.d.comb += self.i.ready.eq(~ended)
                with m.If(ended):
                    m.next = "reply seq"

            with m.State("reply seq"):
                put(seq)
                with m.If(sent):
                    m.next = "reply kind"

            with m.State("reply kind"):
                put(kind | REPLY)
                with m.If(sent):
                    m.next = "reply status"

            with m.State("reply status"):
                put(status, last=~body & (count == 0))
                with m.If(sent):
                    m.next = "idle"
                    with m.If(body):
                        m.next = "reply body"
                    with m.Elif(count != 0):
                        m.next = "read"

            with m.State("reply body"):
                put(bodies.word_select(index, 8), last=index == end)
                with m.If(sent):
                    m.d.sync += index.eq(index + 1)
                    with m.If(index == end):
                        m.d.sync += body.eq(0)
                        m.next = "idle"

            with m.State("read"):
                m.d.comb += bus.read.eq(1)
                m.d.sync += count.eq(count - 1)
                m.next = "fetch"

            with m.State("fetch"):
                m.d.sync += [
                    word.eq(bus.read_data),
                    bus.address.eq(bus.address + 1),
                    lane.eq(0),
                ]
                m.next = "reply word"

            with m.State("reply word"):
                final = lane == last_lane
                put(word[0:8], last=final & (count == 0))
                with m.If(sent):
                    m.d.sync += [word.eq(word >> 8), lane.eq(lane + 1)]
                    with m.If(final):
                        m.next = "read"
                        with m.If(count == 0):
                            m.next = "idle"

        # After the state machine: a run that ends just now is never forgotten.
        with m.If(core.done):
            m.d.sync += done.eq(1)
        return m

    def _judge(
        self,
        m: Module,
        kind: Signal,
        head: Signal,
        verdict: Signal,
        words: Signal,
        last_lane: Signal,
    ) -> None:
        """Status of the request from its kind, head and length.

        ``words`` is the number it moves and ``last_lane`` the index of a word's
        last byte; that one is valid as long as ``head`` stays.
        """
        address, busy = head[8:24], self.core.running
        size_log2, words_in_space, read_limit = Signal(2), Signal(17), Signal(10)
        readable, writable = Signal(), Signal()
        with m.Switch(head[0:8]):
            for space, access in ACCESS.items():
                with m.Case(space):
                    m.d.comb += [
                        size_log2.eq(access.word_bytes.bit_length() - 1),
                        words_in_space.eq(depth(space, self.geometry)),
                        read_limit.eq(MAX_READ // access.word_bytes),
                        readable.eq(access.readable),
                        writable.eq(access.writable),
                    ]
        data_bytes = Signal(range(MAX_PAYLOAD + 1))
        m.d.comb += [
            last_lane.eq((1 << size_log2) - 1),
            data_bytes.eq(self.length - WRITE_HEAD.size),
            verdict.eq(Status.OK),
        ]
        beyond = address + words > words_in_space

        def first_of(*checks: tuple[Value, Status]) -> None:
            """The status of the first check that is true."""
            for failed, status in reversed(checks):
                with m.If(failed):
                    m.d.comb += verdict.eq(status)

        with m.Switch(kind):
            with m.Case(Kind.PING, Kind.STATUS):
                first_of((self.length != 0, Status.BAD_LENGTH))
            with m.Case(Kind.WRITE):
                m.d.comb += words.eq(data_bytes >> size_log2)
                first_of(
                    (self.length < WRITE_HEAD.size, Status.BAD_LENGTH),
                    (~writable, Status.BAD_SPACE),
                    ((data_bytes & last_lane) != 0, Status.BAD_LENGTH),
                    (beyond, Status.BAD_ADDRESS),
                    (busy, Status.BUSY),
                    (self.memory.adopted & (head[0:8] == Space.PROFILE), Status.LOCKED),
                )
            with m.Case(Kind.READ):
                m.d.comb += words.eq(head[24:40])
                first_of(
                    (self.length != READ_HEAD.size, Status.BAD_LENGTH),
                    (~readable, Status.BAD_SPACE),
                    (words > read_limit, Status.BAD_LENGTH),
                    (beyond, Status.BAD_ADDRESS),
                    (busy & (head[0:8] != Space.LOG), Status.BUSY),
                )
            with m.Case(Kind.RUN):
                first_of(
                    (self.length != RUN_HEAD.size, Status.BAD_LENGTH),
                    (head[0:16] >= self.geometry.program_depth, Status.BAD_ADDRESS),
                    (busy, Status.BUSY),
                    (self.guard.safe, Status.SAFE),
                )
            with m.Case(Kind.ABORT, Kind.HEALTH):
                first_of((self.length != 0, Status.BAD_LENGTH))
            with m.Case(Kind.CLEAR):
                first_of((self.length != 0, Status.BAD_LENGTH), (self.guard.cause, Status.CAUSE))
            with m.Case(Kind.LIMIT):
                first_of(
                    (self.length != LIMIT_BYTES, Status.BAD_LENGTH),
                    (head[0:8] > max(Limit), Status.BAD_ADDRESS),
                    (busy, Status.BUSY),
                    (self.guard.limit_raises, Status.RAISES),
                    (self.guard.limit_locked, Status.LOCKED),
                    (self.guard.limit_excludes, Status.EXCLUDES),
                )
            with m.Default():
                m.d.comb += verdict.eq(Status.BAD_KIND)
