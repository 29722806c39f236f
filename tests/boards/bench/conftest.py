from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from ohmloom.boards.bench.array import LinkArray
from ohmloom.boards.bench.virtual import BEAT_S, GEOMETRY, simulated_cells, virtual_board
from ohmloom.boards.link import LinkClient
from ohmloom.sim.array import SimulatedArray
from ohmloom.sim.devices import load


@dataclass(frozen=True)
class Desk:
    """A virtual board, the cells behind it, others like them, and the array over the link."""

    client: LinkClient
    cells: SimulatedArray
    twin: SimulatedArray
    array: LinkArray

    def again(self, device: str | None = None, **options: Any) -> LinkArray:
        """Another host, that knows nothing, on the same board."""
        named = self.array.device if device is None else load(device)
        return LinkArray(self.client, named, beat_s=BEAT_S, **options)

    @property
    def same(self) -> bool:
        """Whether the cells behind the board are in the state of the others, but for reads."""
        self.twin.reads[...] = self.cells.reads
        return all(self.cells.tile_state_equal(self.twin, n) for n in range(GEOMETRY.tiles))


@pytest.fixture
def desk() -> Iterator[Callable[..., Desk]]:
    """Makes desks with cells of a device."""
    with ExitStack() as stack:

        def make(name: str, seed: int = 1, **options: Any) -> Desk:
            device = load(name)
            cells, twin = simulated_cells(device, seed), simulated_cells(device, seed)
            client = LinkClient(stack.enter_context(virtual_board(cells)))
            return Desk(client, cells, twin, LinkArray(client, device, beat_s=BEAT_S, **options))

        yield make
