"""Products on a GPU, or on what else has a namespace of the array API standard: the same integers.

The host keeps what is not a product: cells, programs, gathering of patches, requantisation. A
block of lanes goes over as small integers and comes back as sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from ..array import Operands
from ..converters import ADC_MAX, ADC_MIN, Scales, codes_of
from ..numerics import Domain, FloatArray, IntArray, draw_normal, normal_table
from .accelerator_kernel import Digits, Draws, product
from .digits import Digit
from .errors import EngineError
from .fused import Names

_VALUES = 1 << 20
"""Of an array on the device: bounds memory, of which some ten such arrays are used at a time."""
_ROOTS = 1 << 48
"""Variances below it have roots that a device may round in its own way."""
_POWERS = 1 << np.arange(32)
_LIBRARIES = ("numpy", "torch", "cupy")


class Accelerator:
    """Where products are made.

    Parameters
    ----------
    xp:
        A namespace of the array API standard, such as ``array_api_compat.torch``.
    device:
        One of its devices; None: its default.
    name:
        Of both, for what is refused.

    Raises
    ------
    EngineError
        If the device is not there, has no float64, or calculates other integers than numpy.
    """

    def __init__(self, xp: Any, device: Any = None, name: str = "") -> None:
        self.xp = xp
        self.device = device
        self.name = name or xp.__name__
        self._kept = WeakKeyDictionary[Operands, tuple[Any, Any]]()
        self._lock = Lock()
        try:
            home = self._put(np.zeros(1, np.int64)).device
            kinds = xp.__array_namespace_info__().dtypes(device=home, kind="real floating")
            same = "float64" in kinds and self._agrees()
        except Exception as error:  # whatever a library raises where there is no such device
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise EngineError(f"accelerator '{self.name}' does not work: {reason[0]}") from error
        if "float64" not in kinds:
            raise EngineError(f"accelerator '{self.name}' has no float64, which exact sums need")
        if not same:
            raise EngineError(f"accelerator '{self.name}' calculates other integers than numpy")

    def takes(self, scales: Scales, operands: Operands) -> bool:
        """Whether conversions of these sums are exact here: else they are the host's."""
        most_total, most_variance = operands.most_total, operands.most_variance
        return most_variance < _ROOTS and scales.exact(most_total, most_variance)

    def lanes(self, digits: int, operands: Operands) -> int:
        """Lanes that are made together, of so many digits each."""
        return max(1, _VALUES // (digits * max(operands.g.shape)))

    def add(
        self,
        x: IntArray,
        digits: Sequence[Digit],
        operands: Operands,
        names: Names | None,
        scales: Scales,
        sums: IntArray,
    ) -> tuple[int, FloatArray]:
        """Add what digits of activations come to to accumulators.

        Parameters
        ----------
        x:
            Activations of the driven rows, shape (lanes, rows).
        names:
            Of the draws, ``epochs`` and ``index`` of plane 0 of each lane; None: there is no
            noise.
        scales:
            Of the conversions, of digits of this share.
        sums:
            Shape (lanes, columns that are added).

        Returns
        -------
        The codes at a rail; and of each row the squares of its digits, shape (rows,).
        """
        total, variance = self._operands(operands)
        draws = None
        if names is not None and operands.var.shape[1]:
            parts = (names.places, names.epochs, names.index, normal_table(), _POWERS)
            draws = Draws(names.seed, *(self._put(part.astype(np.int64)) for part in parts))
        fields = np.array([(d.plane, d.mask, d.sign) for d in digits], np.int32).T
        weight = np.array([digit.weight for digit in digits], np.int64)
        parts = Digits(*map(self._put, fields), weight=self._put(weight))
        drives = self._put(x.astype(np.int32))
        made, railed, driven = product(
            self.xp, drives, parts, total, variance, draws, scales, sums.shape[1]
        )
        sums += self._get(made)
        return railed, self._get(driven)

    def _operands(self, operands: Operands) -> tuple[Any, Any]:
        """On the device: kept there as long as the array keeps its own."""
        with self._lock:  # from several threads
            found = self._kept.get(operands)
            if found is None:
                parts = (operands.g, operands.var)
                found = tuple(self._put(part.astype(np.float64)) for part in parts)
                self._kept[operands] = found
            return found

    def _put(self, values: NDArray[Any]) -> Any:
        return self.xp.asarray(np.ascontiguousarray(values), device=self.device)

    def _get(self, values: Any) -> NDArray[Any]:
        from array_api_compat import is_array_api_strict_namespace, to_device

        strict = is_array_api_strict_namespace(self.xp)
        return np.asarray(to_device(values, self.xp.Device("CPU_DEVICE") if strict else "cpu"))

    def _agrees(self) -> bool:
        """Whether sums, roots, draws, codes and ties are those of numpy."""
        rng = np.random.default_rng(0)
        x = rng.integers(0, 256, (32, 64))
        x[5] = 0
        digit = Digit(0, 8, signed=False, share=0, weight=3)
        name = np.arange(8) << 9, np.arange(32) << 20, np.arange(32) * 77
        for bits, scales, seed in (
            (20, Scales(33_333, 32, 20, ADC_MIN, ADC_MAX), 7),  # half of the codes at a rail
            (20, Scales(1, 0, 12, -(1 << 40), 1 << 40), 7),  # every step of a root
            (4, Scales(1 << 15, 18, 12, ADC_MIN, ADC_MAX), None),  # ties
        ):
            total, variance = rng.integers(0, 1 << bits, (2, 64, 8))
            operands = Operands(total, variance, 64 * 255 << bits, 64 * 255**2 << bits)
            sums = np.zeros((32, 4), np.int64)
            names = None if seed is None else Names.of(seed, *name)
            railed, driven = self.add(x, [digit], operands, names, scales, sums)
            z = 0
            if seed is not None:
                place, *sample = name
                z = draw_normal(seed, Domain.INFERENCE, place, *(part[:, None] for part in sample))
            made, saturated = codes_of(x @ total, x * x @ variance, z, scales)
            known = (made[:, :4] - made[:, 4:]) * digit.weight, np.square(x).sum(axis=0)
            if railed != saturated.sum() or not all(map(np.array_equal, (sums, driven), known)):
                return False
        return True


def accelerator_of(name: str) -> Accelerator:
    """The accelerator of a name: a library and, of torch, behind a colon one of its devices.

    Raises
    ------
    EngineError
        If there is none of this name, or it cannot be imported or used.
    """
    library, _, device = name.partition(":")
    if library not in _LIBRARIES or (device and library != "torch"):
        raise EngineError(
            f"accelerator '{name}' is not known: numpy, cupy, torch and torch:DEVICE are, "
            "such as torch:cuda"
        )
    try:
        xp = import_module(f"array_api_compat.{library}")
    except ImportError as error:
        reason = str(error).strip().splitlines()[0]
        raise EngineError(f"accelerator '{name}' cannot be imported: {reason}") from error
    return Accelerator(xp, device or None, name)
