"""The kinds of front end that a network can be compiled and simulated for. Plain Python."""

from __future__ import annotations

from enum import StrEnum


class FrontEndKind(StrEnum):
    """What is between the controller and the cells."""

    ARRAY_CARD = "array_card"
    """The card's chips, or those on a board's own connectors that stand for them."""
    CHAINED_CARD = "chained_card"
    """The same, their slow lines behind a chain of shift registers."""
