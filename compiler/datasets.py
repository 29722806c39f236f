"""MNIST's IDX files (https://yann.lecun.com/exdb/mnist), plain or gzip-compressed."""

from __future__ import annotations

import gzip
import struct
import zlib
from math import prod
from pathlib import Path
from typing import BinaryIO

import numpy as np

from .errors import DatasetError

MAX_BYTES = 1 << 30
MAX_DIMENSIONS = 8
GZIP_MAGIC = b"\x1f\x8b"
TYPES = {
    0x08: np.dtype(np.uint8),
    0x09: np.dtype(np.int8),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}


def load_idx(path: str | Path, max_bytes: int = MAX_BYTES) -> np.ndarray:
    """The array of an IDX file, in native byte order.

    No more than the size that the header states is read or decompressed, and
    that size may be at most ``max_bytes``.

    Raises
    ------
    DatasetError
        If the file is missing, no IDX file, too large, cut short or too long.
    """
    path = Path(path)
    try:
        with path.open("rb") as raw:
            packed = raw.read(len(GZIP_MAGIC)) == GZIP_MAGIC
            raw.seek(0)
            if not packed:
                return _read(raw, path, max_bytes)
            with gzip.open(raw) as unpacked:
                return _read(unpacked, path, max_bytes)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DatasetError(f"{path} is a damaged or truncated gzip file") from error
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror}") from error


def _read(stream: BinaryIO | gzip.GzipFile, path: Path, max_bytes: int) -> np.ndarray:
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in TYPES:
        raise DatasetError(f"{path} is not an IDX file: it starts with {magic.hex() or 'nothing'}")
    dtype, dimensions = TYPES[magic[2]], magic[3]
    if not 1 <= dimensions <= MAX_DIMENSIONS:
        raise DatasetError(f"{path} has {dimensions} dimensions, 1 to {MAX_DIMENSIONS} accepted")
    header = stream.read(4 * dimensions)
    if len(header) < 4 * dimensions:
        raise DatasetError(f"{path} ends inside its header")
    shape = struct.unpack(f">{dimensions}I", header)
    size = prod(shape) * dtype.itemsize
    if size > max_bytes:
        raise DatasetError(f"{path} claims {size} bytes, at most {max_bytes} are accepted")
    body = stream.read(size + 1)
    if len(body) != size:
        found = f"more than {size}" if len(body) > size else str(len(body))
        raise DatasetError(f"{path} has {found} bytes of data, its header says {size}")
    return np.frombuffer(body, dtype).reshape(shape).astype(dtype.newbyteorder("="))
