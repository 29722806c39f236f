"""A device as the rest of the project sees it: modes, levels, and the origin of every number."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..numerics import (
    G_CODE_MAX,
    VAR_CODE_MAX,
    FloatArray,
    IntArray,
)
from .entry import Entry
from .errors import DeviceError
from .families import CHARGE_FAMILIES, FAMILIES, PULSE_FAMILIES, WEIGHT_FAMILIES, emulated
from .family import REFERENCE_K, ChargeFamily, Family, LevelPulses, Programming
from .levels import level_codes, variance_exponent
from .modes import Recipe, Transition, choose
from .schema import Kind, ModeSection
from .wear import endurance, surface_rise


@dataclass(frozen=True)
class Parameter:
    """One number of a device entry; exactly one of ``source`` and ``assumed`` is set."""

    name: str
    value: float
    unit: str
    source: str | None
    assumed: str | None
    note: str | None


@dataclass(frozen=True)
class Mode:
    """A mode of operation: its parameters ``p`` and the family that they are for."""

    name: str
    p: ModeSection
    family: Family
    store: ChargeFamily | None

    @property
    def kind(self) -> Kind:
        """Analog, volatile, nonvolatile or power."""
        return self.p.kind

    @property
    def relaxes(self) -> bool:
        """Whether a cell changes while nothing drives it."""
        return self.family.RELAXES or self.p.drift is not None

    @property
    def temperatures(self) -> tuple[float, float]:
        """Range in which the mode is described [K]."""
        described = self.p.temperature
        if described is None:
            return REFERENCE_K, REFERENCE_K
        return described.low.value, described.high.value

    def endurance(self, temperature_k: float) -> float:
        """Cycles that a cell lasts at a temperature, infinite where no limit is known."""
        return math.inf if self.p.wear is None else float(endurance(self.p.wear, temperature_k))

    def surface_rise(self, cycles: ArrayLike) -> FloatArray:
        """Rise of the surface temperature [K] after so many cycles; NaN where not known."""
        return surface_rise(self.p.heating, cycles)


@dataclass(frozen=True, eq=False)
class Weights:
    """What a mode that holds weights adds.

    Attributes
    ----------
    mode:
        Its name.
    g_lsb, var_exponent:
        Conductance of one G code [S], and the scale of variance codes
        (``docs/numerics.md``).
    level_codes, levels:
        G codes (int64) and conductances [S] of the levels, shape (L,), in equal steps
        of whole codes.
    writing:
        What puts a cell on a level: a RESET and a SET with its compliance current, or
        pulses of chosen amplitude and width.
    verify_window, verify_tries, verify_conversions:
        Half width of the write-verify window as a fraction of the level
        spacing, attempts per cell, and conversions averaged for a read.
    """

    mode: str
    g_lsb: float
    var_exponent: int
    level_codes: IntArray
    levels: FloatArray
    writing: Programming | LevelPulses
    verify_window: float
    verify_tries: int
    verify_conversions: int


class Device:
    """A device of the catalogue, or of a user's own file.

    Attributes
    ----------
    name, title, stack:
        What it is called, in full, and its layers.
    modes:
        Its modes; cells are made in the first one.
    transitions:
        The ways between them.
    wears_with:
        For each mode the index of the one with which it counts cycles.
    weights:
        The mode that holds weights, or None.
    parameters:
        Every number of the entry with its origin.
    """

    def __init__(self, entry: Entry) -> None:
        self._entry = entry
        self.name = entry.header.name
        self.title = entry.header.title
        self.stack = entry.header.stack
        self.modes = tuple(
            Mode(name, p, FAMILIES[p.family], CHARGE_FAMILIES.get(p.family))
            for name, p in entry.modes.items()
        )
        self.wears_with = tuple(
            self.mode_index(mode.p.wears_with or mode.name) for mode in self.modes
        )
        self.transitions: tuple[Transition, ...] = tuple(entry.header.transitions)
        holding = [mode for mode in self.modes if mode.p.levels is not None]
        if len(holding) > 1:
            raise DeviceError(f"modes.{holding[1].name}: a second mode that holds weights")
        self.weights = _weights(holding[0]) if holding else None
        self.parameters = tuple(
            Parameter(name, q.value, q.unit, q.source, q.assumed, q.note)
            for name, q in entry.quantities()
        )

    # -- modes ------------------------------------------------------------------------

    def mode_index(self, name: str) -> int:
        """Index of the mode with this name.

        Raises
        ------
        DeviceError
            If there is none.
        """
        names = [mode.name for mode in self.modes]
        if name not in names:
            raise DeviceError(f"{self.name} has no mode {name!r}, it has {', '.join(names)}")
        return names.index(name)

    def mode(self, name: str) -> Mode:
        """The mode with this name; :class:`DeviceError` if there is none."""
        return self.modes[self.mode_index(name)]

    def modes_called(self, wanted: str) -> list[int]:
        """Index of the mode with this name; without one, of the modes of this kind."""
        named = [n for n, mode in enumerate(self.modes) if mode.name == wanted]
        return named or [n for n, mode in enumerate(self.modes) if mode.kind == wanted]

    def transition(self, start: int, wanted: str, recipe: Recipe) -> Transition:
        """The way from the mode with index ``start`` to the one, or the kind, ``wanted``.

        Raises
        ------
        TransitionError
            If there is none, or none that takes the recipe.
        """
        targets = [self.modes[index].name for index in self.modes_called(wanted)]
        ways = [way for way in self.transitions if not way.at_endurance]
        return choose(ways, targets, self.modes[start].name, wanted, recipe)

    # -- weights ----------------------------------------------------------------------

    @property
    def programmable(self) -> Weights:
        """:attr:`weights`, or a :class:`DeviceError` where there are none."""
        if self.weights is None:
            modes = ", ".join(f"{mode.name} ({mode.p.family})" for mode in self.modes)
            raise DeviceError(f"{self.name} has no mode that holds weight levels, only {modes}")
        return self.weights

    @property
    def _weight_mode(self) -> ModeSection:
        return self.mode(self.programmable.mode).p

    @property
    def v_read(self) -> float:
        """Read voltage of the mode that holds weights [V]."""
        return self._weight_mode.read.v_read.value

    @property
    def read_noise(self) -> float:
        """Standard deviation of one read there, as a fraction of G."""
        return self._weight_mode.read.noise.value

    @property
    def g_lsb(self) -> float:
        """Conductance of one G code [S]."""
        return self.programmable.g_lsb

    @property
    def var_exponent(self) -> int:
        """Scale of variance codes."""
        return self.programmable.var_exponent

    @property
    def level_codes(self) -> IntArray:
        """G codes of the levels, shape (L,)."""
        return self.programmable.level_codes

    @property
    def levels(self) -> FloatArray:
        """Conductances of the levels [S], shape (L,)."""
        return self.programmable.levels

    @property
    def pulses(self) -> LevelPulses | None:
        """What puts cells on levels by pulses; None where pulses do not."""
        writing = self.weights and self.weights.writing
        return writing if isinstance(writing, LevelPulses) else None

    @property
    def compliance(self) -> Programming:
        """What puts cells on levels by a compliance current.

        Raises
        ------
        DeviceError
            If pulses do.
        """
        writing = self.programmable.writing
        if isinstance(writing, LevelPulses):
            raise DeviceError(
                f"{self.name} cells are put on levels by pulses of chosen amplitude, "
                "not by a compliance current"
            )
        return writing

    @property
    def level_i_cc(self) -> FloatArray:
        """Compliance currents of the levels [A], shape (L,)."""
        return self.compliance.level_i_cc

    @property
    def level_step(self) -> int:
        """Spacing of the levels in G codes."""
        return int(self.level_codes[1] - self.level_codes[0])

    @property
    def verify_window(self) -> float:
        """Half width of the write-verify window, as a fraction of the level spacing."""
        return self.programmable.verify_window

    @property
    def verify_tries(self) -> int:
        """Write-verify attempts per cell."""
        return self.programmable.verify_tries

    @property
    def verify_conversions(self) -> int:
        """Conversions averaged for one verify read."""
        return self.programmable.verify_conversions

    @property
    def verify_half_width(self) -> float:
        """Half width of the write-verify window [S]."""
        return self.verify_window * self.level_step * self.g_lsb

    @property
    def v_set(self) -> float:
        """Amplitude of the programming SET [V]."""
        return self.compliance.v_set

    @property
    def v_reset(self) -> float:
        """Amplitude of the programming RESET [V]."""
        return self.compliance.v_reset

    @property
    def set_width_s(self) -> float:
        """Width of the programming SET [s]."""
        return self.compliance.set_width_s

    @property
    def reset_width_s(self) -> float:
        """Width of the programming RESET [s]."""
        return self.compliance.reset_width_s

    def g_codes(self, g: ArrayLike) -> IntArray:
        """G codes of conductances ``g`` [S]: rounded once, half to even, clipped."""
        return _code(np.asarray(g, dtype=np.float64) / self.g_lsb, G_CODE_MAX)

    def var_codes(self, g: ArrayLike) -> IntArray:
        """Read-variance codes of cells with conductance ``g`` [S]."""
        if self.emulated:
            g = emulated.coarse(np.asarray(g, dtype=np.float64) / self.g_lsb) * self.g_lsb
        sigma = self.read_noise * np.asarray(g, dtype=np.float64)
        sigma = sigma / self.g_lsb
        return _code(sigma * sigma * float(1 << 2 * self.var_exponent), VAR_CODE_MAX)

    # -- emulation --------------------------------------------------------------------

    @property
    def emulated(self) -> bool:
        """Whether its cells are those of an emulated array."""
        return self.weights is not None and self._weight_mode.family == emulated.NAME

    def read_name(
        self,
        code: NDArray[np.integer[Any]],
        pulses: NDArray[np.uint32],
        cycles: NDArray[np.uint32],
        reads: NDArray[np.uint32],
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Epoch and index of a single read's draw.

        Parameters
        ----------
        code, pulses, cycles, reads:
            Of each cell its G code, the pulses in its life, its cycles, and the reads since
            the last pulse.
        """
        if self.emulated:
            return emulated.word(code, cycles), reads & emulated.NUMBER_MASK
        return pulses, reads

    # -- the entry --------------------------------------------------------------------

    def number(self, name: str) -> float:
        """The value of a parameter by its dotted name, ``modes.nonvolatile.read.v_read``.

        Raises
        ------
        DeviceError
            If there is none.
        """
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter.value
        raise DeviceError(f"{self.name} has no parameter {name!r}")

    def document(self) -> dict[str, Any]:
        """The entry as plain Python: what a file of it would hold."""
        return self._entry.document()


