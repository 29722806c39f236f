"""Where a command finds its controller: a serial port, or a virtual board."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from ...errors import OhmloomError
from ..output import Reporter

if TYPE_CHECKING:
    from ...boards.link import Transport
    from ...sim.array import SimulatedArray
    from ...sim.cosim.resistors import Resistors

BAUD = 1_000_000

Virtual = Annotated[
    bool, typer.Option("--virtual", help="A controller in simulation, with cells behind it.")
]
Port = Annotated[str | None, typer.Option(help="Serial port of the board.", metavar="/dev/ttyUSB0")]
Baud = Annotated[int, typer.Option(min=1, help="Bits a second on that port.")]


class NoController(OhmloomError):
    """A command line that names no controller, or two."""


def require_one(virtual: bool, port: str | None) -> None:
    """Refuse a command line without a controller, or with two.

    Raises
    ------
    NoController
        If it is none or both.
    """
    if virtual == (port is not None):
        raise NoController("name one controller: --virtual, or --port with its serial port")


@contextmanager
def connect(
    virtual: bool,
    port: str | None,
    baud: int,
    cells: SimulatedArray | Resistors | None,
    reporter: Reporter,
) -> Iterator[Transport]:
    """The byte pipe to a controller: that on a port, or that of a new virtual board.

    Parameters
    ----------
    virtual, port, baud:
        Which of them, and how fast the port is.
    cells:
        What is plugged into the virtual board.

    Raises
    ------
    NoController
        If it is none or both of them.
    """
    require_one(virtual, port)
    if port is not None:
        from ...boards.serial_port import SerialTransport

        with SerialTransport(port, baud) as transport:
            yield transport
        return
    from ...boards.bench.virtual import virtual_board

    assert cells is not None
    with virtual_board(
        cells, lambda stage, done, total: reporter.update(f"RTL: {stage}", done, total)
    ) as wire:
        yield wire
