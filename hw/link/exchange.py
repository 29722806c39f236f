"""The host's side of every request, without input or output.

An exchange is a generator. It yields a :class:`Step`: bytes to send and how
long to wait; it is sent the bytes that arrived meanwhile, ``b""`` when none
did; its return value is the result. Whoever drives it may be blocking
(``boards.link``) or a coroutine (``coroutine``); resending, matching, chunking
and refusals are here, once.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ...errors import OhmloomError
from .codec import MAX_ENCODED, Frame, FrameDecoder, encode_frame
from .protocol import (
    ACCESS,
    CHANGES,
    DELIMITER,
    DONE,
    DONE_BODY,
    HEALTH_BODY,
    ILLEGAL,
    INFO_BODY,
    LIMIT_VALUE_BYTES,
    MAGIC,
    MAX_READ,
    MAX_WRITE,
    READ_HEAD,
    REPLY,
    RUN_HEAD,
    SENTENCES,
    STATUS_BODY,
    STATUS_BYTES,
    STOPPED,
    VERSION,
    WRITE_HEAD,
    GuardState,
    Info,
    Kind,
    Limit,
    Reason,
    Space,
    Status,
)

PATIENCE = 4 * (MAX_ENCODED + 1)
"""Bytes without the reply after which a try has failed, so that noise cannot hold it up."""

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
        known = Status(status).name if status in Status._value2member_map_ else f"status {status}"
        super().__init__(f"the controller refused {kind.name}: {known}")


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
    guard went to its safe state.
    """

    cycles: int
    saturations: int
    illegal: bool = False
    stopped: bool = False


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


def run_result(cycles: int, saturations: int, end: int) -> RunResult:
    """The end of a run from its three numbers on the line."""
    return RunResult(cycles, saturations, bool(end & ILLEGAL), bool(end & STOPPED))


def parse_info(body: bytes) -> Info:
    """The description of a controller.

    Raises
    ------
    LinkError
        If it is no Ohmloom controller or speaks another version.
    """
    if len(body) != INFO_BODY.size or not body.startswith(MAGIC):
        raise LinkError(f"the other end is no Ohmloom controller: it says {body[:16].hex()!r}")
    _, *fields = INFO_BODY.unpack(body)
    info = Info(*fields)
    if info.version != VERSION:
        raise LinkError(
            f"the controller speaks version {info.version} of the link; this host, {VERSION}"
        )
    return info


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


class Exchanges:
    """Builds the exchanges with one controller; one at a time may be under way.

    Parameters
    ----------
    timeout : float
        Seconds to wait for a reply before the request is sent again.
    tries : int
        How often a request is sent before :class:`LinkTimeout`.
    """

    def __init__(self, timeout: float = 0.5, tries: int = 5) -> None:
        self.timeout = timeout
        self.tries = tries
        self.decoder = FrameDecoder()
        self._seq = 0
        self._executed_seq = 0
        self._done: dict[int, RunResult] = {}

    def ping(self) -> Exchange[Info]:
        """Who is there? First exchange with a controller: it also forgets older requests."""
        return parse_info((yield from self._request(Kind.PING)))

    def status(self) -> Exchange[LinkStatus]:
        """Whether it runs, its frame counters, and the result of the last run."""
        return parse_status((yield from self._request(Kind.STATUS)))

    def write_words(self, space: Space, address: int, words: Sequence[int]) -> Exchange[None]:
        """Write words from ``address`` upwards, in as many requests as needed."""
        chunk = MAX_WRITE // ACCESS[space].word_bytes
        for start in range(0, len(words), chunk):
            head = WRITE_HEAD.pack(space, address + start)
            yield from self._request(
                Kind.WRITE, head + pack_words(space, words[start : start + chunk])
            )

    def read_words(self, space: Space, address: int, count: int) -> Exchange[list[int]]:
        """``count`` unsigned words from ``address`` upwards."""
        chunk = MAX_READ // ACCESS[space].word_bytes
        words: list[int] = []
        while len(words) < count:
            wanted = min(chunk, count - len(words))
            packed = yield from self._request(
                Kind.READ, READ_HEAD.pack(space, address + len(words), wanted)
            )
            if len(packed) != wanted * ACCESS[space].word_bytes:
                raise LinkError(
                    f"a READ of {wanted} words of {space.name} brought {len(packed)} bytes"
                )
            words += unpack_words(space, packed)
        return words

    def run(self, address: int, epoch: int, limit: float = 60.0) -> Exchange[RunResult]:
        """Run the program from ``address`` to its HALT.

        Whenever the event of its end does not come within ``timeout``, the
        status is asked for, so that a lost event is no lost run. Waiting longer
        than ``limit`` seconds is a :class:`LinkTimeout`; a run that meets a word
        that is no instruction is a :class:`LinkError`, and one that the guard
        refuses or stops is a :class:`GuardStopped`.
        """
        self._done.clear()
        try:
            yield from self._request(Kind.RUN, RUN_HEAD.pack(address, epoch))
        except LinkRefused as refused:
            if refused.status != Status.SAFE:
                raise
            raise GuardStopped((yield from self.health())) from refused
        seq, waited = self._executed_seq, 0.0
        while seq not in self._done:
            received = yield Step(b"", self.timeout)
            self._feed(received)
            if received:
                continue
            waited += self.timeout
            status = yield from self.status()
            if not status.running:
                self._done[seq] = status.last
                break
            if waited > limit:
                raise LinkTimeout(f"the run from {address} did not end within {limit:g} s")
        result = self._done.pop(seq)
        if result.stopped:
            raise GuardStopped((yield from self.health()))
        if result.illegal:
            raise LinkError(f"the run from {address} ended at a word that is no instruction")
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

    def _next_seq(self, kind: Kind) -> int:
        """A number that the controller cannot take for a repetition."""
        self._seq = (self._seq + 1) & 0xFF
        if kind in CHANGES:
            # Reads in between may have used up a whole round of numbers.
            if self._seq == self._executed_seq:
                self._seq = (self._seq + 1) & 0xFF
            self._executed_seq = self._seq
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
        seq = self._next_seq(kind)
        # The delimiter in front ends whatever broken frame the line may hold.
        request = bytes([DELIMITER]) + encode_frame(Frame(seq, kind, payload))
        for _ in range(self.tries):
            send, patience = request, PATIENCE
            while patience > 0:
                received = yield Step(send, self.timeout)
                if not received:
                    break
                send, patience = b"", patience - len(received)
                for reply in self._feed(received):
                    if reply.seq == seq and reply.kind == kind | REPLY and reply.payload:
                        if reply.payload[0] != Status.OK:
                            raise LinkRefused(kind, reply.payload[0])
                        return reply.payload[STATUS_BYTES:]
        raise LinkTimeout(
            f"no reply to {kind.name} in {self.tries} tries of {self.timeout:g} s each"
        )
