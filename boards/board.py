"""What a board is: one frozen description, one file per board."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

from amaranth.build import Platform
from amaranth.hdl import Elaboratable
from amaranth.lib import wiring

from ..errors import OhmloomError
from ..hw.geometry import Geometry
from ..hw.top import FrontEnd, Top


class BoardError(OhmloomError, ValueError):
    """A board that is not in the catalogue, or a design that does not fit it."""


@dataclass(frozen=True)
class Board:
    """One FPGA board with the analog card that sits on it.

    Attributes
    ----------
    name:
        What the user types.
    title:
        What it is, for people.
    clk_hz:
        Frequency of the controller's clock, exactly as the board's PLL makes it.
    baud:
        Rate of the command link.
    largest:
        The largest geometry that the board's memory and pins can hold.
    front_end:
        ``front_end(geometry, clk_hz)`` makes the provider of the card's pins.
    platform:
        Makes a fresh Amaranth platform (a platform can be prepared only once).
    connect:
        ``connect(top)`` wraps the controller: clock, serial port and card pins
        on the board's own resources.
    """

    name: str
    title: str
    clk_hz: int
    baud: int
    largest: Geometry
    front_end: Callable[[Geometry, int], FrontEnd]
    platform: Callable[[], Platform]
    connect: Callable[[wiring.Component], Elaboratable]

    def controller(self, geometry: Geometry) -> Top:
        """The controller of that geometry at this board's clock, with its front end.

        Raises
        ------
        BoardError
            If the geometry is larger than the board can hold.
        """
        self.check(geometry)
        return Top(geometry, self.clk_hz, self.baud, self.front_end(geometry, self.clk_hz))

    def check(self, geometry: Geometry) -> None:
        """Refuse a geometry that is larger than the board can hold.

        Raises
        ------
        BoardError
            Names the first dimension that is too large.
        """
        for field in fields(Geometry):
            asked = getattr(geometry, field.name)
            limit = getattr(self.largest, field.name)
            if asked > limit:
                raise BoardError(
                    f"board {self.name} holds {field.name} up to {limit}, the bundle needs {asked}"
                )
