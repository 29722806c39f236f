"""Frames as the host makes and reads them: the software twin of ``cobs`` and ``frame``."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from .protocol import CRC_BYTES, DELIMITER, HEAD_BYTES, MAX_FRAME, MAX_PAYLOAD, MIN_FRAME

FULL_BLOCK = 254
"""Data bytes of the longest COBS block."""
MAX_ENCODED = MAX_FRAME + -(-MAX_FRAME // FULL_BLOCK)
"""Longest frame after COBS, without its delimiter."""


def cobs_encode(frame: bytes) -> bytes:
    """The frame without zero bytes, delimiter not included."""
    *inner, last = frame.split(b"\0")
    out = bytearray()
    for run in inner:
        out += _blocks(run, closed=True)
    return bytes(out + _blocks(last, closed=False))


def _blocks(run: bytes, closed: bool) -> bytearray:
    """Blocks of bytes without zero; ``closed``: a zero follows, which a full block is not."""
    out = bytearray()
    while len(run) > FULL_BLOCK or (closed and len(run) == FULL_BLOCK):
        out.append(FULL_BLOCK + 1)
        out += run[:FULL_BLOCK]
        run = run[FULL_BLOCK:]
    out.append(len(run) + 1)
    return out + run


def cobs_decode(encoded: bytes) -> bytes | None:
    """The frame of ``encoded`` (without delimiter), or None if it is not COBS."""
    out, start, implied_zero = bytearray(), 0, False
    while start < len(encoded):
        code = encoded[start]
        block = encoded[start + 1 : start + code]
        if DELIMITER in encoded[start : start + code] or len(block) < code - 1:
            return None
        if implied_zero:
            out.append(0)
        out += block
        implied_zero = code <= FULL_BLOCK
        start += code
    return bytes(out)


@dataclass(frozen=True)
class Frame:
    """A frame whose CRC was good. ``kind`` is a request, a reply or an event."""

    seq: int
    kind: int
    payload: bytes


def encode_frame(frame: Frame) -> bytes:
    """The frame's bytes on the line, delimiter included.

    Raises
    ------
    ValueError
        If the payload is longer than 1016 bytes.
    """
    if len(frame.payload) > MAX_PAYLOAD:
        raise ValueError(
            f"a payload of {len(frame.payload)} bytes is longer than the {MAX_PAYLOAD} of a frame"
        )
    raw = bytes([frame.seq, frame.kind]) + frame.payload
    raw += zlib.crc32(raw).to_bytes(CRC_BYTES, "little")
    return cobs_encode(raw) + bytes([DELIMITER])


def decode_frame(encoded: bytes) -> Frame | None:
    """The frame of ``encoded`` (without delimiter), or None if anything in it is wrong."""
    raw = cobs_decode(encoded)
    if raw is None or not MIN_FRAME <= len(raw) <= MAX_FRAME:
        return None
    body, crc = raw[:-CRC_BYTES], raw[-CRC_BYTES:]
    if zlib.crc32(body) != int.from_bytes(crc, "little"):
        return None
    return Frame(body[0], body[1], body[HEAD_BYTES:])


class FrameDecoder:
    """Bytes in, in pieces of any size; good frames out.

    Attributes
    ----------
    good, bad : int
        Frames decoded and frames dropped so far; empty ones do not count.
    """

    def __init__(self) -> None:
        self.good = 0
        self.bad = 0
        self._pending = bytearray()

    def feed(self, received: bytes) -> list[Frame]:
        """The frames that ``received`` completes."""
        frames = []
        *ended, rest = received.split(bytes([DELIMITER]))
        for piece in ended:
            self._pending += piece
            if self._pending:
                frame = decode_frame(bytes(self._pending))
                if frame is None:
                    self.bad += 1
                else:
                    self.good += 1
                    frames.append(frame)
            self._pending.clear()
        # One byte over the longest frame is enough to know that it is too long.
        self._pending += rest
        del self._pending[MAX_ENCODED + 1 :]
        return frames
