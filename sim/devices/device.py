"""A device as the rest of the project sees it: numbers in SI units, levels, and their origin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..numerics import (
    G_CODE_MAX,
    VAR_CODE_MAX,
    VAR_EXPONENT_MAX,
    FloatArray,
    IntArray,
)


@dataclass(frozen=True)
class Parameter:
    """One number of a device entry; exactly one of ``source`` and ``assumed`` is set."""

    name: str
    value: float
    unit: str
    source: str | None
    assumed: str | None
    note: str | None


@dataclass(frozen=True, eq=False)
class Device:
    """A device of family ``icc_line``: compliance current sets the conductance of a filament.

    Attributes
    ----------
    name, title, stack, family, mode:
        What it is called, in full, its layers, its model, its mode of operation.
    exact_levels:
        A SET lands exactly on the level nearest to the line.
    slope, offset, inverse_offset:
        G = slope I_cc - offset [S/A, S]; the inverse line as printed uses
        ``inverse_offset`` [S].
    sigma_slope, sigma_offset:
        Standard deviation of G after a SET, sigma_slope I_cc + sigma_offset [S/A, S].
    i_cc_min, i_cc_max, volatile_i_cc:
        Range of the line [A]; at or below ``volatile_i_cc`` the state is volatile.
    g_hrs, hrs_spread:
        Median conductance [S] and spread [decades] of the high-resistance state.
    v_set, v_set_threshold, set_width_s, set_width_min_s:
        SET pulse that is used, and the least that switches [V, s].
    v_reset, v_reset_threshold, reset_width_s, reset_width_min_s:
        The same for RESET.
    v_read:
        Read voltage [V].
    read_noise:
        Standard deviation of one read, as a fraction of G.
    g_lsb, var_exponent:
        Conductance of one G code [S], and the scale of variance codes
        (``docs/numerics.md``).
    level_codes, levels, level_i_cc:
        G codes (int64), conductances [S] and compliance currents [A] of the
        levels, shape (L,), in equal steps of whole codes.
    verify_window, verify_tries:
        Half width of the write-verify window as a fraction of the level
        spacing, and attempts per cell.
    endurance, retention_s:
        SET and RESET pairs that a cell lasts, and how long it keeps its state [s].
    parameters:
        Every number of the entry with its origin.
    """

    name: str
    title: str
    stack: str
    family: str
    mode: str
    exact_levels: bool
    slope: float
    offset: float
    inverse_offset: float
    sigma_slope: float
    sigma_offset: float
    i_cc_min: float
    i_cc_max: float
    volatile_i_cc: float
    g_hrs: float
    hrs_spread: float
    v_set: float
    v_set_threshold: float
    v_reset: float
    v_reset_threshold: float
    set_width_s: float
    set_width_min_s: float
    reset_width_s: float
    reset_width_min_s: float
    v_read: float
    read_noise: float
    g_lsb: float
    var_exponent: int
    level_codes: IntArray
    levels: FloatArray
    level_i_cc: FloatArray
    verify_window: float
    verify_tries: int
    endurance: int
    retention_s: float
    parameters: tuple[Parameter, ...]

    @property
    def level_step(self) -> int:
        """Spacing of the levels in G codes."""
        return int(self.level_codes[1] - self.level_codes[0])

    @property
    def verify_half_width(self) -> float:
        """Half width of the write-verify window [S]."""
        return self.verify_window * self.level_step * self.g_lsb

    def mean(self, i_cc: ArrayLike) -> FloatArray:
        """Mean conductance [S] after a SET with compliance current ``i_cc`` [A]."""
        return self.slope * np.asarray(i_cc, dtype=np.float64) - self.offset

    def sigma(self, i_cc: ArrayLike) -> FloatArray:
        """Standard deviation [S] of the conductance after a SET with ``i_cc`` [A]."""
        return self.sigma_slope * np.asarray(i_cc, dtype=np.float64) + self.sigma_offset

    def i_cc(self, g: ArrayLike, *, as_printed: bool = False) -> FloatArray:
        """Compliance current [A] whose line value is ``g`` [S].

        ``as_printed`` uses the offset of the source's inverse line instead of the
        one of its forward line.
        """
        offset = self.inverse_offset if as_printed else self.offset
        return (np.asarray(g, dtype=np.float64) + offset) / self.slope

    def g_codes(self, g: ArrayLike) -> IntArray:
        """G codes of conductances ``g`` [S]: rounded once, half to even, clipped."""
        codes = np.rint(np.asarray(g, dtype=np.float64) / self.g_lsb)
        return np.clip(codes, 0, G_CODE_MAX).astype(np.int64)

    def var_codes(self, g: ArrayLike) -> IntArray:
        """Read-variance codes of cells with conductance ``g`` [S]."""
        sigma = self.read_noise * np.asarray(g, dtype=np.float64) / self.g_lsb
        scaled = sigma * sigma * float(1 << 2 * self.var_exponent)
        return np.clip(np.rint(scaled), 0, VAR_CODE_MAX).astype(np.int64)

    @property
    def summary(self) -> dict[str, str | int]:
        """One row for a list of devices."""
        low, high = self.levels[0], self.levels[-1]
        assumed = sum(parameter.assumed is not None for parameter in self.parameters)
        return {
            "name": self.name,
            "title": self.title,
            "mode": self.mode,
            "levels": len(self.levels),
            "window": f"{low * 1e3:.3f} to {high * 1e3:.3f} mS",
            "read": f"{self.v_read:g} V",
            "endurance": self.endurance,
            "assumed": f"{assumed} of {len(self.parameters)}",
        }


def variance_exponent(read_noise: float) -> int:
    """The largest exponent for which the variance of the largest G code fits its code."""
    full_scale = (read_noise * G_CODE_MAX) ** 2
    fitting = [e for e in range(VAR_EXPONENT_MAX + 1) if full_scale * 4**e <= VAR_CODE_MAX]
    return max(fitting, default=0)
