"""What parts take from their supplies. Plain Python."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

SUPPLY_V = 15.0
"""Of amplifiers and switches, +-15 V (``docs/array-card.md``, bill of materials)."""


@dataclass(frozen=True)
class Power:
    """Of one part.

    Attributes
    ----------
    watts:
        While it is on.
    conversion_j:
        More for each conversion of all its channels [J].
    origin:
        Where the numbers come from: a source, or ``assumed:`` and the reason.
    """

    watts: float
    origin: str
    conversion_j: float = 0.0


@dataclass(frozen=True)
class Consumer:
    """Parts of a kind on a card, together.

    Attributes
    ----------
    name:
        What the report calls them.
    watts:
        All of them while the card is on.
    conversion_j:
        More for each conversion of all columns [J].
    signal_v:
        Of the supply that the cells' current comes from or goes to [V]: it takes so much
        for each coulomb.
    feeds:
        Whether what the cells take is out of that.
    origin:
        As of :class:`Power`.
    """

    name: str
    watts: float
    origin: str
    conversion_j: float = 0.0
    signal_v: float = 0.0
    feeds: bool = False

    @classmethod
    def of(
        cls, name: str, count: int, part: Power, signal_v: float = 0.0, feeds: bool = False
    ) -> Consumer:
        """``count`` equal parts."""
        watts, conversion_j = count * part.watts, count * part.conversion_j
        return cls(name, watts, part.origin, conversion_j, signal_v, feeds)

    def joules(self, seconds: float, conversions: float, coulombs: float, cells_j: float) -> float:
        """Energy [J] of a time with conversions, and of a charge through cells.

        Parameters
        ----------
        seconds:
            How long [s].
        conversions:
            Of all columns.
        coulombs:
            Through cells [C].
        cells_j:
            What the cells take of it [J].
        """
        signal = self.signal_v * coulombs - cells_j * self.feeds
        return self.watts * seconds + self.conversion_j * conversions + signal


def table(consumers: Iterable[Consumer]) -> Iterator[str]:
    """Consumers as lines of a table in Markdown."""
    yield "| parts | power | a conversion | from |"
    yield "| --- | --- | --- | --- |"
    for each in consumers:
        more = f"{each.conversion_j * 1e6:g} uJ" if each.conversion_j else ""
        yield f"| {each.name} | {each.watts:.3g} W | {more} | {each.origin} |"
