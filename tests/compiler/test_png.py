"""The picture writer, read back by a decoder of the format's own description."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from ohmloom.compiler.png import png_data_uri


def decode(uri):
    """Colours, shape (height, width, 3), of an 8-bit palette PNG without line filters."""
    head, _, body = uri.partition(",")
    assert head == "data:image/png;base64"
    data = base64.b64decode(body, validate=True)
    assert data[:8] == bytes([137, 80, 78, 71, 13, 10, 26, 10])
    chunks, position = {}, 8
    while position < len(data):
        (size,) = struct.unpack_from(">I", data, position)
        kind = data[position + 4 : position + 8]
        content = data[position + 8 : position + 8 + size]
        (checksum,) = struct.unpack_from(">I", data, position + 8 + size)
        assert checksum == zlib.crc32(kind + content)
        chunks[kind] = content
        position += 12 + size
    assert list(chunks) == [b"IHDR", b"PLTE", b"IDAT", b"IEND"]
    width, height, *rest = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert rest == [8, 3, 0, 0, 0]
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, width + 1)
    assert not lines[:, 0].any()
    return np.frombuffer(chunks[b"PLTE"], np.uint8).reshape(-1, 3)[lines[:, 1:]]


@given(st.data())
def test_pixels_come_back(data):
    colours = data.draw(st.integers(1, 256))
    values = data.draw(
        arrays(
            np.uint8,
            array_shapes(min_dims=2, max_dims=2, max_side=20),
            elements=st.integers(0, colours - 1),
        )
    )
    palette = data.draw(arrays(np.uint8, (colours, 3)))
    np.testing.assert_array_equal(decode(png_data_uri(values, palette)), palette[values])
