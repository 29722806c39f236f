"""Weights in files of their own: read only from the model's folder, and only what they claim."""

from __future__ import annotations

from math import prod
from pathlib import Path

from onnx import TensorProto
from onnx.helper import tensor_dtype_to_np_dtype

from .errors import ModelError

WHOLE_BYTES = frozenset(
    (
        TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BOOL,
        TensorProto.INT8, TensorProto.INT16, TensorProto.INT32, TensorProto.INT64,
        TensorProto.UINT8, TensorProto.UINT16, TensorProto.UINT32, TensorProto.UINT64,
    )
)  # fmt: skip
"""Types whose values take whole bytes, which ONNX stores as numpy does."""


def load_external(tensor: TensorProto, folder: Path, source: str, limit: int) -> int:
    """Bring the values of a tensor that lie in a file beside the model into the tensor.

    Parameters
    ----------
    tensor:
        A tensor with ``data_location`` EXTERNAL; afterwards it has none.
    folder:
        The model's folder; the file must really lie in it, links followed.
    source:
        The model's name, for messages.
    limit:
        Most bytes that are read.

    Returns
    -------
    Bytes read.

    Raises
    ------
    ModelError
        If the place is outside the folder, cannot be read, is more than ``limit``, or does
        not hold what the shape claims.
    """
    what = f"{source} tensor '{tensor.name}'"
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    path = _inside(location, folder, what)
    if tensor.data_type not in WHOLE_BYTES:
        kind = TensorProto.DataType.Name(tensor.data_type)
        raise ModelError(f"{what} is {kind}, which is not accepted from an external file")
    if min(tensor.dims, default=1) < 0:
        raise ModelError(f"{what} claims shape {list(tensor.dims)}")
    claimed = prod(tensor.dims) * tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    offset, length = (_number(entries, key, what) for key in ("offset", "length"))
    if length not in (None, claimed):
        raise ModelError(f"{what} claims {claimed} bytes, its entry says {length}")
    if claimed > limit:
        raise ModelError(f"{what} has {claimed} bytes, {limit} more are accepted")
    try:
        with path.open("rb") as file:
            file.seek(offset or 0)
            found = file.read(claimed)
    except OSError as error:
        raise ModelError(f"{what}: cannot read {location}: {error.strerror}") from error
    if len(found) != claimed:
        raise ModelError(f"{what} claims {claimed} bytes, {location} has {len(found)} there")
    tensor.raw_data = found
    tensor.data_location = TensorProto.DEFAULT
    del tensor.external_data[:]
    return claimed


def _inside(location: str, folder: Path, what: str) -> Path:
    """The file that is meant; a link that leads out of the folder is outside too."""
    root = folder.resolve()
    try:
        path = (root / location).resolve()
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(f"{what}: {location!r} is no place of a file") from error
    if not location or not path.is_relative_to(root):
        raise ModelError(f"{what} lies at {location!r}, a file in the model's folder is accepted")
    if not path.is_file():
        raise ModelError(f"{what}: there is no file {location!r} beside the model")
    return path


def _number(entries: dict[str, str], key: str, what: str) -> int | None:
    text = entries.get(key)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise ModelError(f"{what}: {key} = {text[:40]!r} is no number of bytes")
    return int(text)
