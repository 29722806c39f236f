"""What a family of device models is: the physics of one mode of operation.

A family is a module in :mod:`.families` that has what :class:`Family` lists. Its
functions are pure and elementwise: they return new arrays, and a cell's result
does not depend on which other cells are computed with it. State updates use
float64 ``+ - * /`` and :func:`~ohmloom.sim.numerics.exp` only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..numerics import FloatArray, IntArray
from .draws import Draws
from .state import CellState, everything

REFERENCE_K = 298.15
"""Temperature at which a conductance is stored [K]."""


@dataclass(frozen=True)
class Stress:
    """One interval of constant voltage on each cell; arrays of the cells' shape.

    Attributes
    ----------
    volts:
        Across cell and limiter, as applied [V].
    seconds:
        How long [s].
    i_cc:
        Compliance current [A], infinite without one. It limits both polarities
        of the current: whoever drives leaves it out where the limiter is open.
    temperature_k:
        Temperature of the cell's surroundings [K].
    quasi_static:
        A step of a slow sweep, not a pulse: a cell that is in compliance keeps
        only ``i_cc / G`` of the voltage.
    """

    volts: FloatArray
    seconds: FloatArray
    i_cc: FloatArray
    temperature_k: FloatArray
    quasi_static: bool = False

    @classmethod
    def on(
        cls,
        shape: tuple[int, ...],
        volts: ArrayLike,
        seconds: ArrayLike,
        i_cc: ArrayLike | None = None,
        temperature_k: ArrayLike = REFERENCE_K,
        *,
        quasi_static: bool = False,
    ) -> Stress:
        """The stress on cells of ``shape``; ``i_cc`` None is no limit."""
        given = (volts, seconds, np.inf if i_cc is None else i_cc, temperature_k)
        arrays = (np.broadcast_to(np.asarray(v, dtype=np.float64), shape) for v in given)
        return cls(*arrays, quasi_static=quasi_static)

    def flat(self) -> Stress:
        """The same stress on the cells in one row."""
        given = (self.volts, self.seconds, self.i_cc, self.temperature_k)
        row = (
            np.broadcast_to(v[(0,) * v.ndim], v.size) if v.size and not any(v.strides)
            else v.reshape(-1)
            for v in given
        )  # fmt: skip
        return Stress(*row, quasi_static=self.quasi_static)

    def take(self, cells: Any) -> Stress:
        """The stress on the cells that a numpy index selects."""
        if everything(cells):
            return self
        return Stress(
            self.volts[cells], self.seconds[cells], self.i_cc[cells], self.temperature_k[cells],
            quasi_static=self.quasi_static,
        )  # fmt: skip


def once(law: Callable[..., NDArray[Any]], *given: FloatArray) -> NDArray[Any]:
    """``law(*given)``, elementwise; of cells that are all under the same stress, of one."""
    if given[0].size < 2 or any(any(array.strides) for array in given):
        return law(*given)
    one = law(*(array[(slice(0, 1),) * array.ndim] for array in given))
    return np.broadcast_to(one, given[0].shape)


def narrow(given: NDArray[Any]) -> NDArray[Any]:
    """One value that broadcasts where all cells have the same; otherwise the values."""
    same = given.size > 1 and not any(given.strides)
    return given[(slice(0, 1),) * given.ndim] if same else given


def marked(mask: NDArray[np.bool_]) -> Any:
    """A numpy index of the cells that a mask marks; of all of them, one that copies none."""
    return slice(None) if mask.all() else mask


def replaced(values: FloatArray, here: Any, new: FloatArray) -> FloatArray:
    """The values with new ones where a numpy index says."""
    if everything(here):
        return new
    values = values.copy()
    values[here] = new
    return values


@dataclass(frozen=True)
class Window:
    """What a mode is driven with: lowest and highest values.

    Attributes
    ----------
    v_min, v_max:
        Pulse amplitudes [V].
    i_cc_min, i_cc_max:
        Compliance currents of a SET [A].
    width_min_s:
        Shortest pulse that changes a cell [s].
    set_sign:
        Sign of the voltages at which a compliance current is applied.
    """

    v_min: float
    v_max: float
    i_cc_min: float
    i_cc_max: float
    width_min_s: float
    set_sign: float = 1.0


class Family(Protocol):
    """The physics of a mode. ``p`` is an object of the family's ``Parameters``.

    Attributes
    ----------
    Parameters:
        Schema of the sections that the family adds to ``[modes.NAME]``, a subclass of
        :class:`~ohmloom.sim.devices.schema.ModeSection`.
    RELAXES:
        Whether a cell changes while nothing drives it, drift apart.
    """

    @property
    def Parameters(self) -> Any: ...

    @property
    def RELAXES(self) -> bool: ...

    def pristine(self, p: Any, draws: Draws, shape: tuple[int, ...]) -> CellState:
        """Cells as made, in this mode."""
        ...

    def enter(self, p: Any, state: CellState, draws: Draws) -> CellState:
        """Cells that have just been brought into this mode from another one.

        The array keeps ``mode``, ``pulses``, ``cycles`` and ``time`` itself. Cells
        that come in because they are worn out in the other one are not ``OK`` yet;
        the array makes them so.
        """
        ...

    def refuse(self, p: Any, state: CellState, stress: Stress) -> None:
        """Raise a :class:`~ohmloom.sim.devices.DeviceError` if a stress is not allowed.

        It is called before anything changes; its sentence does not name the
        device, which the array puts in front.
        """
        ...

    def drive(self, p: Any, state: CellState, stress: Stress, draws: Draws) -> CellState:
        """The cells after an interval."""
        ...

    def flowing(self, p: Any, before: CellState, after: CellState, stress: Stress) -> FloatArray:
        """What is measured of an interval: the current [A] at its end, or over it."""
        ...

    def relax(self, p: Any, state: CellState, seconds: FloatArray) -> CellState:
        """The cells after a time at 0 V."""
        ...

    def current(
        self, p: Any, state: CellState, volts: FloatArray, temperature_k: FloatArray
    ) -> FloatArray:
        """Current [A] at a voltage that leaves the cells as they are."""
        ...

    def window(self, p: Any) -> Window:
        """What the mode is driven with."""
        ...


@dataclass(frozen=True)
class Programming:
    """RESET and SET that put a cell on a level.

    Attributes
    ----------
    v_set, set_width_s, v_reset, reset_width_s:
        SET and RESET pulse [V, s].
    level_i_cc:
        Compliance current of the SET for each level [A], shape (L,).
    """

    v_set: float
    set_width_s: float
    v_reset: float
    reset_width_s: float
    level_i_cc: FloatArray


class WeightFamily(Family, Protocol):
    """A family whose cells are put on a level by a RESET and a SET with its I_cc."""

    def programming(self, p: Any, levels: FloatArray) -> Programming:
        """The pulses for levels [S], shape (L,).

        Raises a :class:`~ohmloom.sim.devices.DeviceError` for levels out of reach.
        """
        ...


@dataclass(frozen=True)
class PulseTrain:
    """Equal pulses that take each cell from one conductance to another.

    Attributes
    ----------
    volts, seconds:
        Amplitude and width of each cell's pulses [V, s], float64.
    pulses:
        How many, int64; 0 where none is needed.
    """

    volts: FloatArray
    seconds: FloatArray
    pulses: IntArray


@dataclass(frozen=True, eq=False)
class LevelPulses:
    """Pulses of chosen amplitude and width that put a cell on a level.

    Attributes
    ----------
    made:
        Conductance of a nominal cell as made [S].
    volts, seconds:
        Largest amplitude of either polarity, and width of the longest pulse [V, s].
    train:
        The pulses that a nominal cell needs from one conductance to another [S], arrays
        of one shape: the inverse of :meth:`Family.drive` without spread, which is what a
        controller can know.
    """

    made: float
    volts: float
    seconds: float
    train: Callable[[FloatArray, FloatArray], PulseTrain]


class PulseFamily(Family, Protocol):
    """A family whose cells are put on a level by pulses of chosen amplitude and width."""

    def level_pulses(self, p: Any, levels: FloatArray) -> LevelPulses:
        """The pulses for levels [S], shape (L,).

        Raises a :class:`~ohmloom.sim.devices.DeviceError` for levels out of reach.
        """
        ...


class ChargeFamily(Family, Protocol):
    """A family whose cells store charge."""

    def charge(self, p: Any, state: CellState, amperes: FloatArray, seconds: float) -> CellState:
        """The cells after a constant current for a time."""
        ...

    def voltage(self, p: Any, state: CellState) -> FloatArray:
        """Open-circuit voltage of the cells [V]."""
        ...
