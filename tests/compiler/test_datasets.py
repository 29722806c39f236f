"""IDX files: every type, plain and compressed, and every way to be broken."""

from __future__ import annotations

import gzip
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from ohmloom.compiler.datasets import TYPES, load_idx
from ohmloom.compiler.errors import DatasetError


def idx(array, code=None):
    """IDX bytes of an array."""
    codes = {dtype.newbyteorder("="): code for code, dtype in TYPES.items()}
    header = struct.pack(">HBB", 0, code or codes[array.dtype], array.ndim)
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    return header + sizes + array.astype(array.dtype.newbyteorder(">")).tobytes()


@given(st.data(), st.booleans())
def test_round_trip(tmp_path_factory, data, compress):
    dtype = data.draw(st.sampled_from(list(TYPES.values()))).newbyteorder("=")
    array = data.draw(arrays(dtype, array_shapes(min_side=0, max_dims=4)))
    path = tmp_path_factory.mktemp("idx") / "a"
    path.write_bytes(gzip.compress(idx(array)) if compress else idx(array))
    found = load_idx(path)
    assert found.dtype == dtype and found.dtype.isnative
    np.testing.assert_array_equal(found, array)


IMAGES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize(
    "body,words",
    [
        (b"", "starts with nothing"),
        (b"\0\0", "starts with 0000"),
        (b"\x93NUMPY" + b"\0" * 9, "is not an IDX file"),
        (b"\0\0\x07\x01" + b"\0" * 9, "is not an IDX file"),
        (b"\0\0\x08\x00", "0 dimensions"),
        (b"\0\0\x08\xff" + b"\0" * 2000, "255 dimensions"),
        (b"\0\0\x08\x03" + b"\0" * 8, "ends inside its header"),
        (idx(IMAGES)[:-1], "23 bytes of data, its header says 24"),
        (idx(IMAGES) + b"\0", "more than 24 bytes of data"),
        (b"\0\0\x08\x02" + b"\xff" * 8, "claims 18446744065119617025 bytes"),
    ],
)
def test_broken_files(tmp_path, body, words, compress):
    path = tmp_path / "a"
    path.write_bytes(gzip.compress(body) if compress else body)
    with pytest.raises(DatasetError, match=words):
        load_idx(path)


def test_no_more_is_decompressed_than_the_header_says(tmp_path):
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(idx(IMAGES) + bytes(1 << 24)))
    with pytest.raises(DatasetError, match="more than 24"):
        load_idx(path)


def test_size_limit(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(idx(IMAGES))
    with pytest.raises(DatasetError, match="claims 24 bytes, at most 23"):
        load_idx(path, max_bytes=23)


def test_damaged_gzip(tmp_path):
    body = bytearray(gzip.compress(idx(IMAGES)))
    path = tmp_path / "a.gz"
    for length in range(3, len(body) - 8):
        path.write_bytes(body[:length])
        with pytest.raises(DatasetError):
            load_idx(path)
    body[-6] ^= 0xFF
    path.write_bytes(body)
    with pytest.raises(DatasetError, match="damaged"):
        load_idx(path)


def test_missing_file(tmp_path):
    with pytest.raises(DatasetError, match="No such file"):
        load_idx(tmp_path / "none")


@pytest.mark.slow
def test_mnist():
    folder = os.environ.get("OHMLOOM_MNIST")
    if folder is None:
        pytest.skip("OHMLOOM_MNIST names no folder with MNIST's four files")
    for split, count in (("train", 60_000), ("t10k", 10_000)):
        images = load_idx(Path(folder) / f"{split}-images-idx3-ubyte.gz")
        labels = load_idx(Path(folder) / f"{split}-labels-idx1-ubyte.gz")
        assert images.shape == (count, 28, 28) and images.dtype == np.uint8
        assert labels.shape == (count,) and set(labels.tolist()) == set(range(10))
        assert 25 < images.mean() < 40
