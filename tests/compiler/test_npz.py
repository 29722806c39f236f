"""Array files: reproducible, and refused when damaged or different."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from ohmloom.compiler.errors import BundleError
from ohmloom.compiler.npz import ArraySpec, read_npz, write_npz

ARRAY = np.arange(24, dtype=np.int32).reshape(2, 12)
SPEC = {"a": ArraySpec(ARRAY.dtype, ARRAY.shape)}


@given(st.data())
def test_round_trip(tmp_path_factory, data):
    dtype = data.draw(st.sampled_from(["uint8", "uint16", "int32", "uint64"]))
    array = data.draw(arrays(np.dtype(dtype), array_shapes(min_side=0)))
    path = tmp_path_factory.mktemp("npz") / "a.npz"
    write_npz(path, {"a": array})
    found = read_npz(path, {"a": ArraySpec(array.dtype, array.shape)})["a"]
    np.testing.assert_array_equal(found, array)
    with np.load(path, allow_pickle=False) as numpy_reads:
        np.testing.assert_array_equal(numpy_reads["a"], array)


def test_same_bytes_every_time(tmp_path):
    for name in ("one", "two"):
        write_npz(tmp_path / name, {"a": ARRAY, "b": ARRAY * 2})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize(
    "spec,words",
    [
        ({"b": SPEC["a"]}, "holds"),
        ({"a": SPEC["a"], "b": SPEC["a"]}, "holds"),
        ({"a": ArraySpec(np.dtype(np.int64), (2, 12))}, "int64"),
        ({"a": ArraySpec(ARRAY.dtype, (24,))}, r"\(24,\) is accepted"),
    ],
)
def test_something_else_than_expected(tmp_path, spec, words):
    write_npz(tmp_path / "a.npz", {"a": ARRAY})
    with pytest.raises(BundleError, match=words):
        read_npz(tmp_path / "a.npz", spec)


def test_pickles_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.array([{}], dtype=object))
    with pytest.raises(BundleError, match="object"):
        read_npz(tmp_path / "a.npz", SPEC)


def test_damage_anywhere_is_found(tmp_path):
    path = tmp_path / "a.npz"
    write_npz(path, {"a": ARRAY})
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(BundleError):
            read_npz(path, SPEC)


def test_member_without_its_data(tmp_path):
    path = tmp_path / "a.npz"
    write_npz(path, {"a": ARRAY})
    with zipfile.ZipFile(path) as archive:
        body = archive.read("a.npy")
    for short in (body[:-1], body[:20], b""):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.npy", short)
        with pytest.raises(BundleError, match="damaged|cut short"):
            read_npz(path, SPEC)


def test_missing_file(tmp_path):
    with pytest.raises(BundleError, match="damaged"):
        read_npz(tmp_path / "none.npz", SPEC)
