"""Conversations kept in a file and replayed; the real ones with the compiled engine."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmloom.boards.link import (
    Frame,
    FrameDecoder,
    Kind,
    LinkClient,
    LinkTimeout,
    Space,
    Status,
    encode_frame,
)
from ohmloom.boards.recording import (
    RecordingError,
    RecordingTransport,
    ReplayError,
    ReplayTransport,
)
from ohmloom.hw.geometry import Geometry
from ohmloom.hw.link.protocol import ACCESS, READ_HEAD, REPLY, WRITE_HEAD, Info
from ohmloom.sim.converters import Converters
from ohmloom.sim.cosim.fast.plugged import plugged
from ohmloom.sim.cosim.resistors import Resistors

CLK_HZ, BIT_CYCLES = 48_000_000, 48
GEOMETRY = Geometry(rows=8, columns=8, tiles=1, calibration=True)
WIDTH = ACCESS[Space.ACT].word_bytes


class Controller:
    """A transport with a memory behind it, which loses every ``lossy``-th request."""

    def __init__(self, lossy: int = 0, chunk: int = 1000) -> None:
        self.words = bytearray(64)
        self.lossy, self.chunk = lossy, chunk
        self._decoder = FrameDecoder()
        self._out: deque[int] = deque()
        self._requests = 0
        self._last = 0

    def write(self, data: bytes) -> None:
        for frame in self._decoder.feed(data):
            self._requests += 1
            if not self.lossy or self._requests % self.lossy:
                self._out += encode_frame(self._reply(frame))

    def read(self, timeout: float) -> bytes:
        return bytes(self._out.popleft() for _ in range(min(self.chunk, len(self._out))))

    def _reply(self, frame: Frame) -> Frame:
        body = b""
        if frame.kind == Kind.PING:
            self._last = frame.seq
            body = Info.of(GEOMETRY, CLK_HZ).pack()
        elif frame.kind == Kind.WRITE:
            if frame.seq - self._last & 0xFF > 1:
                return Frame(frame.seq, frame.kind | REPLY, bytes([Status.GAP]))
            self._last = frame.seq
            _, address = WRITE_HEAD.unpack_from(frame.payload)
            data = frame.payload[WRITE_HEAD.size :]
            self.words[WIDTH * address : WIDTH * address + len(data)] = data
        elif frame.kind == Kind.READ:
            _, address, count = READ_HEAD.unpack(frame.payload)
            body = bytes(self.words[WIDTH * address : WIDTH * (address + count)])
        return Frame(frame.seq, frame.kind | REPLY, bytes([Status.OK]) + body)


def talk(client: LinkClient, values: Sequence[int] = range(20)) -> list[int]:
    """What a host says: a ping, one word after the other, and then it reads them all."""
    client.ping()
    for address, value in enumerate(values):
        client.write_words(Space.ACT, address, [value])
    return client.read_words(Space.ACT, 0, len(values))


@pytest.fixture
def record(tmp_path: Path) -> Callable[..., Path]:
    def make(**controller: int) -> Path:
        path = tmp_path / "conversation.jsonl"
        with RecordingTransport(Controller(**controller), path, "talk") as transport:
            assert talk(LinkClient(transport)) == list(range(20))
        return path

    return make


@pytest.mark.parametrize("lossy", [0, 3, 4, 7])
@pytest.mark.parametrize("chunk", [1, 3, 1000])
def test_a_replay_gives_the_same_results(
    record: Callable[..., Path], lossy: int, chunk: int
) -> None:
    path = record(lossy=lossy, chunk=chunk)
    with ReplayTransport(path, "talk") as transport:
        assert talk(LinkClient(transport)) == list(range(20))


def test_how_a_port_divides_what_it_gives_leaves_no_trace(record: Callable[..., Path]) -> None:
    assert record(chunk=1).read_bytes() == record(chunk=5).read_bytes()


class Divided:
    """A transport that passes on what is said in other pieces."""

    def __init__(self, inner: ReplayTransport, sizes: Sequence[int]) -> None:
        self._inner = inner
        self._sizes = deque(sizes)
        self._kept = b""

    def write(self, data: bytes) -> None:
        while data:
            self._sizes.rotate(-1)
            self._inner.write(data[: self._sizes[0]])
            data = data[self._sizes[0] :]

    def read(self, timeout: float) -> bytes:
        self._sizes.rotate(-1)
        self._kept = self._kept or self._inner.read(timeout)
        given, self._kept = self._kept[: self._sizes[0]], self._kept[self._sizes[0] :]
        return given


@given(st.lists(st.integers(1, 40), min_size=1, max_size=9), st.sampled_from([0, 3]))
def test_other_pieces_change_nothing(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], lossy: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "divided.jsonl"
    with RecordingTransport(Controller(lossy=lossy), path) as transport:
        talk(LinkClient(transport))
    with ReplayTransport(path) as transport:
        assert talk(LinkClient(Divided(transport, sizes))) == list(range(20))


def request(seq: int, kind: Kind = Kind.HEALTH) -> bytes:
    return encode_frame(Frame(seq, kind, b""))


def test_a_repetition_that_was_not_recorded_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    with RecordingTransport(Controller(), path) as recording:
        for seq in (1, 2):
            recording.write(request(seq))
            recording.read(1)
    with ReplayTransport(path) as replay:
        answers = []
        for seq in (1, 2):
            replay.write(request(seq))
            replay.write(request(seq))
            answers.append(replay.read(1))
            replay.write(request(1))
    kinds = [FrameDecoder().feed(answer)[0] for answer in answers]
    assert [(frame.seq, frame.kind) for frame in kinds] == [(1, 0x92), (2, 0x92)]


def test_a_recorded_repetition_is_not_asked_for(tmp_path: Path) -> None:
    """The recorded host has lost patience and sent its request twice; this one waits, or not."""
    path = tmp_path / "r.jsonl"
    with RecordingTransport(Controller(lossy=2), path) as recording:
        recording.write(request(1))
        recording.read(1)
        for _ in range(2):  # the first one is lost
            recording.write(request(2))
            recording.read(1)
        recording.write(request(3, Kind.STATUS))
    for patient in (True, False):
        with ReplayTransport(path) as replay:
            replay.write(request(1))
            replay.read(1)
            replay.write(request(2))
            assert replay.read(1) == b""
            if patient:
                assert replay.read(1) == b""  # there was nothing to come without a repetition
            else:
                replay.write(request(2))
            (answer,) = FrameDecoder().feed(replay.read(1))
            assert answer.seq == 2
            replay.write(request(3, Kind.STATUS))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ([*range(5), 99, *range(6, 20)], "request 7 .* word 5 is 0x0063, recorded was 0x0005"),
        (range(21), "request 22 .* WRITE of 1 words .* from 20 on, recorded was READ of"),
        (range(19), "request 21 .* it is READ of 19 words .*, recorded was WRITE of 1 words"),
    ],
)
def test_a_host_that_says_something_else_is_refused(
    record: Callable[..., Path], values: Sequence[int], sentence: str
) -> None:
    with (
        pytest.raises(ReplayError, match=sentence),
        ReplayTransport(record(lossy=5), "talk") as transport,
    ):
        talk(LinkClient(transport), values)


def test_a_host_that_ends_early_or_goes_on_is_refused(record: Callable[..., Path]) -> None:
    path = record()
    with (
        pytest.raises(ReplayError, match="has ended after request 1, .* goes on with WRITE of 1"),
        ReplayTransport(path, "talk") as transport,
    ):
        LinkClient(transport).ping()
    with ReplayTransport(path, "talk") as transport:
        client = LinkClient(transport)
        talk(client)
        with pytest.raises(ReplayError, match="ends after request 22, .* goes on with STATUS"):
            client.status()
        with pytest.raises(ReplayError, match="ends where the host waits for more after request"):
            transport.read(1)
    with (
        pytest.raises(KeyError),  # what failed is told, not that not all was said
        ReplayTransport(path, "talk") as transport,
    ):
        raise KeyError


def test_a_host_that_sends_no_frame_is_refused(record: Callable[..., Path]) -> None:
    with pytest.raises(ReplayError, match="after request 0 the host sent no good frame"):
        ReplayTransport(record(), "talk").write(b"\5garbage\0")


def test_a_conversation_that_fails_is_kept_and_fails_again(tmp_path: Path) -> None:
    path = tmp_path / "silent.jsonl"
    with (
        pytest.raises(LinkTimeout, match="no reply to PING"),
        RecordingTransport(Controller(lossy=1), path) as transport,
    ):
        LinkClient(transport).ping()
    with pytest.raises(LinkTimeout, match="no reply to PING"), ReplayTransport(path) as transport:
        LinkClient(transport).ping()


def test_a_recording_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "r.jsonl"
    transport = RecordingTransport(Controller(), path)
    talk(LinkClient(transport))
    assert not path.exists()
    transport.close()
    assert [each.name for each in path.parent.iterdir()] == ["r.jsonl"]
    with pytest.raises(RecordingError, match="cannot write"):
        RecordingTransport(Controller(), path / "below" / "a file.jsonl")


def sealed(lines: list[str]) -> str:
    """Lines with an end that fits them."""
    text = "".join(f"{line}\n" for line in lines)
    end = {"events": len(lines) - 1, "sha256": hashlib.sha256(text.encode()).hexdigest()}
    return f"{text}{json.dumps(end)}\n"


HEAD = '{"format":"ohmloom recording","version":1,"about":"","seed":0}'


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "line 1, is none of a recording"),
        ("\x7fELF", "line 1, is none of a recording"),
        (
            sealed(['{"format":"ohmloom recording","version":2,"about":"","seed":0}']),
            "version: Input should",
        ),
        (
            sealed(['{"format":"ohmloom recording","version":1,"about":"x","seed":0}']),
            "about 'x', not",
        ),
        (HEAD + "\n", "is cut short"),
        (sealed([HEAD, '{"read":""}']).replace('"events": 1', '"events": 2'), "was altered"),
        (sealed([HEAD, '{"read":"00"}']).replace('"00"', '"01"'), "was altered"),
        (sealed([HEAD, "{}"])[:-20], "is cut short"),
        (HEAD + "\n{}\n", "line 2, is none of a recording"),
        (sealed([HEAD, '{"read":"0"}']), "line 2, .* read: String should match"),
        (sealed([HEAD, '{"read":"0g"}']), "line 2, .* read: String should match"),
        (sealed([HEAD, '{"read":5}']), "line 2, .* read: Input should be a valid string"),
        (sealed([HEAD, '{"send":""}']), "line 2, .* send: Extra inputs"),
        (sealed([HEAD, "{}"]), "line 2: either write or read"),
        (sealed([HEAD, '{"read":"00","write":"00"}']), "line 2: either write or read"),
        (sealed([HEAD, '{"write":"05110100"}']), "line 2: the host sent no good frame"),
        (sealed([HEAD, '{"write":"0511"}']), "the host's last frame has no end"),
    ],
)
def test_a_file_that_is_no_recording(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(text)
    with pytest.raises(RecordingError, match=sentence) as refused:
        ReplayTransport(path)
    assert str(refused.value).startswith(str(path)) and "\n" not in str(refused.value)


@given(st.data())
def test_every_flipped_bit_is_found(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "flipped.jsonl"
    with RecordingTransport(Controller(), path) as transport:
        LinkClient(transport).ping()
    raw = bytearray(path.read_bytes())
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(raw)
    with pytest.raises(RecordingError):
        ReplayTransport(path)


def test_a_conversation_with_the_compiled_controller(tmp_path: Path) -> None:
    path = tmp_path / "real.jsonl"
    words = [(31 * n) & 0xFFFF for n in range(200)]

    def host(client: LinkClient) -> tuple[object, ...]:
        info = client.ping()
        client.write_words(Space.ACT, 3, words)
        health = client.health()
        return info, client.read_words(Space.ACT, 3, len(words)), str(health), client.log().entries

    board = plugged(GEOMETRY, CLK_HZ, BIT_CYCLES, Resistors([[1e4] * 8] * 8, 0, 1), Converters())
    with board as wire, RecordingTransport(wire, path) as transport:
        said = host(LinkClient(transport))
    assert said[1] == words
    with ReplayTransport(path) as transport:
        assert host(LinkClient(transport)) == said
    words[150] ^= 1
    with pytest.raises(ReplayError, match="word 153 is 0x122b, recorded was 0x122a"):
        host(LinkClient(ReplayTransport(path)))
