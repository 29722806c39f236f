"""What a board is: one frozen description, one file per board."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import NamedTuple

from amaranth.build import Attrs, Platform
from amaranth.hdl import Elaboratable
from amaranth.lib import wiring

from ..errors import OhmloomError
from ..hw.afe.cards import FRONT_ENDS
from ..hw.afe.kinds import FrontEndKind
from ..hw.geometry import Geometry
from ..hw.top import FrontEnd, Top
from .budget import AfeMemories, Budget, memories, no_memories


class BoardError(OhmloomError, ValueError):
    """A board that is not in the catalogue, or a design that does not fit it."""


@dataclass(frozen=True)
class Header:
    """Pins of a board that a card is plugged onto.

    Attributes
    ----------
    title:
        Where they are, for people.
    positions:
        Usable positions of the connector, in the order to be used; without a connector,
        pins of the FPGA.
    connector:
        Name and number of the platform's connector.
    outputs, inputs:
        I/O attributes of pins that the controller drives, and of those that it senses.
    """

    title: str
    positions: tuple[str, ...]
    connector: tuple[str, int] | None
    outputs: Attrs
    inputs: Attrs


@dataclass(frozen=True)
class Afe:
    """One way in which an array is connected to a board.

    Attributes
    ----------
    front_end:
        ``front_end(geometry, clk_hz)`` makes the provider of the card's pins.
    standard:
        The controller that is built where no bundle asks for another.
    largest:
        The largest geometry that the board's memory and pins can hold with it.
    header:
        Where the card is plugged; None: the front end has no pins.
    memories:
        What it has of block RAM, for a geometry.
    """

    front_end: Callable[[Geometry, int], FrontEnd]
    standard: Geometry
    largest: Geometry
    header: Header | None = None
    memories: AfeMemories = no_memories


@dataclass(frozen=True)
class Programmer:
    """A tool that brings a bitstream onto a board.

    Attributes
    ----------
    tool:
        Name of the program.
    volatile:
        Its arguments to load the FPGA until power is lost; ``{bitstream}`` is the file.
        Where a tool can only write the flash they are those of ``flash``.
    flash:
        Its arguments to write the board's flash; None: it cannot.
    """

    tool: str
    volatile: tuple[str, ...]
    flash: tuple[str, ...] | None = None


class UsbId(NamedTuple):
    """USB vendor and product of a board's serial port."""

    vid: int
    pid: int

    def __str__(self) -> str:
        return f"{self.vid:04x}:{self.pid:04x}"


