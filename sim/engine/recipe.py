"""What a change of mode looks like from outside: largest voltage, rate, compliance current."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...hw.isa import Staircase, Train, limited
from ..converters import Converters


@dataclass(frozen=True)
class Opening:
    """One opening of the fast gate of rail B.

    Attributes
    ----------
    begun, ended:
        When [clock cycles].
    volts:
        Of the rail [V].
    i_cc:
        Compliance current [A]; None: the current is not limited.
    """

    begun: int
    ended: int
    volts: float
    i_cc: float | None


@dataclass(frozen=True)
class Measured:
    """A recipe as it was seen.

    Attributes
    ----------
    volts:
        The voltage of largest magnitude [V].
    rate_v_s:
        The fastest change from one opening to the next [V/s]; None of a single opening.
    i_cc:
        The largest compliance current [A]; None if none limited, or one did not.
    cycles:
        From the first opening to the last closing [clock cycles].
    """

    volts: float
    rate_v_s: float | None
    i_cc: float | None
    cycles: int


def seen(openings: Sequence[Opening], clk_hz: int) -> Measured:
    """What openings, at least one, amount to."""
    volts = max((opening.volts for opening in openings), key=abs)
    rates = [
        abs(b.volts - a.volts) * clk_hz / (b.begun - a.begun)
        for a, b in zip(openings, openings[1:], strict=False)
    ]
    currents = [opening.i_cc for opening in openings if opening.i_cc is not None]
    whole = len(currents) == len(openings)
    return Measured(
        volts,
        max(rates, default=None),
        max(currents) if whole else None,
        openings[-1].ended - openings[0].begun,
    )


def rails_of(record: Train | Staircase) -> list[int]:
    """Rail code of each opening of a record."""
    return [record.rail] * record.pulses if isinstance(record, Train) else record.codes()


def measure(record: Train | Staircase, converters: Converters, clk_hz: int) -> Measured:
    """What a record amounts to where the front end is never late."""
    return seen(
        [
            Opening(
                n * record.interval,
                n * record.interval + record.width,
                converters.dac_volts(rail),
                float(converters.i_cc(record.gate)) if limited(rail, record.limit) else None,
            )
            for n, rail in enumerate(rails_of(record))
        ],
        clk_hz,
    )
