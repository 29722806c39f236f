"""The host's side of every request, without input or output.

An exchange is a generator. It yields a :class:`Step`: bytes to send and how
long to wait; it is sent the bytes that arrived meanwhile, ``b""`` when none
did; its return value is the result. Whoever drives it may be blocking
(``boards.link``) or a coroutine (``coroutine``); resending, matching, chunking
and refusals are here, once.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ...errors import OhmloomError
from ..image import Image
from ..profile import MODE_SENTENCES, PROFILE_SENTENCES, ModeStatus, ProfileStatus
from .codec import MAX_ENCODED, Frame, FrameDecoder, encode_frame
from .log_entry import Entry
from .needs import lacking
from .protocol import (
    ACCESS,
    ADOPT_REFUSAL,
    CHANGES,
    DELIMITER,
    DONE,
    DONE_BODY,
    HEALTH_BODY,
    ILLEGAL,
    INFO_BODY,
    INFO_HEAD,
    LIMIT_VALUE_BYTES,
    LOG_HEAD,
    MAGIC,
    MAX_READ,
    MAX_WRITE,
    READ_HEAD,
    REFUSAL_BITS,
    REFUSAL_SHIFT,
    REPLY,
    RUN_HEAD,
    SENTENCES,
    STATUS_BODY,
    STATUS_BYTES,
    STATUS_SENTENCES,
    STOPPED,
    TRAP_SENTENCES,
    VERSION,
    WRITE_HEAD,
    GuardState,
    Info,
    Kind,
    Limit,
    Reason,
    Space,
    Status,
    Trap,
)

MIN_PIECE, GROW_AFTER = 32, 8
"""Bytes of the shortest pieces, and pieces without a loss after which they are doubled."""
PATIENCE = 4 * (MAX_ENCODED + 1)
"""Bytes without the reply after which a try has failed, so that noise cannot hold it up."""

FRAMING = 16
"""Bytes of a frame beside those of its words, at most."""

T = TypeVar("T")


class LinkError(OhmloomError):
    """The controller cannot be reached, or says something that makes no sense."""


class LinkTimeout(LinkError):
    """No reply to any try."""


class LinkRefused(LinkError):
    """The controller understood a request and refused it."""

    def __init__(self, kind: Kind, status: int) -> None:
        self.kind = kind
        self.status = status
        said = f"status {status}"
        if status in Status._value2member_map_:
            said = f"{Status(status).name}, {STATUS_SENTENCES[Status(status)]}"
        super().__init__(f"the controller refused {kind.name}: {said}")


class RunRefused(LinkError):
    """A run ended at an instruction that the controller does not execute.

    Attributes
    ----------
    trap, address:
        Why, and the program address of the instruction.
    """

    def __init__(self, entry: int, trap: Trap, address: int) -> None:
        self.trap = trap
        self.address = address
        super().__init__(
            f"the run from {entry} ended at a word that is no instruction it can execute, "
            f"word {address}: {TRAP_SENTENCES[trap]}"
        )


class ModeRefused(LinkError):
    """A run ended at an instruction that a tile's mode does not take, or at a profile.

    Attributes
    ----------
    status, found:
        What the mode engine said; one of them is OK.
    """

    def __init__(self, address: int, status: ModeStatus, found: ProfileStatus) -> None:
        self.status = status
        self.found = found
        why = PROFILE_SENTENCES[found] if found else MODE_SENTENCES[status]
        super().__init__(f"the run from {address} ended: {why}")


@dataclass(frozen=True)
class Step:
    """Send ``send`` (may be empty), then wait up to ``timeout`` seconds for any bytes."""

    send: bytes
    timeout: float


Exchange = Generator[Step, bytes, T]


@dataclass(frozen=True)
class RunResult:
    """End of a run: clock cycles it took, ADC codes at a rail, and how it ended.

    ``illegal`` says that it met a word that is no instruction, ``stopped`` that the
    guard went to its safe state, ``mode`` and ``profile`` what the mode engine refused.
    ``trap`` says why it was illegal, ``address`` where it ended.
    """

    cycles: int
    saturations: int
    illegal: bool = False
    stopped: bool = False
    mode: ModeStatus = ModeStatus.OK
    profile: ProfileStatus = ProfileStatus.OK
    trap: Trap = Trap.NONE
    address: int = 0


@dataclass(frozen=True)
class LinkStatus:
    """Reply to STATUS: ``frames_bad`` were dropped, ``last`` is valid unless running."""

    running: bool
    frames_ok: int
    frames_bad: int
    last: RunResult


@dataclass(frozen=True)
class Health:
    """Reply to HEALTH: what the guard lets through, and what it has refused.

    Attributes
    ----------
    state, reason:
        ``reason`` is why it went to its safe state the last time.
    codes, gates, pulses, stops:
        Refused codes and switch updates, refused openings, pulses cut short, and
        stops from outside, since the reset; each stays at 255.
    lowered:
        Limits that a profile has lowered.
    """

    state: GuardState
    reason: Reason
    codes: int
    gates: int
    pulses: int
    stops: int
    lowered: frozenset[Limit]

    def __str__(self) -> str:
        if self.state is GuardState.SAFE:
            return f"the guard is in its safe state: {SENTENCES[self.reason]}"
        if self.state is GuardState.STARTING:
            return "the front end is being initialised"
        return "the guard lets through what is within its limits"


class GuardStopped(LinkError):
    """The guard went to its safe state, or is in it; ``health`` says why."""

    def __init__(self, health: Health) -> None:
        self.health = health
        super().__init__(str(health))


def parse_health(body: bytes) -> Health:
    """The reply to HEALTH.

    Raises
    ------
    LinkError
        If it has another size, or a state or reason that is not known.
    """
    if len(body) != HEALTH_BODY.size:
        raise LinkError(f"a HEALTH reply has {len(body)} bytes, expected {HEALTH_BODY.size}")
    state, reason, *counters, lowered = HEALTH_BODY.unpack(body)
    if state not in GuardState._value2member_map_ or reason not in Reason._value2member_map_:
        raise LinkError(f"a HEALTH reply has state {state} and reason {reason}")
    limits = frozenset(limit for limit in Limit if lowered >> limit & 1)
    return Health(GuardState(state), Reason(reason), *counters, lowered=limits)


def run_result(cycles: int, saturations: int, end: int, trap: int, address: int) -> RunResult:
    """The end of a run from its numbers on the line.

    Raises
    ------
    LinkError
        If there is no such trap.
    """
    if trap not in Trap._value2member_map_:
        raise LinkError(f"the end of a run has trap {trap}, which is none of the {len(Trap)}")
    refusal = end >> REFUSAL_SHIFT & (1 << REFUSAL_BITS) - 1
    if refusal <= ADOPT_REFUSAL:
        mode, profile = ModeStatus(refusal), ProfileStatus.OK
    else:
        mode, profile = (
            ModeStatus.OK,
            ProfileStatus(min(refusal - ADOPT_REFUSAL, max(ProfileStatus))),
        )
    illegal, stopped = bool(end & ILLEGAL), bool(end & STOPPED)
    return RunResult(cycles, saturations, illegal, stopped, mode, profile, Trap(trap), address)


def parse_info(body: bytes) -> Info:
    """The description of a controller.

    Raises
    ------
    LinkError
        If it is no Ohmloom controller or speaks another version.
    """
    if len(body) < INFO_HEAD.size or not body.startswith(MAGIC):
        raise LinkError(f"the other end is no Ohmloom controller: it says {body[:16].hex()!r}")
    _, version = INFO_HEAD.unpack_from(body)
    if version != VERSION:
        raise LinkError(
            f"the controller speaks version {version} of the link; this host, {VERSION}"
        )
    if len(body) != INFO_BODY.size:
        raise LinkError(f"a PING reply has {len(body)} bytes, expected {INFO_BODY.size}")
    return Info.unpack(body)


def parse_status(body: bytes) -> LinkStatus:
    """The reply to STATUS."""
    if len(body) != STATUS_BODY.size:
        raise LinkError(f"a STATUS reply has {len(body)} bytes, expected {STATUS_BODY.size}")
    running, frames_ok, frames_bad, *last = STATUS_BODY.unpack(body)
    return LinkStatus(bool(running), frames_ok, frames_bad, run_result(*last))


def pack_words(space: Space, words: Iterable[int]) -> bytes:
    """Words as bytes; a negative one as two's complement.

    Raises
    ------
    ValueError
        If a word does not fit the space.
    """
    size = ACCESS[space].word_bytes
    low, high = -(1 << (8 * size - 1)), (1 << 8 * size) - 1
    packed = bytearray()
    for word in map(int, words):
        if not low <= word <= high:
            raise ValueError(f"{word} does not fit a word of {space.name}, {low}..{high}")
        packed += (word & high).to_bytes(size, "little")
    return bytes(packed)


def unpack_words(space: Space, packed: bytes) -> list[int]:
    """Unsigned words of ``packed``."""
    size = ACCESS[space].word_bytes
    return [int.from_bytes(packed[i : i + size], "little") for i in range(0, len(packed), size)]


@dataclass(frozen=True)
class Log:
    """What the event log had.

    Attributes
    ----------
    entries:
        The entries from the asked one on, oldest first.
    next:
        Number to ask from the next time.
    missed:
        Asked entries that had been written over.
    lost:
        Events since the reset that never became an entry.
    """

    entries: tuple[Entry, ...]
    next: int
    missed: int
    lost: int


class Exchanges:
    """Builds the exchanges with one controller; one at a time may be under way.

    Parameters
    ----------
    timeout : float
        Longest wait for a reply before the request is sent again [s].
    tries : int
        How often a request is sent with that wait before :class:`LinkTimeout`.

    Attributes
    ----------
    first : float
        Wait for a reply the first time [s], which is doubled each time up to ``timeout``; whoever
        knows how long replies take may set it.
    byte_s : float
        How long a byte is on the line [s], which is waited for each one that is on its way.
    window : int
        Requests that may be on their way at once; what the controller says to ``ping``.
    piece : int
        Bytes of words in a request or reply: halved when one is lost, and doubled after
        :data:`GROW_AFTER` that were not, between :data:`MIN_PIECE` and what a frame holds.
    """

    def __init__(self, timeout: float = 0.5, tries: int = 5) -> None:
        self.timeout = timeout
        self.first = timeout
        self.byte_s = 0.0
        self.tries = tries
        self.window = 1
        self.piece = MAX_READ
        self.decoder = FrameDecoder()
        self._fine = 0  # pieces since the last one that was lost
        self._seq = 0
        self._changed = 0  # number of the last changing request
        self._unsure = False  # whether the controller has that one
        self._done: dict[int, RunResult] = {}

    def ping(self) -> Exchange[Info]:
        """Who is there? First exchange with a controller: it also forgets older requests."""
        info = parse_info((yield from self._request(Kind.PING)))
        self.window = max(1, info.window)
        self._changed, self._unsure = self._seq, False
        return info

    def require(self, image: Image) -> Exchange[Info]:
        """A ``ping``, and a look whether the controller can run ``image``.

        Raises
        ------
        LinkError
            If it cannot; the sentence says all that it lacks.
        """
        info = yield from self.ping()
        if missing := lacking(image, info):
            raise LinkError(f"the bundle does not fit this board: {'; '.join(missing)}")
        return info

    def status(self) -> Exchange[LinkStatus]:
        """Whether it runs, its frame counters, and the result of the last run."""
        return parse_status((yield from self._request(Kind.STATUS)))

    def write_words(self, space: Space, address: int, words: Sequence[int]) -> Exchange[None]:
        """Write words from ``address`` upwards, in as few requests as the line allows."""
        yield from self._settle()
        size = ACCESS[space].word_bytes
        packed = pack_words(space, words)

        def request(start: int, room: int) -> tuple[bytes, int]:
            bytes_ = min(room, MAX_WRITE) // size * size or size
            data = packed[start * size : start * size + bytes_]
            return WRITE_HEAD.pack(space, address + start) + data, len(data) // size

        yield from self._stream(Kind.WRITE, len(words), request)

    def read_words(self, space: Space, address: int, count: int) -> Exchange[list[int]]:
        """``count`` unsigned words from ``address`` upwards."""
        size = ACCESS[space].word_bytes

        def request(start: int, room: int) -> tuple[bytes, int]:
            wanted = min(max(1, min(room, MAX_READ) // size), count - start)
            return READ_HEAD.pack(space, address + start, wanted), wanted

        words: list[int] = []
        for packed, wanted in (yield from self._stream(Kind.READ, count, request)):
            if len(packed) != wanted * size:
                raise LinkError(
                    f"a READ of {wanted} words of {space.name} brought {len(packed)} bytes"
                )
            words += unpack_words(space, packed)
        return words

    def _stream(
        self, kind: Kind, total: int, request: Callable[[int, int], tuple[bytes, int]]
    ) -> Exchange[list[tuple[bytes, int]]]:
        """Move ``total`` words with up to ``window`` requests on their way; go back when one
        is lost.

        ``request`` gives a payload and its words from a start and a room in bytes. One that
        is sent again may be shorter, never longer: what the controller has executed under
        its number then covers it.
        """
        done: list[tuple[bytes, int]] = []
        start, failures = 0, 0
        limited, longest = 0, self.piece  # of so many numbers from here on, the pieces
        while start < total:
            flight: deque[tuple[int, int]] = deque()  # number and words
            following, seq, lost, gap, refused = start, self._changed, False, False, None
            sent, acknowledged, patience = 0, 0, PATIENCE * self.window
            while True:
                send = b""
                while not lost and len(flight) < self.window and following < total:
                    room = min(self.piece, longest) if sent < limited else self.piece
                    payload, words = request(following, room)
                    seq = seq + 1 & 0xFF if kind in CHANGES else self._next_seq()
                    flight.append((seq, words))
                    longest = min(longest, room) if limited else room
                    following, sent = following + words, sent + 1
                    limited = max(limited, sent)
                    send += bytes([DELIMITER]) + encode_frame(Frame(seq, kind, payload))
                if not flight:
                    break
                self._unsure |= kind in CHANGES
                on_line = len(flight) * (self.piece + FRAMING)
                received = yield Step(send, self._wait(failures, on_line))
                patience -= len(received)
                if not received or patience <= 0:
                    lost = True
                    break
                for reply in self._feed(received):
                    known = any(number == reply.seq for number, _ in flight)
                    if reply.kind != kind | REPLY or not reply.payload or not known:
                        continue
                    while flight[0][0] != reply.seq:  # replies before it are lost
                        lost = True
                        flight.popleft()
                    number, words = flight.popleft()
                    status, body = reply.payload[0], reply.payload[STATUS_BYTES:]
                    if lost or status == Status.GAP:
                        gap |= not lost
                        lost = True
                        continue
                    if kind in CHANGES:
                        self._changed = number
                    if status != Status.OK:
                        refused = refused or status
                    start, acknowledged, failures = start + words, acknowledged + 1, 0
                    done.append((body, words))
                    self._grow()
            limited -= acknowledged
            self._unsure &= lost
            if lost:
                failures += not acknowledged
                self._shrink()
                longest = min(longest, self.piece)
            if refused:
                raise LinkRefused(kind, refused)
            if failures >= self._tries():
                if gap:
                    raise LinkError(
                        "the controller counts the requests of another host: PING first"
                    )
                raise self._silent(kind)
        return done

    def _grow(self) -> None:
        self._fine += 1
        if self._fine >= GROW_AFTER:
            self._fine, self.piece = 0, min(2 * self.piece, MAX_READ)

    def _shrink(self) -> None:
        self._fine, self.piece = 0, max(self.piece // 2, MIN_PIECE)

    def _settle(self) -> Exchange[None]:
        """Before a changing request: after one without an answer, the controller forgets."""
        if self._unsure:
            yield from self.ping()

    def log(self, since: int = 0) -> Exchange[Log]:
        """The entries of the event log from number ``since`` on, as far as it has them."""
        depth, entries = 1, []
        (head,) = yield from self.read_words(Space.LOG, 0, 1)
        count, _, depth = LOG_HEAD.unpack(head.to_bytes(8, "little"))
        if count > since:
            ring = yield from self.read_words(Space.LOG, 1, depth)
            (head,) = yield from self.read_words(Space.LOG, 0, 1)
            # What has been written meanwhile is over the oldest.
            written, _, _ = LOG_HEAD.unpack(head.to_bytes(8, "little"))
            first = max(since, written - depth, 0)
            entries = [Entry.unpack(n, ring[n % depth]) for n in range(first, count)]
        _, lost, _ = LOG_HEAD.unpack(head.to_bytes(8, "little"))
        missed = max(0, count - since - len(entries))
        return Log(tuple(entries), max(count, since), missed, lost)

    def run(self, address: int, epoch: int, limit: float = 60.0) -> Exchange[RunResult]:
        """Run the program from ``address`` to its HALT.

        Whenever the event of its end does not come within ``timeout``, the
        status is asked for, so that a lost event is no lost run. Waiting longer
        than ``limit`` seconds is a :class:`LinkTimeout`; a run that meets a word
        that is no instruction is a :class:`LinkError`, one that the mode engine ends
        a :class:`ModeRefused`, and one that the guard refuses or stops is a
        :class:`GuardStopped`.
        """
        self._done.clear()
        try:
            yield from self._request(Kind.RUN, RUN_HEAD.pack(address, epoch))
        except LinkRefused as refused:
            if refused.status != Status.SAFE:
                raise
            raise GuardStopped((yield from self.health())) from refused
        seq, waited, turns = self._changed, 0.0, 0
        while seq not in self._done:
            received = yield Step(b"", self._wait(turns))
            self._feed(received)
            if received:
                continue
            waited, turns = waited + self._wait(turns), turns + 1
            status = yield from self.status()
            if not status.running:
                self._done[seq] = status.last
                break
            if waited > limit:
                raise LinkTimeout(f"the run from {address} did not end within {limit:g} s")
        result = self._done.pop(seq)
        if result.stopped:
            raise GuardStopped((yield from self.health()))
        if result.illegal and (result.mode, result.profile) != (0, 0):
            raise ModeRefused(address, result.mode, result.profile)
        if result.illegal:
            raise RunRefused(address, result.trap, result.address)
        return result

    def health(self) -> Exchange[Health]:
        """What the guard lets through, and why not more."""
        return parse_health((yield from self._request(Kind.HEALTH)))

    def abort(self) -> Exchange[None]:
        """Bring the safe state; a run ends."""
        yield from self._request(Kind.ABORT)

    def clear(self) -> Exchange[None]:
        """Leave the safe state: the front end is initialised again, all rails at 0 V."""
        yield from self._request(Kind.CLEAR)

    def lower(self, limits: Mapping[Limit, int]) -> Exchange[None]:
        """Lower limits of the guard, each of them once per reset."""
        for limit, value in limits.items():
            if not 0 <= value < 1 << 8 * LIMIT_VALUE_BYTES:
                raise ValueError(f"{limit.name} = {value} does not fit {LIMIT_VALUE_BYTES} bytes")
            payload = bytes([limit]) + value.to_bytes(LIMIT_VALUE_BYTES, "little")
            yield from self._request(Kind.LIMIT, payload)

    def _wait(self, failures: int, on_line: int = 0) -> float:
        """How long to wait [s] after so many tries without a reply, with so many bytes to come."""
        return min(self.timeout, self.first * 2 ** min(failures, 32)) + on_line * self.byte_s

    def _tries(self) -> int:
        """Tries in all: those with the longest wait, and the shorter ones before."""
        if not 0 < self.first < self.timeout:
            return self.tries
        return self.tries + math.ceil(math.log2(self.timeout / self.first))

    def _next_seq(self) -> int:
        """A number for a request that changes nothing."""
        self._seq = (self._seq + 1) & 0xFF
        return self._seq

    def _feed(self, received: bytes) -> list[Frame]:
        """The replies in ``received``; events are set aside."""
        replies = []
        for frame in self.decoder.feed(received):
            body = frame.payload[STATUS_BYTES:]
            if frame.kind != DONE:
                replies.append(frame)
            elif len(body) == DONE_BODY.size:
                self._done[frame.seq] = run_result(*DONE_BODY.unpack(body))
        return replies

    def _request(self, kind: Kind, payload: bytes = b"") -> Exchange[bytes]:
        """The reply's payload after its status."""
        changes = kind in CHANGES
        if changes:
            yield from self._settle()
        seq = self._changed + 1 & 0xFF if changes else self._next_seq()
        # The delimiter in front ends whatever broken frame the line may hold.
        request = bytes([DELIMITER]) + encode_frame(Frame(seq, kind, payload))
        self._unsure |= changes
        for attempt in range(self._tries()):
            send, patience = request, PATIENCE
            while patience > 0:
                received = yield Step(send, self._wait(attempt, len(send)))
                if not received:
                    break
                send, patience = b"", patience - len(received)
                for reply in self._feed(received):
                    if reply.seq == seq and reply.kind == kind | REPLY and reply.payload:
                        if changes and reply.payload[0] != Status.GAP:
                            self._changed, self._unsure = seq, False
                        if reply.payload[0] != Status.OK:
                            raise LinkRefused(kind, reply.payload[0])
                        return reply.payload[STATUS_BYTES:]
        raise self._silent(kind)

    def _silent(self, kind: Kind) -> LinkTimeout:
        return LinkTimeout(
            f"no reply to {kind.name} in {self._tries()} tries of up to {self.timeout:g} s each"
        )
