"""Array files from and for the user: `.npy`, never a pickle."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ..compiler.errors import CalibrationError, InputError
from ..errors import OhmloomError

MAGIC = b"\x93NUMPY"


class ArrayFileError(OhmloomError):
    """A file that is not a plain array."""


def load_array(path: Path) -> np.ndarray:
    """Read one ``.npy`` array.

    Raises
    ------
    ArrayFileError
        If it is not one: another format, truncated, or Python objects.
    OSError
        If the file cannot be read.
    """
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise ArrayFileError(f"{path} is not a NumPy array file (.npy)")
    try:
        # Mapped, so that a header which claims more than the file holds is
        # refused before any memory is taken.
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ArrayFileError(f"{path} is not a whole NumPy array file: {error}") from error
    return np.array(mapped)


@contextmanager
def blaming(path: Path) -> Iterator[None]:
    """Errors about samples or labels inside name the file that they come from."""
    try:
        yield
    except (InputError, CalibrationError) as error:
        raise ArrayFileError(f"{path}: {error}") from error


def save_array(path: Path, array: np.ndarray) -> None:
    """Write a ``.npy`` file, whole or not at all."""
    temporary = path.with_name(f".{path.name}.part")
    with temporary.open("wb") as file:
        np.save(file, array, allow_pickle=False)
    temporary.replace(path)
