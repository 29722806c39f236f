from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from ohmloom.cli.arrays import ArrayFileError, load_array, save_array


@given(arrays(st.sampled_from([np.float32, np.int64, np.uint8]), array_shapes(max_dims=3)))
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, array: np.ndarray) -> None:
    path = tmp_path_factory.mktemp("arrays") / "x.npy"
    save_array(path, array)
    back = load_array(path)
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)
    assert [entry.name for entry in path.parent.iterdir()] == ["x.npy"]


def npy(header: str, body: bytes) -> bytes:
    text = header.encode().ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + body


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04 an archive",
        b"\x93NUMPY",
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4,), }", bytes(15)),
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1 << 60,), }", bytes(16)),
        npy(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({1 << 60},), }}", bytes(16)),
        npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", b"cos\nsystem\n."),
    ],
)
def test_what_is_no_plain_array_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.npy"
    path.write_bytes(content)
    with pytest.raises(ArrayFileError, match=r"x\.npy is not a"):
        load_array(path)
