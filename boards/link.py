"""The host's client of the command link over any blocking byte pipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Protocol

from ..hw.image import Image
from ..hw.link.codec import Frame, FrameDecoder, encode_frame
from ..hw.link.exchange import (
    Exchange,
    Exchanges,
    GuardStopped,
    Health,
    LinkError,
    LinkRefused,
    LinkStatus,
    LinkTimeout,
    Log,
    ModeRefused,
    RunRefused,
    RunResult,
    T,
)
from ..hw.link.protocol import Info, Kind, Limit, Space, Status

__all__ = [
    "Frame",
    "FrameDecoder",
    "GuardStopped",
    "Health",
    "Info",
    "Kind",
    "Limit",
    "LinkClient",
    "LinkError",
    "LinkRefused",
    "LinkStatus",
    "LinkTimeout",
    "Log",
    "ModeRefused",
    "RunRefused",
    "RunResult",
    "Space",
    "Status",
    "Transport",
    "encode_frame",
]


REPLY_WEIGHT = 0.2
"""Of the last reply in the mean of the time that replies take."""
REPLY_TIMES, REPLY_LEAST_S = 4.0, 0.01
"""A request is sent again after so many times that mean, and so long at least: later than most
replies, and one that was late is no harm, because nothing is executed twice."""


LINE_BITS = 10
"""Of a byte on a serial line."""


class Transport(Protocol):
    """A byte pipe to the controller: a serial port, a pseudo-terminal, a socket.

    One that has a ``baud`` is waited for as long as its bytes take. Over one that is ``steady``
    what is said goes by what is heard alone: not by how long replies take.
    """

    def write(self, data: bytes) -> None:
        """Send all of ``data``."""
        ...

    def read(self, timeout: float) -> bytes:
        """The bytes that have arrived, at least one, or ``b""`` after ``timeout`` seconds."""
        ...


class LinkClient:
    """Requests to one controller; resends on its own, never executes twice.

    How long it waits before it sends again goes by how long replies take, but over a
    :class:`Transport` that is steady. Start with :meth:`ping`. Every method raises
    :class:`LinkTimeout` when nothing answers and :class:`LinkRefused` when the controller says no.

    Parameters
    ----------
    transport : Transport
        The byte pipe.
    timeout : float
        Longest wait for a reply before the request is sent again [s].
    tries : int
        How often a request is sent at most with that wait.
    """

    def __init__(self, transport: Transport, timeout: float = 0.5, tries: int = 5) -> None:
        self.transport = transport
        self.exchanges = Exchanges(timeout, tries)
        self.exchanges.byte_s = LINE_BITS / baud if (baud := getattr(transport, "baud", 0)) else 0.0
        self._steady: bool = getattr(transport, "steady", False)
        self._reply_s: float | None = None

    def ping(self) -> Info:
        """What the controller says of itself; it forgets the requests of an older host."""
        return self._perform(self.exchanges.ping())

    def require(self, image: Image) -> Info:
        """A :meth:`ping`; a :class:`LinkError` says all that the controller lacks for ``image``."""
        return self._perform(self.exchanges.require(image))

    def status(self) -> LinkStatus:
        """Whether it runs, its frame counters, and the result of the last run."""
        return self._perform(self.exchanges.status())

    def write_words(self, space: Space, address: int, words: Sequence[int]) -> None:
        """Write words from ``address`` upwards; a negative one as two's complement."""
        self._perform(self.exchanges.write_words(space, address, words))

    def read_words(self, space: Space, address: int, count: int) -> list[int]:
        """``count`` unsigned words from ``address`` upwards."""
        return self._perform(self.exchanges.read_words(space, address, count))

    def run(self, address: int, epoch: int, limit: float = 60.0) -> RunResult:
        """Run the program from ``address`` to its HALT, at most ``limit`` seconds."""
        return self._perform(self.exchanges.run(address, epoch, limit))

    def health(self) -> Health:
        """What the guard lets through, and why not more."""
        return self._perform(self.exchanges.health())

    def abort(self) -> None:
        """Bring the safe state; a run ends."""
        self._perform(self.exchanges.abort())

    def clear(self) -> None:
        """Leave the safe state: the front end is initialised again, all rails at 0 V."""
        self._perform(self.exchanges.clear())

    def lower(self, limits: Mapping[Limit, int]) -> None:
        """Lower limits of the guard, each of them once per reset."""
        self._perform(self.exchanges.lower(limits))

    def log(self, since: int = 0) -> Log:
        """The entries of the event log from number ``since`` on."""
        return self._perform(self.exchanges.log(since))

    def _perform(self, exchange: Exchange[T]) -> T:
        try:
            step = next(exchange)
            while True:
                begun = monotonic()
                if step.send:
                    self.transport.write(step.send)
                received = self.transport.read(step.timeout)
                if step.send and received and not self._steady:
                    self._took(monotonic() - begun)
                step = exchange.send(received)
        except StopIteration as finished:
            return finished.value

    def _took(self, seconds: float) -> None:
        """A reply has taken so long: the next one is waited for some times as long at first."""
        known = seconds if self._reply_s is None else self._reply_s
        self._reply_s = known + REPLY_WEIGHT * (seconds - known)
        self.exchanges.first = max(REPLY_LEAST_S, REPLY_TIMES * self._reply_s)
