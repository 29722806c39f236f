"""Checks on the arrays that a user hands in."""

from __future__ import annotations

from math import prod

import numpy as np


def flat_samples(
    x: np.ndarray, shape: tuple[int, ...], what: str, error: type[ValueError]
) -> np.ndarray:
    """Samples (n, *shape), or already flat (n, values), as float32 (n, values).

    Raises
    ------
    error
        In one sentence, if there are no samples, their shape differs, they are
        not real numbers, or one of them is not finite in float32.
    """
    values = prod(shape)
    expected = "(N, " + ", ".join(map(str, shape)) + ")"
    if x.ndim < 2 or x.shape[1:] not in (shape, (values,)):
        raise error(f"{what} have shape {x.shape}, {expected} is accepted")
    if x.shape[0] == 0:
        raise error(f"{what} have shape {x.shape}, at least one sample is needed")
    if x.dtype.kind not in "fiub":
        raise error(f"{what} have type {x.dtype}, real numbers are accepted")
    with np.errstate(over="ignore"):
        flat = x.reshape(len(x), values).astype(np.float32)
    if not np.isfinite(flat).all():
        bad = np.count_nonzero(~np.isfinite(flat))
        raise error(f"{what} hold {bad} values that are not finite, finite numbers are accepted")
    return flat
