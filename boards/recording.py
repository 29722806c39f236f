"""A conversation with a board as a file, and that file in place of the board.

A recording is text: a line of JSON that says what it is, one for each time the host or the
controller has spoken or been silent, and one at the end with their count and the SHA-256 of
all lines before. It appears whole or not at all. Bytes are in hexadecimal; times are left out,
so that the same conversation gives the same file, and a replay never waits. What a host draws at
random it draws from the recording's seed.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import OhmloomError
from ..hw.link.codec import Frame, FrameDecoder
from ..hw.link.protocol import DELIMITER
from .link import Transport
from .wording import describe, difference

VERSION = 1
MAX_BYTES = 256 << 20
"""Largest file that is read."""
RECENT = 32
"""Requests back to which a repetition is known as one; a controller remembers fewer."""


class RecordingError(OhmloomError):
    """A file that is no whole recording, or cannot be written."""


class ReplayError(OhmloomError):
    """A host that does not say what was recorded."""


Hex = Annotated[str, Field(pattern=r"^([0-9a-f]{2})*$")]


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


L = TypeVar("L", bound=_Line)


class _Head(_Line):
    format: Literal["ohmloom recording"]
    version: Literal[1]
    about: str
    """What the conversation is, for people; a replay has to be of the same."""
    seed: int
    """Of what the host draws at random."""


class _Event(_Line):
    """One of the two: bytes that the host sent, or that it got (none: a timeout)."""

    write: Hex | None = None
    read: Hex | None = None


class _End(_Line):
    events: int
    sha256: str


class RecordingTransport:
    """A transport that writes down what passes through it.

    A conversation that fails is kept too: the file is finished by :meth:`close`, or at the
    end of a ``with``, whatever ended it.

    Parameters
    ----------
    transport :
        The byte pipe to the controller.
    path :
        The recording; an older one is replaced at the end.
    about :
        What the conversation is, in words.
    seed :
        Of what the host draws at random (:func:`random_bits`).

    Raises
    ------
    RecordingError
        If it cannot be written.
    """

    steady = True

    def __init__(self, transport: Transport, path: Path, about: str = "", seed: int = 0) -> None:
        self.baud: int = getattr(transport, "baud", 0)
        self.seed = seed
        self._transport = transport
        self._path = path
        self._temporary = path.with_name(f".{path.name}.part")
        self._digest = hashlib.sha256()
        self._events = 0
        self._heard = bytearray()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._temporary.open("w", encoding="ascii", newline="\n")
        except OSError as error:
            raise RecordingError(f"cannot write {path}: {error.strerror}") from error
        self._line(_Head(format="ohmloom recording", version=VERSION, about=about, seed=seed))

    def write(self, data: bytes) -> None:
        """Send all of ``data``."""
        self._flush()
        self._event(_Event(write=data.hex()))
        self._transport.write(data)

    def read(self, timeout: float) -> bytes:
        """The bytes that have arrived, at least one, or ``b""`` after ``timeout`` seconds."""
        received = self._transport.read(timeout)
        self._heard += received
        if not received:
            self._flush()
            self._event(_Event(read=""))
        return received

    def close(self) -> None:
        """Finish the file and give it its name."""
        self._flush()
        self._line(_End(events=self._events, sha256=self._digest.hexdigest()))
        try:
            self._file.close()
            self._temporary.replace(self._path)
        except OSError as error:
            raise RecordingError(f"cannot write {self._path}: {error.strerror}") from error

    def __enter__(self) -> RecordingTransport:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _flush(self) -> None:
        """What has come in pieces is one event: a serial port divides it differently each time."""
        if self._heard:
            self._event(_Event(read=self._heard.hex()))
            self._heard.clear()

    def _event(self, event: _Event) -> None:
        self._events += 1
        self._line(event)

    def _line(self, line: _Line) -> None:
        text = line.model_dump_json(exclude_none=True) + "\n"
        self._digest.update(text.encode())
        try:
            self._file.write(text)
        except OSError as error:
            with suppress(OSError):
                self._file.close()
            self._temporary.unlink(missing_ok=True)
            raise RecordingError(f"cannot write {self._path}: {error.strerror}") from error


class ReplayTransport:
    """A recording in place of the controller: answers as it did, to the same requests.

    The host has to say the same requests in the same order. How it divides its writes and
    reads does not matter, nor whether it repeats a request where the recorded one did not,
    or the other way round. Silence is answered with silence, at once.

    Parameters
    ----------
    path :
        The recording.
    about :
        What it has to be about.

    Raises
    ------
    RecordingError
        If it is none, of another version, altered or cut short, or about something else.
    """

    steady = True

    def __init__(self, path: Path, about: str = "") -> None:
        self._path = path
        self.seed, events = _events(path, about)
        self._script = deque(_script(path, events))
        self._pending = bytearray()
        self._decoder = FrameDecoder()
        self._recent: deque[Frame] = deque(maxlen=RECENT)
        self._requests = 0
        self._waiting = False

    def write(self, data: bytes) -> None:
        """Take what the host says.

        Raises
        ------
        ReplayError
            If it is something else than was recorded.
        """
        self._waiting = False
        for frame in self._decoder.feed(data):
            self._take(frame)
        if self._decoder.bad:
            raise ReplayError(f"after request {self._requests} the host sent no good frame")

    def read(self, timeout: float) -> bytes:
        """What the controller answered, or ``b""`` where it was silent; at once in any case.

        Raises
        ------
        ReplayError
            If the recording ends here.
        """
        while not self._pending:
            if not self._script:
                raise ReplayError(f"{self._path} ends where the host waits for more{self._after()}")
            if isinstance(next_one := self._script[0], bytes):
                self._script.popleft()
                self._pending += next_one
                break
            if next_one not in self._recent or not self._waiting:
                self._waiting = True  # it is for the host to say something
                break
            self._script.popleft()  # a repetition, but this host waits on
        received = bytes(self._pending)
        self._pending.clear()
        return received

    def finish(self) -> None:
        """Insist that the host has said everything that was recorded.

        Raises
        ------
        ReplayError
            Naming what it has not said.
        """
        left = self._next(None)
        if left is not None:
            raise ReplayError(
                f"the host has ended{self._after()}, {self._path} goes on with {describe(left)}"
            )

    def __enter__(self) -> ReplayTransport:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if kind is None:
            self.finish()

    def _take(self, frame: Frame) -> None:
        recorded = self._next(frame)
        if recorded == frame:
            self._script.popleft()
            self._requests += frame not in self._recent
            self._recent.append(frame)
        elif frame not in self._recent:
            number = self._requests + 1
            if recorded is None:
                raise ReplayError(
                    f"{self._path} ends{self._after()}, the host goes on with {describe(frame)}"
                )
            raise ReplayError(
                f"request {number} is not that of {self._path}: {difference(frame, recorded)}"
            )

    def _next(self, wanted: Frame | None) -> Frame | None:
        """The next recorded request, at the head of the script then; None: there is none.

        What was answered before it is kept for the next reads. Repetitions are passed over,
        but not one that is wanted.
        """
        if wanted in self._recent and not self._repeated(wanted):
            return None
        while self._script:
            head = self._script[0]
            if isinstance(head, Frame) and (head == wanted or head not in self._recent):
                return head
            self._script.popleft()
            if isinstance(head, bytes):
                self._pending += head
        return None

    def _repeated(self, wanted: Frame | None) -> bool:
        """Whether the recorded host repeats a request too, before it says anything new."""
        for one in self._script:
            if isinstance(one, Frame):
                if one == wanted:
                    return True
                if one not in self._recent:
                    return False
        return False

    def _after(self) -> str:
        return f" after request {self._requests}"


def random_bits(transport: Transport) -> Callable[[int], int]:
    """Draws as many random bits as it is asked for: over a recording from its seed."""
    seed = getattr(transport, "seed", None)
    return secrets.randbits if seed is None else Random(seed).getrandbits


def _events(path: Path, about: str) -> tuple[int, Iterator[_Event]]:
    """Seed and events of a recording that is whole and as it was written."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise RecordingError(f"cannot read {path}: {error.strerror}") from error
    if len(raw) > MAX_BYTES:
        raise RecordingError(f"{path} is larger than the {MAX_BYTES} bytes accepted")
    head, *lines = raw.splitlines(keepends=True) or [b""]
    recorded = _parse(path, 1, head, _Head)
    if recorded.about != about:
        raise RecordingError(f"{path} is about {recorded.about!r}, not about {about!r}")
    if not lines or not raw.endswith(b"\n"):
        raise RecordingError(f"{path} is cut short")
    *body, last = lines
    end = _parse(path, len(lines) + 1, last, _End)
    found = hashlib.sha256(head + b"".join(body)).hexdigest()
    if (end.events, end.sha256) != (len(body), found):
        raise RecordingError(f"{path} was altered: its lines are not those that its end tells of")
    return recorded.seed, (_parse_event(path, number, line) for number, line in enumerate(body, 2))


def _parse_event(path: Path, number: int, line: bytes) -> _Event:
    event = _parse(path, number, line, _Event)
    if (event.write is None) == (event.read is None):
        raise RecordingError(f"{path}, line {number}: either write or read is accepted")
    return event


def _parse(path: Path, number: int, line: bytes, kind: type[L]) -> L:
    try:
        return kind.model_validate_json(line)
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in detail["loc"])
        where = f"{field}: " if field else ""
        raise RecordingError(
            f"{path}, line {number}, is none of a recording, version {VERSION}: "
            f"{where}{detail['msg']}"
        ) from error


def _script(path: Path, events: Iterator[_Event]) -> Iterator[Frame | bytes]:
    """Requests of the host, and what it got between them."""
    decoder, last = FrameDecoder(), DELIMITER
    for number, event in enumerate(events, 2):
        if event.read is not None:
            yield bytes.fromhex(event.read)
        elif event.write:
            data = bytes.fromhex(event.write)
            last = data[-1]
            yield from decoder.feed(data)
        if decoder.bad:
            raise RecordingError(f"{path}, line {number}: the host sent no good frame")
    if last != DELIMITER:
        raise RecordingError(f"{path}: the host's last frame has no end")
