"""What a board is: one frozen description, one file per board."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

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
    standard:
        The controller that is built where no bundle asks for another.
    largest:
        The largest geometry that the board's memory and pins can hold.
    front_end:
        ``front_end(geometry, clk_hz)`` makes the provider of the card's pins.
    platform:
        Makes a fresh Amaranth platform (a platform can be prepared only once).
    connect:
        ``connect(top)`` wraps the controller: clock, serial port and card pins
        on the board's own resources.
    suffix:
        Of the bitstream file that the board's tools make.
    synth_opts:
        Options of the board's synthesis.
    techmap:
        A file of modules that take the place of coarse cells before synthesis; none by
        default.
    seed:
        Start of place and route. Its results differ by some percent from seed to seed;
        the same seed gives the same bitstream.
    """

    name: str
    title: str
    clk_hz: int
    baud: int
    standard: Geometry
    largest: Geometry
    front_end: Callable[[Geometry, int], FrontEnd]
    platform: Callable[[], Platform]
    connect: Callable[[wiring.Component], Elaboratable]
    suffix: str = "bit"
    synth_opts: str = ""
    techmap: Path | None = None
    seed: int = 1

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
            if asked is True and not limit:
                raise BoardError(
                    f"the controller of board {self.name} is built without {field.name}, "
                    "which the bundle asks for"
                )
            if asked > limit:
                raise BoardError(
                    f"board {self.name} holds {field.name} up to {limit}, the bundle needs {asked}"
                )
