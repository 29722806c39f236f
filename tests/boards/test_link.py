"""The blocking client against a controller written in Python."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
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
    RunRefused,
    RunResult,
    Space,
    Status,
    encode_frame,
)
from ohmloom.hw.geometry import Geometry
from ohmloom.hw.image import Image, LayerSpan, Span
from ohmloom.hw.isa import Instruction, Op, PulseStatus, Reg, instruction
from ohmloom.hw.link.log_entry import PULSE_SENTENCES, Entry
from ohmloom.hw.link.protocol import (
    ACCESS,
    CHANGES,
    DONE,
    DONE_BODY,
    READ_HEAD,
    REPLY,
    RUN_HEAD,
    SENTENCES,
    STATUS_BODY,
    STATUS_SENTENCES,
    TRAP_SENTENCES,
    WRITE_HEAD,
    Event,
    Reason,
    Trap,
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
        self.trap = (0, 0)
        self._decoder = FrameDecoder()
        self._known: dict[tuple[int, int], bytes] = {}
        self._last: int | None = None
        self.longest = 0

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
        if frame.kind in CHANGES:
            if (frame.seq, frame.kind) in self._known:
                return self._known[frame.seq, frame.kind]
            if self._last is not None and frame.seq != (self._last + 1) % 256:
                return bytes([Status.GAP])
            self._last = frame.seq
        answer = self._perform(frame)
        if frame.kind in CHANGES:
            self._known[frame.seq, frame.kind] = answer
            for old in list(self._known)[: -INFO.window]:
                del self._known[old]
        return answer

    def _perform(self, frame: Frame) -> bytes:
        match frame.kind:
            case Kind.PING:
                self._known, self._last = {}, frame.seq
                return b"\0" + INFO.pack()
            case Kind.STATUS:
                self.polls_until_done -= 1
                running = self.polls_until_done > 0
                return b"\0" + STATUS_BODY.pack(
                    running, 1, 2, RESULT.cycles, RESULT.saturations, self.illegal, *self.trap
                )
            case Kind.WRITE:
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
            case Kind.RUN:
                self.runs.append(RUN_HEAD.unpack(frame.payload))
                numbers = (RESULT.cycles, RESULT.saturations, self.illegal, *self.trap)
                body = b"\0" + DONE_BODY.pack(*numbers)
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
@pytest.mark.parametrize("trap", [trap for trap in Trap if trap])
def test_a_run_into_no_instruction_is_an_error(client, controller, lost, trap):
    controller.lose = lambda frame: lost and frame.kind == DONE
    controller.illegal = True
    controller.trap = (trap, 17)
    with pytest.raises(RunRefused) as caught:
        client.run(4, 0)
    assert caught.value.trap == trap and caught.value.address == 17
    assert str(caught.value) == (
        "the run from 4 ended at a word that is no instruction it can execute, "
        f"word 17: {TRAP_SENTENCES[trap]}"
    )


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
    with pytest.raises(LinkTimeout, match="no reply to PING in 3 tries of up to 0.1 s each"):
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
    with pytest.raises(LinkError, match="speaks version 99 of the link; this host, 2"):
        client.ping()


# -- windows -------------------------------------------------------------------------


@pytest.fixture
def windowed(controller):
    client = LinkClient(controller, timeout=0.1, tries=3)
    assert client.ping().window == 4
    controller.sent.clear()
    return client


def words_of(controller, space=Space.ACT):
    found = {at: word for (where, at), word in controller.memories.items() if where == space}
    return [int.from_bytes(found[at], "little") for at in sorted(found)]


def test_a_window_is_sent_at_once(windowed, controller):
    words = list(range(2048))
    sizes = []
    write = controller.write
    controller.write = lambda data: (sizes.append(data.count(0) // 2), write(data))
    windowed.write_words(Space.ACT, 0, words)
    assert words_of(controller) == words
    # 2048 words of two bytes fill five frames: four at once, one more as replies come.
    assert sizes[0] == 4 and sum(sizes) == 5
    assert windowed.read_words(Space.ACT, 0, 2048) == words


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_lost_all_is_written_once_and_in_order(windowed, controller, seed):
    """The controller's memory is a history: a later request before an earlier one shows."""
    rng = random.Random(seed)
    controller.lose = lambda frame: rng.random() < 0.2
    written = []
    perform = controller._perform

    def remember(frame):
        if frame.kind == Kind.WRITE:
            _, address = WRITE_HEAD.unpack_from(frame.payload)
            written.append((address, (len(frame.payload) - WRITE_HEAD.size) // 2))
            controller.memories.clear()  # lets a piece be written again: checked below
        return perform(frame)

    controller._perform = remember
    windowed.exchanges.tries = 50
    windowed.write_words(Space.ACT, 0, list(range(3000)))
    covered = 0
    for address, count in written:
        assert address <= covered  # nothing is left out
        covered = max(covered, address + count)
    assert covered == 3000
    controller.lose = lambda frame: False
    # Whatever happened, the next request is executed, and only once.
    windowed.run(7, 1)
    assert controller.runs == [(7, 1)]


def test_pieces_get_shorter_with_losses_and_longer_again(windowed, controller):
    exchanges = windowed.exchanges
    controller.lose = lambda frame: len(frame.payload) > 100  # a line that breaks long frames
    exchanges.tries = 10
    words = [7 * i & 0xFFFF for i in range(2000)]
    controller.memories = Overwritten()
    windowed.write_words(Space.ACT, 0, words)
    assert words_of(controller) == words
    assert 32 <= exchanges.piece <= 200
    assert windowed.read_words(Space.ACT, 0, 2000) == words
    controller.lose = lambda frame: False
    windowed.write_words(Space.ACT, 0, 12 * words)
    windowed.write_words(Space.ACT, 0, 12 * words)
    assert exchanges.piece > 900


class Overwritten(dict):
    """A memory whose words may be written again, with the same value only."""

    def __contains__(self, key):
        return False


def test_a_refusal_in_a_window_is_told_and_the_next_request_works(windowed, controller):
    perform = controller._perform
    refused = []

    def refuse(frame):
        if frame.kind == Kind.WRITE and not refused:
            refused.append(frame)
            return bytes([Status.BUSY])
        return perform(frame)

    controller._perform = refuse
    with pytest.raises(LinkRefused, match="refused WRITE: BUSY, a run is under way"):
        windowed.write_words(Space.ACT, 0, list(range(2000)))
    windowed.write_words(Space.PARAM, 0, [5])
    assert words_of(controller, Space.PARAM) == [5]


def test_after_a_timeout_the_host_begins_again(windowed, controller):
    windowed.write_words(Space.ACT, 0, [1])
    controller.lose = lambda frame: True
    for _ in range(3):
        with pytest.raises(LinkTimeout):
            windowed.write_words(Space.ACT, 1, [1])
    controller.lose = lambda frame: False
    controller.sent.clear()
    windowed.write_words(Space.ACT, 2, [3])
    assert [frame.kind for frame in controller.sent] == [Kind.PING, Kind.WRITE]


def test_another_host_is_noticed(windowed, controller):
    windowed.write_words(Space.ACT, 0, [1])
    controller._last = 99
    controller._known.clear()
    with pytest.raises(LinkError, match="of another host: PING first"):
        windowed.write_words(Space.ACT, 1, [1])
    windowed.ping()
    windowed.write_words(Space.ACT, 1, [1])


# -- sentences -----------------------------------------------------------------------


def test_every_code_has_a_sentence_of_its_own():
    for kind, sentences in (
        (Status, STATUS_SENTENCES),
        (Trap, TRAP_SENTENCES),
        (Reason, SENTENCES),
        (PulseStatus, PULSE_SENTENCES),
    ):
        assert list(sentences) == list(kind)
        assert len(set(sentences.values())) == len(kind) and all(sentences.values())


@pytest.mark.parametrize("status", [status for status in Status if status])
def test_every_refusal_is_a_sentence(client, controller, status):
    controller._perform = lambda frame: bytes([status])
    with pytest.raises(LinkRefused) as caught:
        client.status()
    said = f"the controller refused STATUS: {status.name}, {STATUS_SENTENCES[status]}"
    assert str(caught.value) == said


@pytest.mark.parametrize("event", list(Event))
def test_every_event_is_a_sentence(event):
    known = str(Entry(0, 256, event, 1, 9))
    unknown = str(Entry(0, 256, event, 15, 9))
    assert known.startswith("cycle 256: ") and "event" not in known and "detail" not in known
    if event in (Event.STOP, Event.TRAP, Event.PULSE):
        assert known != unknown and unknown.endswith(" 15")
    assert str(Entry(0, 0, 14, 2, 3)) == "cycle 0: event 14, code 2, detail 3"


# -- what a bundle needs -------------------------------------------------------------


def image(geometry: Geometry = GEOMETRY, code: tuple[Instruction, ...] = ()) -> Image:
    return Image(
        geometry=geometry,
        code=(*code, instruction(Op.HALT)),
        entries={},
        params=np.zeros(3, np.uint64),
        tiles=2,
        input=Span(0, 32),
        layers=(LayerSpan("dense", Span(100, 16)),),
    )


LUT = instruction(Op.LUT, act=0, out=0, table=0, count=1)
SLICE = instruction(Op.MVM, tile=0, act=0, first=0, rows=1, planes=1, signed=0, clear=0, shift=4)
PAIRS, COLUMNS = (instruction(Op.SET, reg=Reg.SCHEME, value=value) for value in (0, 1))


@pytest.mark.parametrize(
    ("board", "code", "said"),
    [
        ({"rows": 16}, (), "it needs 32 rows, the board has 16"),
        ({"columns": 64}, (), "it was made for 32 columns, the board has 64"),
        ({"tiles": 1}, (), "it needs 2 tiles, the board has 1"),
        ({"act_width": 8}, (), "it needs 16 bits of an activation, the board has 8"),
        ({"acc_width": 32}, (), "it needs 40 bits of an accumulator, the board has 32"),
        ({"act_depth": 64}, (), "it needs 116 words of activation memory, the board has 64"),
        ({"program_depth": 16}, 16 * (LUT,), "it needs 17 words of program memory"),
        ({"lut": False}, (LUT,), "it needs LUT, the board lacks it"),
        ({"slices": False}, (SLICE,), "it needs bit slices, the board lacks them"),
        ({"single": False}, (COLUMNS,), "it needs single columns, the board lacks them"),
        ({"single": False}, (PAIRS,), "it needs single columns"),  # which it refuses to set
        ({"single": True}, (), "it was made for pairs of columns alone"),
        ({"passive": True}, (), "an array with transistors, the board is for one without"),
        ({"calibration": True}, (), "without one, the board's is with a calibration table"),
        ({"line": False}, (instruction(Op.SET, reg=Reg.LINE, value=1),), "it needs targets"),
        ({"wear": False}, (instruction(Op.SET, reg=Reg.ENDURANCE, value=9),), "count of wear"),
    ],
)
def test_a_bundle_that_does_not_fit_is_refused(client, monkeypatch, board, code, said):
    info = Info.of(replace(GEOMETRY, **board), 48_000_000)
    monkeypatch.setitem(globals(), "INFO", info)
    with pytest.raises(LinkError, match="the bundle does not fit this board: .*" + said) as caught:
        client.require(image(code=code))
    assert ";" not in str(caught.value)  # the one thing, and no other


def test_a_bundle_that_fits_is_taken(client):
    unset = instruction(Op.SET, reg=Reg.LINE, value=0)
    assert client.require(image(code=(LUT, SLICE, unset))) == INFO
