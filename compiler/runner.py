"""Running a compiled network: samples to integers, an engine, integers to scores."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..sim.array import SimulatedArray
from ..sim.engine import NumpyEngine, accelerator_of
from .cells import check_faults
from .compiled import Compiled
from .errors import InputError
from .host import Executor
from .samples import flat_samples


def quantise_input(compiled: Compiled, x: np.ndarray) -> np.ndarray:
    """Drives, int32 (n, inputs), of float samples (n, *input shape) or (n, inputs).

    Raises
    ------
    InputError
        If shape, type or values of the samples do not fit.
    """
    flat = flat_samples(x, compiled.input_shape, "samples", InputError)
    return compiled.input.quantise(flat)


def dequantise_output(compiled: Compiled, drive: np.ndarray) -> np.ndarray:
    """Scores of the output's integers, shape (n, outputs).

    Float32; or what the host makes of the integers, where the network ends there.
    """
    if compiled.host and not compiled.host[-1].gives:
        return Executor(compiled.host).result(drive)
    return compiled.layers[-1].output.dequantise(drive)


def in_order(compiled: Compiled, layers: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Values of layers as the model has them, of those (n, values) that an image makes.

    They differ where channels were put in another order around stuck cells.
    """
    found = dict(layers)
    for layer in compiled.layers:
        if layer.moved and layer.name in found:
            values = found[layer.name]
            apart = values.reshape(len(values), -1, len(layer.moved))
            found[layer.name] = apart[:, :, list(layer.moved)].reshape(values.shape)
    return found


def build_engine(
    compiled: Compiled,
    seed: int | None = None,
    read_noise: bool = True,
    program: bool = True,
    faults: np.ndarray | None = None,
    array_type: type[SimulatedArray] = SimulatedArray,
    threads: int = 1,
    accelerator: str | None = None,
    lines: bool = True,
) -> NumpyEngine:
    """The numpy engine on a fresh array, set up and, unless told otherwise, programmed.

    Parameters
    ----------
    seed:
        Seed of the array's draws; by default the one of the compilation.
    read_noise:
        Whether reads are noisy, those of write-verify included.
    faults:
        Conductances of stuck cells [S] and NaN of the others, shape (tiles, rows, columns).
    array_type:
        Of the array, such as one with a meter; it is the engine's ``array``.
    threads:
        That it works on; the same integers on any number.
    accelerator:
        Name of what makes the products, as of :func:`~ohmloom.sim.engine.accelerator_of`; the
        same integers on any. None: the processor does.
    lines:
        Whether lines have the resistance that the options say.

    Raises
    ------
    EngineError
        If there is no such accelerator, or it does not work.
    """
    maker = None if accelerator is None else accelerator_of(accelerator)
    image, geometry = compiled.image, compiled.image.geometry
    seed = compiled.options.seed if seed is None else seed
    array = array_type(
        compiled.device, image.tiles, geometry.rows, geometry.columns, seed,
        wires=compiled.options.wires if lines else None, passive=geometry.passive,
    )  # fmt: skip
    if faults is not None:
        stuck = check_faults(faults, image.tiles, geometry).reshape(-1)
        cells = np.flatnonzero(~np.isnan(stuck))
        array.stick(cells, stuck[cells])
    engine = NumpyEngine(
        image,
        array,
        compiled.converters,
        compiled.options.clk_hz,
        seed,
        read_noise=read_noise,
        host=Executor(compiled.host),
        threads=threads,
        accelerator=maker,
    )
    engine.setup()
    if program:
        engine.program(compiled.levels)
    return engine


def check_labels(labels: np.ndarray, samples: int, classes: int) -> np.ndarray:
    """Labels as int64 (n,).

    Raises
    ------
    InputError
        If they are not one whole class number per sample.
    """
    if labels.shape != (samples,) or labels.dtype.kind not in "iu":
        raise InputError(
            f"labels are {labels.dtype} of shape {labels.shape}, "
            f"whole numbers of shape ({samples},) are accepted"
        )
    if labels.size and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise InputError(
            f"labels reach from {labels.min()} to {labels.max()}, 0 to {classes - 1} are accepted"
        )
    return labels.astype(np.int64)


def accuracy(scores: np.ndarray, labels: np.ndarray) -> float:
    """Fraction of samples whose largest score (n, classes) is at their label (n,).

    Raises
    ------
    InputError
        As :func:`check_labels`.
    """
    labels = check_labels(labels, *scores.shape)
    return float(np.mean(scores.argmax(axis=1) == labels))