def _code(value: FloatArray, code_max: int) -> IntArray:
    """Values rounded once, half to even, and clipped."""
    return np.clip(np.rint(value), 0, code_max).astype(np.int64)


def _weights(mode: Mode) -> Weights:
    p = mode.p
    assert p.levels is not None and p.verify is not None and p.codes is not None
    codes = level_codes(p.levels, p.codes)
    levels = np.asarray(codes * p.codes.g_lsb.value, dtype=np.float64)
    for array in (codes, levels):
        array.setflags(write=False)
    return Weights(
        mode=mode.name,
        g_lsb=p.codes.g_lsb.value,
        var_exponent=variance_exponent(p.read.noise.value),
        level_codes=codes,
        levels=levels,
        writing=_writing(mode, levels),
        verify_window=p.verify.half_window.value,
        verify_tries=int(p.verify.tries.value),
        verify_conversions=int(p.verify.conversions.value) if p.verify.conversions else 1,
    )


def _writing(mode: Mode, levels: FloatArray) -> Programming | LevelPulses:
    """What puts cells of a mode on its levels [S]."""
    p = mode.p
    if p.family in WEIGHT_FAMILIES:
        programming = WEIGHT_FAMILIES[p.family].programming(p, levels)
        programming.level_i_cc.setflags(write=False)
        return programming
    if p.family in PULSE_FAMILIES:
        return PULSE_FAMILIES[p.family].level_pulses(p, levels)
    raise DeviceError(f"modes.{mode.name}.levels: {p.family} cells are not put on levels")
