"""Arrays of as-made cells over the link, for experiments that ask for several."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType

from ...sim.array import Array
from ...sim.devices import Device
from ..link import LinkClient
from .array import LinkArray
from .errors import BenchError
from .virtual import BEAT_S, GEOMETRY, simulated_cells, virtual_board, virtual_terminal

Progress = Callable[[str, int, int], None]


class VirtualArrays:
    """Each array is a new virtual board with as-made cells of its seed; they end together.

    Parameters
    ----------
    progress:
        Called with (stage, done, total) while the engine is compiled.
    terminal:
        Each is behind a pseudo-terminal, and this process is its host in its own time: what is
        driven for longer than the guard waits for a host is then stopped.
    """

    def __init__(self, progress: Progress | None = None, *, terminal: bool = False) -> None:
        self._progress = progress
        self._terminal = terminal
        self._open = ExitStack()

    def __enter__(self) -> VirtualArrays:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._open.close()

    def __call__(self, device: Device, rows: int, columns: int, seed: int) -> Array:
        """An array of so many cells.

        Raises
        ------
        BenchError
            If the virtual board has fewer.
        """
        there = GEOMETRY.tiles * GEOMETRY.cells
        if rows * columns > there:
            raise BenchError(f"an array of {rows} x {columns} cells, the virtual board has {there}")
        plugged = virtual_terminal if self._terminal else virtual_board
        wire = self._open.enter_context(plugged(simulated_cells(device, seed), self._progress))
        beat_s = None if self._terminal else BEAT_S
        return LinkArray(
            LinkClient(wire), device, shape=(1, rows, columns), armed=True, beat_s=beat_s
        )


class BoardArrays:
    """Each array is the next tiles of one board; their cells have to be as made.

    Parameters
    ----------
    client : LinkClient
        The link to the board.
    armed:
        Whether irreversible changes of mode may be made.
    """

    def __init__(self, client: LinkClient, armed: bool) -> None:
        self._client = client
        self._armed = armed
        self._next = 0

    def __call__(self, device: Device, rows: int, columns: int, seed: int) -> Array:
        """An array on tiles that none before had; the seed is the cells' own.

        Raises
        ------
        BenchError
            If there are not enough tiles left.
        """
        array = LinkArray(
            self._client,
            device,
            shape=(1, rows, columns),
            first=self._next,
            armed=self._armed,
        )
        self._next += array.used
        return array
