"""The compiled network: what the pipeline makes, a bundle stores, and engines run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..hw.image import Image
from ..sim.converters import Converters
from ..sim.devices import Device
from .mapping import Placement
from .options import Options
from .scales import Scale


@dataclass(frozen=True)
class LayerInfo:
    """One layer as it runs: sizes and the scales at both ends."""

    name: str
    inputs: int
    outputs: int
    relu: bool
    input: Scale
    output: Scale


@dataclass(frozen=True)
class Golden:
    """Expected integers: drives of calibration samples and of every layer, noise included.

    Attributes
    ----------
    inputs:
        int32, shape (n, inputs).
    layers:
        int32, shape (n, outputs), one per layer in order.
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
        Target level of every cell, uint16, shape (tiles, rows, columns).
    placements:
        Which block of which layer each tile holds.
    tia_range, row_limit:
        Chosen TIA range, and the rows that it allows at once.
    """

    name: str
    input_shape: tuple[int, ...]
    image: Image
    levels: np.ndarray
    placements: tuple[Placement, ...]
    layers: tuple[LayerInfo, ...]
    device: Device
    converters: Converters
    options: Options
    tia_range: int
    row_limit: int
    golden: Golden
