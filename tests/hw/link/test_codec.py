"""The host's codec."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmloom.hw.link.codec import (
    MAX_ENCODED,
    Frame,
    FrameDecoder,
    cobs_decode,
    cobs_encode,
    encode_frame,
)
from ohmloom.hw.link.protocol import MAX_PAYLOAD

BLOCK = bytes(range(1, 255))

frames = st.builds(
    Frame,
    seq=st.integers(0, 255),
    kind=st.integers(0, 255),
    payload=st.one_of(
        st.binary(max_size=MAX_PAYLOAD),
        st.lists(st.sampled_from([0, 1, 255]), max_size=MAX_PAYLOAD).map(bytes),
    ),
)


# Test vectors of the COBS paper's rules, as listed in its encyclopaedia article.
@pytest.mark.parametrize(
    ("raw", "encoded"),
    [
        (b"\x00", b"\x01\x01"),
        (b"\x00\x00", b"\x01\x01\x01"),
        (b"\x00\x11\x00", b"\x01\x02\x11\x01"),
        (b"\x11\x22\x00\x33", b"\x03\x11\x22\x02\x33"),
        (b"\x11\x22\x33\x44", b"\x05\x11\x22\x33\x44"),
        (b"\x11\x00\x00\x00", b"\x02\x11\x01\x01\x01"),
        (BLOCK, b"\xff" + BLOCK),
        (b"\x00" + BLOCK, b"\x01\xff" + BLOCK),
        (BLOCK + b"\xff", b"\xff" + BLOCK + b"\x02\xff"),
        (BLOCK[1:] + b"\xff\x00", b"\xff" + BLOCK[1:] + b"\xff\x01\x01"),
        (BLOCK[2:] + b"\xff\x00\x01", b"\xfe" + BLOCK[2:] + b"\xff\x02\x01"),
    ],
)
def test_cobs_vectors(raw, encoded):
    assert cobs_encode(raw) == encoded
    assert cobs_decode(encoded) == raw


# Runs without zero whose lengths lie around one and two full blocks.
runs = st.sampled_from([0, 1, 2, 252, 253, 254, 255, 256, 507, 508, 509]).map(lambda n: b"\x07" * n)


@given(st.binary(max_size=800) | st.lists(runs, min_size=1, max_size=4).map(b"\0".join))
def test_cobs_round_trip_without_a_zero(raw):
    encoded = cobs_encode(raw)
    assert 0 not in encoded
    assert len(encoded) <= len(raw) + max(1, -(-len(raw) // 254))
    assert cobs_decode(encoded) == raw


@given(st.lists(frames, max_size=4), st.data())
def test_frames_survive_any_cut(sent, data):
    line = b"".join(encode_frame(frame) for frame in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(line)), max_size=5)))
    decoder, got = FrameDecoder(), []
    for start, end in zip([0, *cuts], [*cuts, len(line)], strict=True):
        got += decoder.feed(line[start:end])
    assert got == sent
    assert (decoder.good, decoder.bad) == (len(sent), 0)


@given(frames, st.data())
def test_any_flipped_bit_is_noticed(frame, data):
    line = bytearray(encode_frame(frame))
    bit = data.draw(st.integers(0, 8 * len(line) - 1))
    line[bit // 8] ^= 1 << bit % 8
    decoder = FrameDecoder()
    assert decoder.feed(bytes(line) + b"\0") == []
    assert decoder.bad >= 1


@given(st.binary(max_size=3000), frames)
def test_garbage_does_not_reach_the_next_frame(garbage, frame):
    decoder = FrameDecoder()
    decoder.feed(garbage + b"\0")
    assert decoder.feed(encode_frame(frame)) == [frame]


def test_the_longest_frame_passes_and_a_longer_one_does_not():
    longest = Frame(1, 2, bytes(range(1, 255)) * 4)
    assert len(longest.payload) == MAX_PAYLOAD
    decoder = FrameDecoder()
    assert decoder.feed(encode_frame(longest)) == [longest]
    assert decoder.feed(b"\x01" * (MAX_ENCODED + 1) + b"\0") == []
    assert decoder.bad == 1
    with pytest.raises(ValueError, match="1017 bytes is longer than the 1016"):
        encode_frame(Frame(1, 2, bytes(MAX_PAYLOAD + 1)))
