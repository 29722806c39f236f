"""What an emulated array knows of its cells and converters. Plain Python, no Amaranth."""

from __future__ import annotations

import hashlib
from dataclasses import astuple, dataclass

CODE_BITS = 12
"""Of a cell's conductance code."""
COUNT_BITS = 4
"""Of its count of SETs."""
CELL_BITS = CODE_BITS + COUNT_BITS
"""Of a cell's word: the code, above it the count."""
CODE_MAX = (1 << CODE_BITS) - 1
NUMBER_BITS = 16
"""Of the number of a conversion within its read."""
POINT_BITS = 7
"""Gate codes from one point of the SET line to the next, as a power of two."""
POINTS = 63
"""Segments of the line; behind them in the table is the RESET."""
FRACTION_BITS = 4
"""Of a mean and of a spread, below a code."""
VARIANCE_BITS = 8
"""Upper bits of a code, which the variance of a read follows."""
DEVIATE_BITS = 12
"""Fraction bits of a normal deviate."""
RANGES = 8
HASH_DIGITS = 7
MEAN, RISE, SPREAD, GAIN = ((1 << VARIANCE_BITS) + n * (POINTS + 1) for n in range(4))
"""Where :meth:`EmulatedTables.words` has what; in front there are the variances."""


@dataclass(frozen=True)
class EmulatedTables:
    """Integers that a device and converters have come to.

    Attributes
    ----------
    seed:
        Of all draws.
    made:
        Code of a cell as made.
    var_exponent:
        Scale of variances: a code's square times ``4**var_exponent``.
    deviates:
        The inverse-normal table.
    variances:
        Variance code of a read, by the upper :data:`VARIANCE_BITS` of the code.
    gate:
        Gate code of the first point of the SET line.
    mean:
        Codes that a SET leaves in the mean, at the points, in steps of 2^-FRACTION_BITS and
        half a code more; one more than there are segments.
    spread:
        Their standard deviation in each segment, in steps of
        2^-(FRACTION_BITS + var_exponent).
    reset_mean, reset_spread:
        The same of a RESET.
    rail_set, rail_reset:
        Codes of rail B from which on, or down to which, a pulse does something.
    set_s, reset_s:
        Shortest pulses that do [s].
    rail_read:
        Code of rail A that reads.
    gains:
        Mantissa and shift of ADC codes per conductance code, by TIA range; a mantissa of 0
        where converters have none.

    Raises
    ------
    ValueError
        If a table has a wrong size, or a number does not fit its place.
    """

    seed: int
    made: int
    var_exponent: int
    deviates: tuple[int, ...]
    variances: tuple[int, ...]
    gate: int
    mean: tuple[int, ...]
    spread: tuple[int, ...]
    reset_mean: int
    reset_spread: int
    rail_set: int
    rail_reset: int
    set_s: float
    reset_s: float
    rail_read: int
    gains: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        sizes = (
            ("variances", len(self.variances), 1 << VARIANCE_BITS),
            ("spread", len(self.spread), len(self.mean) - 1),
            ("gains", len(self.gains), RANGES),
        )
        for name, found, wanted in sizes:
            if found != wanted:
                raise ValueError(f"{name}: {found} entries, {wanted} are needed")
        if not 1 <= len(self.spread) <= POINTS:
            raise ValueError(f"spread: {len(self.spread)} segments, accepted are 1 to {POINTS}")
        words = (*self.variances, *self.mean, *self.spread, self.reset_mean, self.reset_spread)
        words += tuple(mantissa for mantissa, _ in self.gains)
        if not 0 <= min(words) <= max(words) < 1 << CELL_BITS:
            raise ValueError("a number of a table does not fit 16 bits")
        if min(self.rises) < 0:
            raise ValueError("mean: the line falls")

    @property
    def rises(self) -> tuple[int, ...]:
        """From one point of the line to the next."""
        return tuple(b - a for a, b in zip(self.mean, self.mean[1:], strict=False))

    @property
    def digest(self) -> str:
        """What tells tables apart: the beginning of a hash."""
        return hashlib.sha256(repr(astuple(self)).encode()).hexdigest()[:HASH_DIGITS]

    def words(self) -> list[int]:
        """The memory that the gateware looks things up in.

        Variances; mean, rise and spread of each segment and of a RESET, :data:`POINTS` and
        one of each; mantissas and shifts of the gains.
        """
        lines = (
            (*self.mean[:-1], self.reset_mean),
            (*self.rises, 0),
            (*self.spread, self.reset_spread),
        )
        words = list(self.variances)
        for *line, reset in lines:
            words += [*line, *[0] * (POINTS - len(line)), reset]
        words += [mantissa for mantissa, _ in self.gains]
        return words + [shift for _, shift in self.gains]


def pulse_cycles(seconds: float, clk_hz: int) -> int:
    """The fewest clock cycles that last so long, as float64 numbers have it."""
    cycles = max(1, int(seconds * clk_hz) - 1)
    while cycles / clk_hz < seconds:
        cycles += 1
    return cycles
