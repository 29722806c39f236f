"""An array's cells as a file: what they have become, for another process to go on with."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from .errors import ArrayError
from .simulated import SimulatedArray

VERSION = 1
_NUMBERS = ("version", "seed", "elapsed_s")
_TILE_AXIS = {"left_cycles": 1, "mvms": None}
"""Axis of a part along which tiles follow each other, if it is not the first one."""
MAX_NAME_BYTES = 1 << 12
_DAMAGED = (ValueError, EOFError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error)


def save(array: SimulatedArray, path: Path) -> None:
    """Write an array's state as ``.npz``, whole or not at all.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    beside = path.with_name(f".{path.name}.part")
    parts: dict[str, np.ndarray] = {
        "version": np.array(VERSION),
        "seed": np.array(array.seed),
        "elapsed_s": np.array(array.elapsed_s),
        "device": np.array(array.device.name),
        **array.parts(),
    }
    with beside.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **parts)
    beside.replace(path)


def tiles_of(path: Path) -> int:
    """How many tiles the array of a file has.

    Raises
    ------
    ArrayError
        If it is no such file.
    OSError
        If it cannot be read.
    """
    shape, _ = _headers(path).get("time", ((), None))
    if not shape or not shape[0]:
        raise ArrayError(f"{path} is no state of an array: it has no tiles")
    return shape[0]


def restore(array: SimulatedArray, path: Path) -> None:
    """Give an array of the same device, seed and size the state that :func:`save` wrote.

    Where there are fewer tiles in the file, the others stay as they are.

    Raises
    ------
    ArrayError
        If it is no such file, or is of another array.
    OSError
        If it cannot be read.
    """
    there, wanted = _headers(path), array.parts()
    lacking = [name for name in (*_NUMBERS, "device", *wanted) if name not in there]
    if lacking:
        raise ArrayError(f"{path} is no state of an array: it lacks {', '.join(lacking)}")
    tiles = min(tiles_of(path), array.tiles)
    # All of them before any is read: no more memory is taken than the array's own.
    for name in (*_NUMBERS, "device"):
        shape, dtype = there[name]
        if shape or dtype.itemsize > MAX_NAME_BYTES:
            raise ArrayError(f"{path}: {name} is {dtype} of shape {shape}, one value is accepted")
    said = _read(path, [*_NUMBERS, "device"])
    mine = {"version": VERSION, "seed": array.seed, "device": array.device.name}
    for name, value in mine.items():
        if said[name].item() != value:
            raise ArrayError(f"{path} has {name} {said[name]}, expected {value}")
    elapsed = said["elapsed_s"]
    if elapsed.dtype != np.float64 or not elapsed >= 0:
        raise ArrayError(f"{path}: elapsed_s is no time")
    shapes = {
        name: _of_tiles(name, part.shape, array.tiles, tiles) for name, part in wanted.items()
    }
    for name, part in wanted.items():
        shape, dtype = there[name]
        if dtype != part.dtype or shape != shapes[name]:
            raise ArrayError(
                f"{path}: {name} is {dtype} of shape {shape}, "
                f"expected {part.dtype} of shape {shapes[name]}"
            )
    found = _read(path, wanted)
    whole = {name: part.copy() for name, part in wanted.items()}
    for name, part in whole.items():
        part[tuple(slice(length) for length in shapes[name])] = found[name]
    array.take_over(whole, float(elapsed))


def _of_tiles(name: str, shape: tuple[int, ...], tiles: int, fewer: int) -> tuple[int, ...]:
    """The shape of a part of fewer tiles."""
    axis = _TILE_AXIS.get(name, 0)
    return tuple(
        length // tiles * fewer if each == axis else length for each, length in enumerate(shape)
    )


def _headers(path: Path) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """Shape and type of each array of a file, none of which is read."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {
                name.removesuffix(".npy"): _header(archive, name) for name in archive.namelist()
            }
    except _DAMAGED as error:
        raise ArrayError(f"{path} is no state of an array: {error}") from error


def _header(archive: zipfile.ZipFile, name: str) -> tuple[tuple[int, ...], np.dtype]:
    with archive.open(name) as member:
        npy.read_magic(member)
        shape, _, dtype = npy.read_array_header_1_0(member)
    return shape, dtype


def _read(path: Path, names: Iterable[str]) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in names}
    except _DAMAGED as error:
        raise ArrayError(f"{path} is no state of an array: {error}") from error
