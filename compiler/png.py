"""A picture of integers as PNG (ISO/IEC 15948), one palette entry per value."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"
PALETTE_COLOURS = 256


def png_data_uri(values: np.ndarray, palette: np.ndarray) -> str:
    """``data:`` URI of a picture with one pixel per value.

    Parameters
    ----------
    values:
        uint8, shape (height, width).
    palette:
        uint8, shape (at most 256, 3): red, green, blue of each value.
    """
    height, width = values.shape
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    # Every line starts with the number of its filter; 0 is none.
    lines = np.concatenate([np.zeros((height, 1), np.uint8), values], axis=1)
    chunks = [
        (b"IHDR", header),
        (b"PLTE", palette.astype(np.uint8).tobytes()),
        (b"IDAT", zlib.compress(lines.tobytes(), 9)),
        (b"IEND", b""),
    ]
    body = SIGNATURE + b"".join(_chunk(kind, data) for kind, data in chunks)
    return "data:image/png;base64," + base64.b64encode(body).decode("ascii")


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)
