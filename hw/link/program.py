"""The microprogram of the command processor: what each request does. Plain Python.

See :mod:`~ohmloom.hw.link.microcode` for its instructions.
"""

from __future__ import annotations

from ..geometry import Geometry
from .microcode import At, Condition, Kind, Program, Source, Strobe
from .protocol import (
    ACCESS,
    DONE,
    LIMIT_BYTES,
    MAX_READ,
    READ_HEAD,
    REPLY,
    RUN_HEAD,
    WRITE_HEAD,
    Limit,
    Space,
    Status,
    depth,
)
from .protocol import Kind as Request

SPACES = 16
"""Rows of a table by space; the last one is of none that exists."""
INFO = 0
TABLES = 64
READABLE, WRITABLE = 1, 2
PLAIN, INFO_BODY, STATUS_BODY, HEALTH_BODY, WORDS_BODY, DONE_BODY = range(6)
"""What follows the status of a reply."""
COUNTED_WRITTEN, COUNTED_LOST = 1 | 1 << 2, 1 | 1 << 3
"""Of what the log's entries have been counted, along with the strobe for frames."""
CYCLES, RESULT, HEALTH = 1, 2, 3
"""Wide words that are sent (:attr:`~ohmloom.hw.link.microcode.Strobe.SELECT`)."""
WORD_BYTES = 8
FLAGS, SIZE, DEPTH = TABLES, TABLES + SPACES, TABLES + 2 * SPACES
"""Tables by space: what may be done, bytes of a word, and bytes of all, in three."""
SLOTS = DEPTH + 3 * SPACES
"""Kind and status of the changing requests that are remembered."""


def _tables(geometry: Geometry, info: bytes) -> list[int]:
    """What scratch memory begins with."""
    assert len(info) <= TABLES and geometry.window <= SPACES
    rows: list[list[int]] = [[0] * SPACES for _ in range(5)]
    for space, access in ACCESS.items():
        size = depth(space, geometry) * access.word_bytes
        flags = READABLE * access.readable | WRITABLE * access.writable
        for row, value in zip(
            rows, (flags, access.word_bytes, *size.to_bytes(3, "little")), strict=True
        ):
            row[space] = value
    known = [0] * (2 * SPACES)
    return [*info.ljust(TABLES, b"\0"), *(value for row in rows for value in row), *known]


