"""The blocking client against a controller written in Python."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ohmloom.boards.link import (
    Frame,
    FrameDecoder,
    Info,
    Kind,
    LinkClient,
    LinkError,
    LinkRefused,
    LinkTimeout,
    RunResult,
    Space,
    Status,
    encode_frame,
)
from ohmloom.hw.geometry import Geometry
from ohmloom.hw.link.protocol import (
    ACCESS,
    DONE,
    DONE_BODY,
    READ_HEAD,
    REPLY,
    RUN_HEAD,
    STATUS_BODY,
    WRITE_HEAD,
)

GEOMETRY = Geometry()
INFO = Info.of(GEOMETRY, 48_000_000)
RESULT = RunResult(123_456_789_012, 7)


class Controller:
    """A transport whose other end answers; ``lose`` says which frames never arrive."""

    def __init__(self) -> None:
        self.lose: Callable[[Frame], bool] = lambda frame: False
        self.sent: list[Frame] = []
        self.memories: dict[tuple[int, int], bytes] = {}
        self.runs: list[tuple[int, int]] = []
        self.line = bytearray()
        self.piece = 7
        self.waits = 0
        self.event: Frame | None = None
        self.polls_until_done = 0
        self.illegal = False
        self._decoder = FrameDecoder()
        self._known: tuple[int, int] | None = None

    def write(self, data: bytes) -> None:
        for frame in self._decoder.feed(data):
            self.sent.append(frame)
            if not self.lose(frame):
                self._reply(Frame(frame.seq, frame.kind | REPLY, self._execute(frame)))

    def read(self, timeout: float) -> bytes:
        if not self.line and self.event:
            self._reply(self.event)
            self.event = None
        if not self.line:
            self.waits += 1
        received, self.line = bytes(self.line[: self.piece]), self.line[self.piece :]
        return received

    def _reply(self, frame: Frame) -> None:
        if not self.lose(frame):
            self.line += encode_frame(frame)

    def _execute(self, frame: Frame) -> bytes:
        repeated = self._known == (frame.seq, frame.kind)
        if frame.kind in (Kind.WRITE, Kind.RUN):
            self._known = (frame.seq, frame.kind)
        match frame.kind:
            case Kind.PING:
                self._known = None
                return b"\0" + INFO.pack()
            case Kind.STATUS:
                self.polls_until_done -= 1
                running = self.polls_until_done > 0
                return b"\0" + STATUS_BODY.pack(
                    running, 1, 2, RESULT.cycles, RESULT.saturations, self.illegal
                )
            case Kind.WRITE if not repeated:
                space, address = WRITE_HEAD.unpack_from(frame.payload)
                size, data = ACCESS[Space(space)].word_bytes, frame.payload[WRITE_HEAD.size :]
                assert len(data) % size == 0
                for i in range(len(data) // size):
                    assert (space, address + i) not in self.memories, "written twice"
                    self.memories[space, address + i] = data[i * size : (i + 1) * size]
            case Kind.READ:
                space, address, count = READ_HEAD.unpack(frame.payload)
                words = [self.memories.get((space, address + i)) for i in range(count)]
                if None in words:
                    return bytes([Status.BAD_ADDRESS])
                return b"\0" + b"".join(word for word in words if word)
            case Kind.RUN if not repeated:
                self.runs.append(RUN_HEAD.unpack(frame.payload))
                body = b"\0" + DONE_BODY.pack(RESULT.cycles, RESULT.saturations, self.illegal)
                self.event = Frame(frame.seq, DONE, body)
        return b"\0"


@pytest.fixture
def controller() -> Controller:
    return Controller()


@pytest.fixture
def client(controller: Controller) -> LinkClient:
    return LinkClient(controller, timeout=0.1, tries=3)


def test_ping_and_status(client):
    assert client.ping() == INFO
    status = client.status()
    assert (status.running, status.frames_ok, status.frames_bad) == (False, 1, 2)
    assert status.last == RESULT


@pytest.mark.parametrize(
    ("space", "count", "frames"),
    [
        (Space.PROGRAM, 126, 1),
        (Space.PARAM, 127, 2),
        (Space.ACT, 506, 1),
        (Space.ACT, 507, 2),
        (Space.LEVEL, 1013, 1),
        (Space.LEVEL, 1024, 2),
        (Space.ACT, 0, 0),
    ],
)
def test_words_are_cut_into_as_few_frames_as_possible(client, controller, space, count, frames):
    words = [i % 251 for i in range(count)]
    client.write_words(space, 5, words)
    assert len(controller.sent) == frames
    size = ACCESS[space].word_bytes
    assert client.read_words(space, 5, count) == words
    assert controller.memories == {
        (space, 5 + i): word.to_bytes(size, "little") for i, word in enumerate(words)
    }


def test_negative_words_are_twos_complement_and_large_ones_refused(client, controller):
    client.write_words(Space.ACT, 0, [-1, -32768, 65535])
    assert client.read_words(Space.ACT, 0, 3) == [0xFFFF, 0x8000, 0xFFFF]
    sent = len(controller.sent)
    for word in (-32769, 65536):
        with pytest.raises(ValueError, match=f"{word} does not fit a word of ACT"):
            client.write_words(Space.ACT, 9, [word])
    assert len(controller.sent) == sent


def test_run_gives_the_event(client, controller):
    assert client.run(4, 0xFFFF_FFFF) == RESULT
    assert controller.runs == [(4, 0xFFFF_FFFF)]
    assert [frame.kind for frame in controller.sent] == [Kind.RUN]


@pytest.mark.parametrize("lost", [False, True])
def test_a_run_into_no_instruction_is_an_error(client, controller, lost):
    controller.lose = lambda frame: lost and frame.kind == DONE
    controller.illegal = True
    with pytest.raises(LinkError, match="run from 4 ended at a word that is no instruction"):
        client.run(4, 0)


def test_a_lost_event_is_made_up_for_by_the_status(client, controller):
    controller.lose = lambda frame: frame.kind == DONE
    controller.polls_until_done = 3
    assert client.run(4, 0) == RESULT
    kinds = [frame.kind for frame in controller.sent]
    assert kinds == [Kind.RUN, Kind.STATUS, Kind.STATUS, Kind.STATUS]


def test_a_run_that_never_ends(client, controller):
    controller.lose = lambda frame: frame.kind == DONE
    controller.polls_until_done = 1000
    with pytest.raises(LinkTimeout, match="the run from 4 did not end within 1 s"):
        client.run(4, 0, limit=1.0)


@pytest.mark.parametrize("direction", ["request", "reply"])
def test_a_lost_frame_is_sent_again_with_its_number(client, controller, direction):
    lost = []

    def once(frame: Frame) -> bool:
        wanted = Kind.WRITE if direction == "request" else Kind.WRITE | REPLY
        if frame.kind == wanted and not lost:
            lost.append(frame)
            return True
        return False

    controller.lose = once
    client.write_words(Space.ACT, 0, [1, 2])  # the controller asserts: not written twice
    assert controller.sent[0] == controller.sent[1]
    assert len(controller.sent) == 2 and lost


def test_silence_ends_in_a_timeout_after_the_stated_tries(client, controller):
    controller.lose = lambda frame: True
    with pytest.raises(LinkTimeout, match="no reply to PING in 3 tries of 0.1 s each"):
        client.ping()
    assert len(controller.sent) == controller.waits == 3


def test_endless_noise_ends_in_a_timeout_too(controller):
    controller.lose = lambda frame: True
    controller.read = lambda timeout: b"\x55\x00" * 50
    with pytest.raises(LinkTimeout):
        LinkClient(controller).status()


def test_a_refusal_names_the_request_and_the_status(client):
    with pytest.raises(LinkRefused, match="refused READ: BAD_ADDRESS") as caught:
        client.read_words(Space.PARAM, 0, 1)
    assert caught.value.status == Status.BAD_ADDRESS


def test_a_new_request_is_never_taken_for_a_repetition(client, controller):
    for first in range(3):
        client.write_words(Space.ACT, 2 * first, [1])
        for _ in range(255):
            client.status()
        client.write_words(Space.ACT, 2 * first + 1, [2])
    assert len(controller.memories) == 6


def test_a_stranger_is_named(client, controller):
    controller._execute = lambda frame: b"\0" + b"HELLO"
    with pytest.raises(LinkError, match="no Ohmloom controller"):
        client.ping()
    controller._execute = lambda frame: b"\0OHML\x63\x00" + INFO.pack()[6:]
    with pytest.raises(LinkError, match="speaks version 99 of the link; this host, 1"):
        client.ping()
