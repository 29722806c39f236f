"""Where an experiment gets its arrays from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..array import Array, SimulatedArray
from ..devices import Device, load
from ..numerics import FloatArray
from .record import Spread

SEEDS = (1, 2, 3, 4, 5)

MakeArray = Callable[[Device, int, int, int], Array]
"""Makes one tile of as-made cells of a device: rows, columns and seed."""


def simulated(device: Device, rows: int, columns: int, seed: int) -> Array:
    """An array of the model."""
    return SimulatedArray(device, 1, rows, columns, seed)


@dataclass
class Bench:
    """Makes arrays of named devices, and remembers which ones were asked for.

    Attributes
    ----------
    seeds:
        What a stochastic experiment runs over; the first one is for all others.
    replaced:
        Devices to use instead of those of the catalogue, by name.
    used:
        Devices asked for so far, in order.
    make:
        Where arrays come from: by default the model.
    """

    seeds: tuple[int, ...] = SEEDS
    replaced: Mapping[str, Device] = field(default_factory=dict)
    used: dict[str, Device] = field(default_factory=dict)
    make: MakeArray = simulated

    def device(self, name: str) -> Device:
        """The device, for what an experiment has to know before it starts, like V_SET."""
        if name not in self.used:
            self.used[name] = self.replaced[name] if name in self.replaced else load(name)
        return self.used[name]

    def array(self, name: str, rows: int = 1, columns: int = 1, seed: int | None = None) -> Array:
        """A new array of one tile of as-made cells."""
        return self.make(self.device(name), rows, columns, self.seeds[0] if seed is None else seed)

    def summarise(self, values: Sequence[float] | FloatArray) -> tuple[float, Spread]:
        """Median of one value for each seed, and their central 90 %."""
        low, middle, high = np.quantile(np.asarray(values, dtype=np.float64), (0.05, 0.5, 0.95))
        return float(middle), Spread(float(low), float(high), self.seeds)

    def over_seeds(self, measure: Callable[[int], float]) -> tuple[float, Spread]:
        """The median of ``measure(seed)`` over the seeds, and its spread."""
        return self.summarise([measure(seed) for seed in self.seeds])
