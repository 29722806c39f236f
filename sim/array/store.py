"""An array's cells as a file: what they have become, for another process to go on with."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from .errors import ArrayError
from .simulated import SimulatedArray

VERSION = 1
_NUMBERS = ("version", "seed", "elapsed_s")


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


def restore(array: SimulatedArray, path: Path) -> None:
    """Give an array of the same device, seed and size the state that :func:`save` wrote.

    Raises
    ------
    ArrayError
        If it is no such file, or is of another array.
    OSError
        If it cannot be read.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise ArrayError(f"{path} is no state of an array: {error}") from error
    wanted = array.parts()
    lacking = [name for name in (*_NUMBERS, "device", *wanted) if name not in found]
    if lacking:
        raise ArrayError(f"{path} is no state of an array: it lacks {', '.join(lacking)}")
    mine = {"version": VERSION, "seed": array.seed, "device": array.device.name}
    for name, value in mine.items():
        if found[name].shape or found[name].item() != value:
            raise ArrayError(f"{path} has {name} {found[name]}, expected {value}")
    for name, part in wanted.items():
        if found[name].dtype != part.dtype or found[name].shape != part.shape:
            raise ArrayError(
                f"{path}: {name} is {found[name].dtype} of shape {found[name].shape}, "
                f"expected {part.dtype} of shape {part.shape}"
            )
    elapsed = found["elapsed_s"]
    if elapsed.shape or elapsed.dtype != np.float64 or not elapsed >= 0:
        raise ArrayError(f"{path}: elapsed_s is no time")
    array.take_over({name: found[name] for name in wanted}, float(elapsed))
