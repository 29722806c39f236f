"""Array files of a bundle: reproducible when written, checked before they are read.

The format is numpy's ``.npz`` (any numpy reads it). Nothing is ever unpickled,
and no array is allocated before its header says what the reader expects.
"""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from .errors import BundleError

EPOCH = (1980, 1, 1, 0, 0, 0)
"""Time stamp of every member, so that the same arrays give the same bytes."""


@dataclass(frozen=True)
class ArraySpec:
    """Type and shape that a reader expects."""

    dtype: np.dtype
    shape: tuple[int, ...]


def write_npz(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays, compressed, with the same bytes every time."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            npy.write_array(buffer, np.ascontiguousarray(array), (1, 0), allow_pickle=False)
            archive.writestr(
                zipfile.ZipInfo(f"{name}.npy", EPOCH), buffer.getvalue(), zipfile.ZIP_DEFLATED
            )


def read_npz(path: Path, expected: Mapping[str, ArraySpec]) -> dict[str, np.ndarray]:
    """Read exactly the expected arrays.

    Raises
    ------
    BundleError
        If the file is damaged, or an array is missing, extra or different.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            found = sorted(archive.namelist())
            if found != sorted(f"{name}.npy" for name in expected):
                raise BundleError(f"{path} holds {found}, {sorted(expected)} are accepted")
            return {name: _read(archive, name, spec, path) for name, spec in expected.items()}
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise BundleError(f"{path} is a damaged array file") from error


def _read(archive: zipfile.ZipFile, name: str, spec: ArraySpec, path: Path) -> np.ndarray:
    with archive.open(f"{name}.npy") as member:
        try:
            npy.read_magic(member)
            shape, fortran, dtype = npy.read_array_header_1_0(member)
        except ValueError as error:
            raise BundleError(f"{path} array '{name}' is damaged") from error
        if (shape, dtype) != (spec.shape, spec.dtype) or fortran:
            raise BundleError(
                f"{path} array '{name}' is {dtype} {shape}, {spec.dtype} {spec.shape} is accepted"
            )
        size = math.prod(shape) * dtype.itemsize
        body = member.read(size)
        if len(body) != size:
            raise BundleError(f"{path} array '{name}' is cut short")
    return np.frombuffer(body, dtype).reshape(shape)