class _Writer:
    """Writes the program; numbers of several bytes are variables ``name0``, ``name1``..."""

    def __init__(self, geometry: Geometry, info: bytes) -> None:
        self.geometry = geometry
        self.info = info
        self.p = p = Program(_tables(geometry, info))
        # Counters of four bytes, at multiples of four. Frames, as in STATUS, and the log's
        # head, as it is read.
        assert len(p.scratch) % 4 == 0
        p.reserve(*(f"{name}{i}" for name in ("good", "bad", "written") for i in range(4)))
        p.reserve("lost0", "lost1")
        p.scratch += geometry.log_depth.to_bytes(2, "little")
        p.reserve("known", "counting", "known_seq", "behind")
        p.reserve("seq", "kind", "status", "body", "changing", "run_seq")
        p.reserve("length0", "length1", "address0", "address1", "address2")
        p.reserve("bytes0", "bytes1", "bytes2", "left", "unit", "end")

    def write(self) -> Program:
        """The whole."""
        self.idle()
        self.receive()
        self.remember()
        self.simple_requests()
        self.run()
        self.limit()
        self.memory()
        self.reply()
        return self.p

    # Several bytes, from the lowest up.

    def add_to(self, name: str, amount: int | str, size: int) -> None:
        """name += amount, a byte or a variable of as many."""
        p = self.p
        for i in range(size):
            kind = Kind.ALU_CARRY if i else Kind.ALU
            p.load(f"{name}{i}")
            p.add(f"{amount}{i}" if isinstance(amount, str) else (0 if i else amount), kind)
            p.store(f"{name}{i}")

    def refuse_unless_long(self, size: int) -> None:
        """BAD_LENGTH unless the payload has this size."""
        p = self.p
        p.load("length0")
        if size:
            p.sub(size)
        p.either("length1")
        p.branch(Condition.ZERO, "bad_length", unless=True)

    def take(self, *names: str) -> None:
        """The next bytes of the frame."""
        for name in names:
            self.p.load(Source.FRAME)
            self.p.store(name)

    def take_more(self, count: int) -> None:
        """The next bytes into the word only."""
        for _ in range(count):
            self.p.add(0, Kind.ALU_TAKE)

    def idle(self) -> None:
        """Between requests."""
        p = self.p
        counters = p.address("good0")
        p.load(0)
        p.store("known", "counting", "lost0", "lost1")
        p.load(counters)
        p.label("reset")
        p.store("INDEX")
        p.load(0)
        p.store(At(0))
        p.load("INDEX")
        p.add(1)
        p.store("behind")
        p.sub(p.address("lost0"))
        p.load("behind")
        p.branch(Condition.CARRY, "reset", unless=True)

        p.label("idle")
        p.rest()
        p.branch(Condition.DONE, "event")
        for name in ("dropped", "written", "lost"):
            p.branch(Condition[name.upper()], name)
        p.load(counters)  # a good frame then
        p.jump("count")
        p.label("written")
        p.strobe(Strobe.COUNTED, COUNTED_WRITTEN)
        p.load(p.address("written0"))
        p.jump("count")
        p.label("dropped")
        p.strobe(Strobe.COUNTED)
        p.load(p.address("bad0"))
        p.label("count")
        p.store("INDEX")
        p.load(At(0))
        p.add(1)
        p.store(At(0))
        p.branch(Condition.CARRY, "counted", unless=True)
        p.load("INDEX")
        p.add(1)
        p.store("behind")
        p.both(3)
        p.branch(Condition.ZERO, "counted")
        p.load("behind")
        p.jump("count")
        p.label("counted")
        p.load("INDEX")
        p.sub(counters + 4)
        p.branch(Condition.CARRY, "idle")
        p.jump("good")

        p.label("lost")
        p.strobe(Strobe.COUNTED, COUNTED_LOST)
        self.add_to("lost", 1, 2)
        p.branch(Condition.CARRY, "idle", unless=True)
        p.load(0xFF)
        p.store("lost0", "lost1")
        p.jump("idle")

        p.label("event")
        p.strobe(Strobe.EVENT)
        p.load("run_seq")
        p.store("seq")
        p.load(DONE)
        p.store("kind")
        p.load(DONE_BODY)
        p.store("body")
        p.load(Status.OK)
        p.store("status")
        p.jump("answer")

    def receive(self) -> None:
        """A good frame: counted, and its request told."""
        p = self.p
        p.label("good")
        self.take("seq", "kind")
        p.load(Source.LENGTH_LOW)
        p.store("length0")
        p.load(Source.LENGTH_HIGH)
        p.store("length1")
        p.load(0)
        p.store("body", "changing")
        self.by_kind(
            {
                Request.PING: "ping",
                Request.WRITE: "change",
                Request.READ: "read",
                Request.RUN: "change",
                Request.STATUS: "status",
                Request.ABORT: "change",
                Request.CLEAR: "change",
                Request.HEALTH: "health",
                Request.LIMIT: "change",
            }
        )
        p.jump("bad_kind")

    def by_kind(self, labels: dict[Request, str]) -> None:
        """To the label of the request's kind."""
        p, before = self.p, 0
        p.load("kind")
        for kind in sorted(labels):
            p.sub(kind - before)
            p.branch(Condition.ZERO, labels[kind])
            before = kind

    def place(self) -> None:
        """The index is that of what is remembered under this number."""
        p = self.p
        p.load("seq")
        p.both(self.geometry.window - 1)
        p.store("INDEX")

    def remember(self) -> None:
        """Requests that change something: in order, and none twice."""
        p, window = self.p, self.geometry.window
        p.label("change")
        self.place()
        p.load("known_seq")
        p.sub("seq")
        p.store("behind")
        p.sub("known")
        p.branch(Condition.CARRY, "new")
        p.load("kind")
        p.sub(At(SLOTS))
        p.branch(Condition.ZERO, "new", unless=True)
        p.load(At(SLOTS + SPACES))
        p.store("status")
        p.jump("reply")

        p.label("new")
        p.load("counting")
        p.branch(Condition.ZERO, "follows")
        p.load("behind")
        p.add(1)
        p.branch(Condition.ZERO, "follows")
        p.load("kind")
        p.sub(Request.ABORT)
        p.branch(Condition.ZERO, "gap", unless=True)
        p.store("known")  # a zero
        p.label("follows")
        p.load("known")
        p.sub(window)
        p.branch(Condition.ZERO, "remembered")
        p.add(window + 1)
        p.store("known")
        p.label("remembered")
        p.load("kind")
        p.store(At(SLOTS))
        p.load(1)
        p.store("counting", "changing")
        p.load("seq")
        p.store("known_seq")
        self.by_kind(
            {
                Request.WRITE: "write",
                Request.RUN: "run",
                Request.ABORT: "abort",
                Request.CLEAR: "clear",
            }
        )
        p.jump("limit")

    def simple_requests(self) -> None:
        """Those without a payload."""
        p = self.p
        p.label("ping")
        self.refuse_unless_long(0)
        p.store("known")  # a zero
        p.load(1)
        p.store("counting")
        p.load("seq")
        p.store("known_seq")
        p.load(INFO_BODY)
        p.jump("body")

        p.label("status")
        self.refuse_unless_long(0)
        p.load(STATUS_BODY)
        p.jump("body")

        p.label("health")
        self.refuse_unless_long(0)
        p.load(HEALTH_BODY)
        p.label("body")
        p.store("body")
        p.jump("ok")

        p.label("abort")
        self.refuse_unless_long(0)
        p.strobe(Strobe.ABORT)
        p.jump("ok")

        p.label("clear")
        self.refuse_unless_long(0)
        p.branch(Condition.CAUSE, "cause")
        p.strobe(Strobe.CLEAR)
        p.jump("ok")

    def run(self) -> None:
        """RUN."""
        p = self.p
        p.label("run")
        self.refuse_unless_long(RUN_HEAD.size)
        self.take("address0", "address1")
        self.take_more(RUN_HEAD.size - 2)
        p.load("address0")
        p.sub(self.geometry.program_depth & 0xFF)
        p.load("address1")
        if self.geometry.program_depth < 1 << 16:
            p.sub(self.geometry.program_depth >> 8, Kind.ALU_CARRY)
            p.branch(Condition.CARRY, "bad_address")
        p.branch(Condition.RUNNING, "busy")
        p.branch(Condition.DONE, "busy")  # its end was not reported
        p.branch(Condition.SAFE, "safe")
        p.strobe(Strobe.RUN)
        p.load("seq")
        p.store("run_seq")
        p.jump("ok")

    def limit(self) -> None:
        """LIMIT. What the guard says of it is looked at last, when it has had time."""
        p = self.p
        p.label("limit")
        self.refuse_unless_long(LIMIT_BYTES)
        self.take("address0")
        self.take_more(LIMIT_BYTES - 1)
        p.load(max(Limit))
        p.sub("address0")
        p.branch(Condition.CARRY, "bad_address", unless=True)
        p.branch(Condition.RUNNING, "busy")
        p.branch(Condition.RAISES, "raises")
        p.branch(Condition.LOCKED, "locked")
        p.branch(Condition.EXCLUDES, "excludes")
        p.strobe(Strobe.LIMIT)
        p.jump("ok")

    def memory(self) -> None:
        """WRITE and READ. Addresses and numbers of words are judged in bytes."""
        p = self.p
        p.label("read")
        self.refuse_unless_long(READ_HEAD.size)
        p.jump("space")
        p.label("write")
        self.length_behind_head()
        p.branch(Condition.CARRY, "bad_length", unless=True)
        p.label("space")
        self.take("INDEX", "ADDRESS_LOW", "ADDRESS_HIGH")
        p.load("ADDRESS_LOW")
        p.store("address0")
        p.load("ADDRESS_HIGH")
        p.store("address1")
        p.load("INDEX")
        p.both(0x100 - SPACES)
        p.branch(Condition.ZERO, "bad_space", unless=True)
        p.store("address2", "bytes2")  # a zero
        self.unless_read("of_write")
        self.take("bytes0", "bytes1")
        p.load(READABLE)
        p.jump("allowed")
        p.label("of_write")
        p.load(WRITABLE)
        p.label("allowed")
        p.both(At(FLAGS))
        p.branch(Condition.ZERO, "bad_space")

        # Both times the bytes of a word, which are a power of two.
        p.load(1)
        p.label("scale")
        p.store("unit")
        p.sub(At(SIZE))
        p.branch(Condition.ZERO, "scaled")
        self.add_to("address", "address", 3)
        self.add_to("bytes", "bytes", 3)
        p.load("unit")
        p.add("unit")
        p.jump("scale")
        p.label("scaled")
        self.unless_read("whole_words")
        p.load(MAX_READ & 0xFF)
        p.sub("bytes0")
        p.load(MAX_READ >> 8)
        p.sub("bytes1", Kind.ALU_CARRY)
        p.load(0)
        p.sub("bytes2", Kind.ALU_CARRY)
        p.branch(Condition.CARRY, "range")
        p.jump("bad_length")
        p.label("whole_words")
        self.length_behind_head()
        p.load(0)
        p.store("bytes2")
        p.load(At(SIZE))
        p.sub(1)
        p.both("bytes0")
        p.branch(Condition.ZERO, "bad_length", unless=True)

        p.label("range")
        for i in range(3):
            p.load(At(DEPTH + i * SPACES))
            p.sub(f"address{i}", Kind.ALU_CARRY if i else Kind.ALU)
            p.store(f"address{i}")
        for i in range(3):
            p.load(f"address{i}")
            p.sub(f"bytes{i}", Kind.ALU_CARRY if i else Kind.ALU)
        p.both(0x80)
        p.branch(Condition.ZERO, "bad_address", unless=True)
        p.branch(Condition.RUNNING, "idle_memory", unless=True)
        p.load("INDEX")
        p.sub(Space.LOG)
        p.branch(Condition.ZERO, "busy", unless=True)
        p.label("idle_memory")
        self.unless_read("to_write")
        p.load(WORDS_BODY)
        p.store("body")
        p.jump("ok")

        p.label("to_write")
        p.load("INDEX")
        p.sub(Space.PROFILE)
        p.branch(Condition.ZERO, "write_word", unless=True)
        p.branch(Condition.ADOPTED, "locked")
        p.label("write_word")
        p.load("bytes0")
        p.either("bytes1")
        p.branch(Condition.ZERO, "ok")
        p.load("unit")
        p.label("gather")
        p.sub(1, Kind.ALU_TAKE)
        p.branch(Condition.ZERO, "gather", unless=True)
        p.load(WORD_BYTES)
        p.sub("unit")
        p.branch(Condition.ZERO, "gathered")
        p.label("fill")
        p.sub(1, Kind.ALU_SHIFT)
        p.branch(Condition.ZERO, "fill", unless=True)
        p.label("gathered")
        p.strobe(Strobe.WRITE)
        self.next_word()
        p.jump("write_word")

    def unless_read(self, target: str) -> None:
        """To ``target`` if the request is no READ."""
        self.p.load("kind")
        self.p.sub(Request.READ)
        self.p.branch(Condition.ZERO, target, unless=True)

    def length_behind_head(self) -> None:
        """bytes = length - the head's; the carry says that they are not negative."""
        p = self.p
        p.load("length0")
        p.sub(WRITE_HEAD.size)
        p.store("bytes0")
        p.load("length1")
        p.sub(0, Kind.ALU_CARRY)
        p.store("bytes1")

    def next_word(self) -> None:
        """The next address, and fewer bytes."""
        p = self.p
        p.load("ADDRESS_LOW")
        p.add(1)
        p.store("ADDRESS_LOW")
        p.load("ADDRESS_HIGH")
        p.add(0, Kind.ALU_CARRY)
        p.store("ADDRESS_HIGH")
        p.load("bytes0")
        p.sub("unit")
        p.store("bytes0")
        p.load("bytes1")
        p.sub(0, Kind.ALU_CARRY)
        p.store("bytes1")

    def reply(self) -> None:
        """Statuses, and all that is sent."""
        p = self.p
        for status in Status:
            p.label(status.name.lower())
            p.load(status)
            if status is not Status.GAP:
                p.jump("judged")
        p.store("status")
        p.jump("reply")

        p.label("judged")
        p.store("status")
        p.load("changing")
        p.branch(Condition.ZERO, "reply")
        self.place()
        p.load("status")
        p.store(At(SLOTS + SPACES))
        p.label("reply")
        p.strobe(Strobe.RELEASE)
        p.label("answer")
        for name, more in (("seq", 0), ("kind", REPLY), ("status", 0)):
            p.load(name)
            if more:
                p.either(more)
            p.send()
        p.load("body")
        p.branch(Condition.ZERO, "end")
        for label in ("info", "of_status", "of_health", "words"):
            p.sub(1)
            p.branch(Condition.ZERO, label)

        p.label("of_run")
        p.strobe(Strobe.SELECT, CYCLES)
        p.jump("wide")
        p.label("of_health")
        p.strobe(Strobe.SELECT, HEALTH)
        p.label("wide")
        p.load(WORD_BYTES)
        p.jump("word")
        p.label("words")
        p.load("bytes0")
        p.either("bytes1")
        p.branch(Condition.ZERO, "end")
        p.strobe(Strobe.READ)
        p.load("INDEX")
        p.sub(Space.LOG)
        p.either("ADDRESS_LOW")
        p.either("ADDRESS_HIGH")
        p.branch(Condition.ZERO, "of_log")
        self.next_word()
        p.load("unit")
        p.label("word")
        p.store("left")
        p.load(Source.WORD)
        p.send()
        p.load("left")
        p.sub(1)
        p.branch(Condition.ZERO, "word", unless=True)
        p.load("body")
        p.sub(WORDS_BODY)
        p.branch(Condition.ZERO, "words")
        p.add(WORDS_BODY - HEALTH_BODY)
        p.branch(Condition.ZERO, "end")
        p.strobe(Strobe.SELECT, RESULT)
        p.load(HEALTH_BODY)  # after which nothing follows
        p.store("body")
        p.jump("wide")

        p.label("of_status")
        p.load(0)
        p.branch(Condition.RUNNING, "idle_status", unless=True)
        p.load(1)
        p.label("idle_status")
        p.send()
        for label, first, size in (
            ("frames", p.address("good0"), 8),
            ("of_log", p.address("written0"), WORD_BYTES),
            ("info", INFO, len(self.info)),
        ):
            p.label(label)
            p.load(first)
            p.store("INDEX")
            p.load(first + size)
            p.jump("bytes")
        p.label("bytes")
        p.store("end")
        p.load(At(0))
        p.send()
        p.load("INDEX")
        p.add(1)
        p.store("INDEX")
        p.load("end")
        p.sub("INDEX")
        p.branch(Condition.ZERO, "more", unless=True)
        p.load("body")
        p.sub(STATUS_BODY)
        p.branch(Condition.ZERO, "of_run")
        p.sub(WORDS_BODY - STATUS_BODY)
        p.branch(Condition.ZERO, "end", unless=True)
        p.load(Space.LOG)
        p.store("INDEX")
        self.next_word()
        p.jump("words")

        p.label("end")
        p.send(end=True)
        p.jump("idle")
        p.label("more")
        p.load("end")
        p.jump("bytes")


def write(geometry: Geometry, info: bytes) -> Program:
    """The program of a controller that says ``info`` of itself."""
    return _Writer(geometry, info).write()


def assemble(geometry: Geometry, info: bytes) -> tuple[list[int], list[int]]:
    """Its control store and scratch memory."""
    return write(geometry, info).assembled()
