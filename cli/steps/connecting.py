"""Where a command finds its controller: a serial port, or a virtual board."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...errors import OhmloomError
from ..output import Reporter
from .recording import conversation

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
    cells: Callable[[], SimulatedArray | Resistors],
    reporter: Reporter,
    record: Path | None,
    replay: Path | None,
    about: str,
) -> Iterator[Transport]:
    """The byte pipe to a controller: that on a port, that of a new virtual board, or a recording.

    Parameters
    ----------
    virtual, port, baud:
        Which of the first two, and how fast the port is. A replay is of the same.
    cells:
        Makes what is plugged into the virtual board.
    record, replay, about:
        As of :func:`~.recording.conversation`.

    Raises
    ------
    NoController
        If it is none or both of them.
    RecordAndReplay, RecordingError, ReplayError
        As of :func:`~.recording.conversation`.
    """
    require_one(virtual, port)
    where = "a virtual board" if virtual else "a port"
    pipe = partial(_pipe, port, baud, cells, reporter)
    with conversation(pipe, record, replay, f"{about} at {where}") as wire:
        yield wire


@contextmanager
def _pipe(
    port: str | None,
    baud: int,
    cells: Callable[[], SimulatedArray | Resistors],
    reporter: Reporter,
) -> Iterator[Transport]:
    if port is not None:
        from ...boards.serial_port import SerialTransport

        with SerialTransport(port, baud) as transport:
            yield transport
        return
    from ...boards.bench.virtual import virtual_board

    with virtual_board(
        cells(), lambda stage, done, total: reporter.update(f"RTL: {stage}", done, total)
    ) as wire:
        yield wire