@dataclass(frozen=True)
class Board:
    """One FPGA board and the front ends that it can have.

    Attributes
    ----------
    name:
        What the user types.
    title:
        What it is, for people.
    fpga:
        Its FPGA's part number.
    oscillator_hz:
        The oscillator that the clock is made from.
    clk_hz:
        Frequency of the controller's clock, exactly as the board's PLL makes it.
    baud:
        Rate of the command link.
    serial:
        Where the command link is, for people.
    afes:
        Front ends by name: ``array_card``, ``pmod``, ``emulated``; the first one is taken
        where none is asked for.
    budget:
        What the FPGA has.
    platform:
        Makes a fresh Amaranth platform (a platform can be prepared only once).
    connect:
        ``connect(top, header)`` wraps the controller: clock, serial port and card pins on
        the board's own resources.
    toolchain:
        Names of the tools that build for it (:mod:`ohmloom.boards.tools`), in their order.
    programmers:
        What programs it, the best one first.
    usb:
        USB ids of its serial port; None: it has none of its own.
    suffix:
        Of the bitstream file that the board's tools make.
    finish:
        What is done to the bitstream's bytes before they are handed out; nothing by default.
    synth_opts:
        Options of the board's synthesis.
    techmap:
        A file of modules that take the place of coarse cells before synthesis; none by
        default.
    seed:
        Start of place and route. Its results differ by some percent from seed to seed;
        the same seed gives the same bitstream.
    plan_only:
        Only its build plan can be made: the tools are not ours to run.
    file:
        The file that it is from, where it is not of the catalogue.
    parent, variant:
        The board that it is but for the cells of its emulated array, and all that tells these
        apart; None and nothing for a board as it is written.
    """

    name: str
    title: str
    fpga: str
    oscillator_hz: int
    clk_hz: int
    baud: int
    serial: str
    afes: Mapping[str, Afe]
    budget: Budget
    platform: Callable[[], Platform]
    connect: Callable[[wiring.Component, Header | None], Elaboratable]
    toolchain: tuple[str, ...]
    programmers: tuple[Programmer, ...] = ()
    usb: UsbId | None = None
    suffix: str = "bit"
    finish: Callable[[bytes], bytes] | None = None
    synth_opts: str = ""
    techmap: Path | None = None
    seed: int = 1
    plan_only: bool = False
    file: Path | None = None
    parent: Board | None = None
    variant: str = ""

    def afe(self, name: str | None = None) -> Afe:
        """The front end of that name, by default the first; a dash counts as an underscore.

        Raises
        ------
        BoardError
            If the board has none of that name; the message lists those it has.
        """
        chosen = self.afe_name(name)
        return self.afes[chosen]

    def afe_name(self, name: str | None = None) -> str:
        """The name that :meth:`afe` means."""
        if name is None:
            return next(iter(self.afes))
        found = name.replace("-", "_")
        if found not in self.afes:
            raise BoardError(
                f"board {self.name} has no front end {name!r}, it has: {', '.join(self.afes)}"
            )
        return found

    def kind(self, afe: str | None = None) -> FrontEndKind:
        """What networks are compiled for that run behind a front end, by default the first.

        Raises
        ------
        BoardError
            If there is no such front end, or no network is compiled for it.
        """
        name = self.afe_name(afe)
        if (found := self._kind(name)) is None:
            others = ", ".join(each for each in self.afes if self._kind(each)) or "none"
            raise BoardError(
                f"no network is compiled for the front end {name} of board {self.name}, which is "
                f"for work on the bench; accepted are: {others}"
            )
        return found

    def _kind(self, name: str) -> FrontEndKind | None:
        for kind, made in FRONT_ENDS.items():
            if made is self.afes[name].front_end:
                return kind
        return FrontEndKind(name) if name in tuple(FrontEndKind) else None

    def afe_of(self, kind: FrontEndKind) -> str:
        """What the board calls its front end of a kind.

        Raises
        ------
        BoardError
            If it has none.
        """
        for name in self.afes:
            if self._kind(name) is kind:
                return name
        raise BoardError(
            f"the bundle is compiled for the front end {kind}, board {self.name} has: "
            f"{', '.join(self.afes)}"
        )

    @property
    def standard(self) -> Geometry:
        """The standard controller of the first front end."""
        return self.afe().standard

    @property
    def largest(self) -> Geometry:
        """The largest geometry with the first front end."""
        return self.afe().largest

    def controller(self, geometry: Geometry, afe: str | None = None) -> Top:
        """The controller of that geometry at this board's clock, with that front end.

        Raises
        ------
        BoardError
            If the geometry is larger than the board can hold, or it has no such front end.
        """
        self.check(geometry, afe)
        front_end = self.afe(afe).front_end(geometry, self.clk_hz)
        return Top(geometry, self.clk_hz, self.baud, front_end)

    def require_clock(self, clk_hz: int, what: str = "the bundle") -> None:
        """Refuse what has been compiled for another clock [Hz].

        Raises
        ------
        BoardError
            With both of them.
        """
        if clk_hz != self.clk_hz:
            raise BoardError(
                f"{what} is compiled for a clock of {clk_hz} Hz, "
                f"board {self.name} runs at {self.clk_hz} Hz"
            )

    def check(self, geometry: Geometry, afe: str | None = None) -> None:
        """Refuse a geometry that is larger than the board can hold with that front end.

        Raises
        ------
        BoardError
            Names the first dimension that is too large, or the memory that is missing.
        """
        largest = self.afe(afe).largest
        for field in fields(Geometry):
            asked = getattr(geometry, field.name)
            limit = getattr(largest, field.name)
            if asked is True and not limit:
                raise BoardError(
                    f"the controller of board {self.name} is built without {field.name}, "
                    "which the bundle asks for"
                )
            if asked > limit:
                raise BoardError(
                    f"board {self.name} holds {field.name} up to {limit}, the bundle needs {asked}"
                )
        self._check_memory(geometry, afe)

    def _check_memory(self, geometry: Geometry, afe: str | None) -> None:
        needed = self.memory_blocks(geometry, afe)
        total, there = sum(needed.values()), self.budget.block_rams
        if total > there:
            parts = ", ".join(f"{name} {blocks}" for name, blocks in needed.items() if blocks)
            raise BoardError(
                f"{self.fpga} of board {self.name} has {there} block RAMs of "
                f"{self.budget.block_bits} bits, the controller needs at least {total}: {parts}"
            )

    def memory_blocks(self, geometry: Geometry, afe: str | None = None) -> dict[str, int]:
        """Block RAMs that each memory of a controller takes at least."""
        return self.budget.blocks_of({**memories(geometry), **self.afe(afe).memories(geometry)})
