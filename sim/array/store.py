"""An array's cells as a file: what they have become, for another process to go on with."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from .errors import ArrayError
from .simulated import SimulatedArray

VERSION = 1
_NUMBERS = ("version", "seed", "elapsed_s")
_TILE_AXIS = {"left_cycles": 1, "mvms": None}
"""Axis of a part along which tiles follow each other, if it is not the first one."""


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
    time = _read(path).get("time", np.empty(0))
    if not time.ndim or not len(time):
        raise ArrayError(f"{path} is no state of an array: it has no tiles")
    return len(time)


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
    found, wanted = _read(path), array.parts()
    lacking = [name for name in (*_NUMBERS, "device", *wanted) if name not in found]
    if lacking:
        raise ArrayError(f"{path} is no state of an array: it lacks {', '.join(lacking)}")
    mine = {"version": VERSION, "seed": array.seed, "device": array.device.name}
    for name, value in mine.items():
        if found[name].shape or found[name].item() != value:
            raise ArrayError(f"{path} has {name} {found[name]}, expected {value}")
    tiles = min(len(found["time"]) if found["time"].ndim else 0, array.tiles)
    whole = dict[str, np.ndarray]()
    for name, part in wanted.items():
        shape = list(part.shape)
        axis = _TILE_AXIS.get(name, 0)
        if axis is not None:
            shape[axis] = shape[axis] // array.tiles * tiles
        if found[name].dtype != part.dtype or found[name].shape != tuple(shape):
            raise ArrayError(
                f"{path}: {name} is {found[name].dtype} of shape {found[name].shape}, "
                f"expected {part.dtype} of shape {tuple(shape)}"
            )
        whole[name] = part.copy()
        whole[name][tuple(slice(length) for length in shape)] = found[name]
    elapsed = found["elapsed_s"]
    if elapsed.shape or elapsed.dtype != np.float64 or not elapsed >= 0:
        raise ArrayError(f"{path}: elapsed_s is no time")
    array.take_over(whole, float(elapsed))


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise ArrayError(f"{path} is no state of an array: {error}") from error
