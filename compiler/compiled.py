"""The compiled network: what the pipeline makes, a bundle stores, and engines run."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..hw.emulated_tables import EmulatedTables
from ..hw.image import Image
from ..sim.converters import Converters
from ..sim.devices import Device
from ..sim.emulated import emulated_tables
from .encoding import Encoding
from .host import HostStep
from .mapping import Placement
from .options import Options
from .scales import Scale


@dataclass(frozen=True)
class LayerInfo:
    """One layer as it runs.

    Attributes
    ----------
    name, kind:
        Of the node that it comes from, and what it does.
    outputs:
        Values that it makes.
    weights:
        Numbers that its matrices have, 0 of other layers.
    output:
        Scale of its values; a result that the host makes is not rounded to it.
    moved:
        Where each channel of the model's lies; of none if all are in their places. Of ``c``
        channels value ``n`` of the model is value ``n - n % c + moved[n % c]`` of the image.
    """

    name: str
    kind: str
    outputs: int
    weights: int
    output: Scale
    moved: tuple[int, ...] = ()


@dataclass(frozen=True)
class Golden:
    """Expected integers: drives of calibration samples and of every layer, noise included.

    Attributes
    ----------
    inputs:
        int32, shape (n, inputs).
    layers:
        int32, shape (n, outputs), one per layer of the image.
    """

    inputs: np.ndarray
    layers: tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Compiled:
    """A network compiled for one device, card and controller.

    Attributes
    ----------
    name:
        File name of the model it was made from.
    input_shape:
        Shape of one sample.
    image:
        What a controller is loaded with.
    levels:
        Target level of every cell, uint8 or uint16, shape (tiles, rows, columns).
    input:
        Scale of the input.
    placements:
        Which part of which matrix is in which rows of which tile.
    layers:
        All of them; those whose integers are still there at the end of an inference are
        in the image too.
    verify_range:
        TIA range of single cells.
    ranges:
        TIA range of each matrix, in order of layers and of matrices in them.
    host:
        Segments that run on the host, one for each of the image's calls.
    """

    name: str
    input_shape: tuple[int, ...]
    input: Scale
    image: Image
    levels: np.ndarray
    placements: tuple[Placement, ...]
    layers: tuple[LayerInfo, ...]
    device: Device
    converters: Converters
    options: Options
    verify_range: int
    ranges: tuple[int, ...]
    golden: Golden
    host: tuple[HostStep, ...] = ()

    @cached_property
    def tables(self) -> EmulatedTables:
        """The integers of its emulated array.

        Raises
        ------
        DeviceError, ConverterError
            If it has none.
        """
        return emulated_tables(self.device, self.converters, self.options.seed)

    @cached_property
    def matrix_ranges(self) -> dict[tuple[int, int], int]:
        """TIA range of every matrix, by its layer and which of the layer's it is."""
        which = sorted({(p.layer, p.block) for p in self.placements})
        return dict(zip(which, self.ranges, strict=True))

    @cached_property
    def encodings(self) -> dict[int, Encoding]:
        """How the weights of each layer lie in cells."""
        return self.options.encodings(
            len(self.device.level_codes), [layer.name for layer in self.layers]
        )

    def placement_at(self, tile: int, row: int) -> int:
        """Which of the placements has a row of a tile."""
        at = bisect_right(self._begins, (tile, row, len(self.placements)))
        return self._begins[at - 1][2]

    @cached_property
    def _begins(self) -> list[tuple[int, int, int]]:
        """Tile, first row and number of every placement, in this order."""
        return sorted((p.tile, p.first_row, number) for number, p in enumerate(self.placements))
