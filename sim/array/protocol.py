"""The seam: what an array can be asked for, whether it is simulated or on a bench.

SI units throughout. A batch of cells is an integer array of flat cell numbers,
``(tile * rows + row) * columns + column``, without repetition; results have its
shape. Tiles, rows and columns count from zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from numpy.typing import ArrayLike

from ..numerics import FloatArray


@dataclass(frozen=True)
class Limits:
    """What an array may be asked for.

    Attributes
    ----------
    tiles, rows, columns:
        Size.
    modes:
        Names of modes that :meth:`Array.set_mode` accepts.
    v_read_max:
        Largest voltage that does not disturb a cell, in the modes that cells are
        in; the following likewise [V].
    v_min, v_max:
        Lowest and highest pulse amplitude [V].
    i_cc_min, i_cc_max:
        Range of compliance currents of a SET [A].
    width_min_s:
        Shortest pulse that switches [s].
    """

    tiles: int
    rows: int
    columns: int
    modes: tuple[str, ...]
    v_read_max: float
    v_min: float
    v_max: float
    i_cc_min: float
    i_cc_max: float
    width_min_s: float


class Array(Protocol):
    """A crossbar array with its front end.

    A method that the device has no physics for raises
    :class:`~ohmloom.sim.array.Unsupported`; an argument outside the limits, a
    ``ValueError``.
    """

    @property
    def limits(self) -> Limits:
        """What this array may be asked for."""
        ...

    def set_mode(
        self,
        mode: str,
        cells: ArrayLike | None = None,
        *,
        i_cc: float | None = None,
        volts: float | None = None,
        rate_v_s: float | None = None,
        atmosphere: str | None = None,
        electrode: str | None = None,
    ) -> None:
        """Bring cells, or every cell, into a mode; what is not given is done as the entry says."""
        ...

    def set_temperature(self, kelvin: float) -> None:
        """Bring the surroundings to a temperature."""
        ...

    def form(self, cells: ArrayLike) -> None:
        """Electroform cells."""
        ...

    def pulse(
        self, cells: ArrayLike, volts: ArrayLike, width_s: ArrayLike, i_cc: ArrayLike | None
    ) -> None:
        """One pulse on each cell; ``i_cc`` None leaves the current unlimited."""
        ...

    def sweep(
        self, cells: ArrayLike, volts: ArrayLike, step_s: float, i_cc: float | None
    ) -> FloatArray:
        """A staircase of voltages, shape (n,), each held ``step_s``; currents [A], (..., n)."""
        ...

    def read(self, cells: ArrayLike) -> FloatArray:
        """One read of each cell: conductance [S], read noise included."""
        ...

    def mvm(self, tile: int, volts: ArrayLike) -> FloatArray:
        """Column currents [A], (..., columns), of a tile with row voltages (..., rows)."""
        ...

    def charge(self, cells: ArrayLike, amperes: ArrayLike, seconds: float) -> None:
        """Pass a constant current through cells that store charge."""
        ...

    def sense_voltage(self, cells: ArrayLike) -> FloatArray:
        """Open-circuit voltage of cells [V]."""
        ...

    def wait(self, seconds: float) -> None:
        """Let time pass with every line at 0 V."""
        ...
