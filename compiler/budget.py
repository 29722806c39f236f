"""Where the error of each layer comes from: every cause switched off alone.

The error of a layer is the root mean square of what its values are off against floats,
over that of the floats, on calibration samples. What a cause costs is what the error has
more, in squares, than without it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ..sim.converters import ADC_BITS
from .compiled import Compiled
from .pipeline import Source, compile_network
from .runner import build_engine, in_order

SAMPLES = 32
LINES = "line resistance"
CAUSES = ("read noise", "programming error", "ADC")
"""What can be switched off, and :data:`LINES` where lines have any; what is left without any of
them is quantisation: of activations, and of weights to the device's levels."""


@dataclass(frozen=True)
class LayerBudget:
    """The error of a layer, relative to the size of its values.

    Attributes
    ----------
    error:
        With everything on.
    costs:
        What each of :data:`CAUSES` adds to it, :data:`LINES` where lines have resistance, and
        ``"quantisation"``.
    """

    name: str
    error: float
    costs: dict[str, float]


def error_budget(
    source: Source, compiled: Compiled, faults: np.ndarray | None = None
) -> tuple[LayerBudget, ...]:
    """The budget of every layer whose values are still there after an inference.

    Parameters
    ----------
    source, compiled:
        The network, and what it was compiled to.
    faults:
        Stuck cells, as it was compiled with.
    """
    x = source.x[:SAMPLES]
    everything = _run(compiled, x, faults)
    quiet = _run(compiled, x, faults, read_noise=False)
    exact = _run(compiled, x, faults, programmed=False)
    sharp_converters = replace(compiled.converters, adc_bits=ADC_BITS)
    sharp = compile_network(
        compiled.name,
        source,
        compiled.device,
        compiled.image.geometry,
        compiled.options,
        sharp_converters,
        faults,
    )
    fine = _run(sharp, x, faults)
    none = _run(sharp, x, faults, read_noise=False, programmed=False, lines=False)
    runs: dict[str, dict[str, np.ndarray]] = dict(zip(CAUSES, (quiet, exact, fine), strict=True))
    if compiled.options.wires:
        runs[LINES] = _run(compiled, x, faults, lines=False)
    found = []
    for name, floats in _floats(source, compiled, x):
        error = relative_error(everything[name], floats)
        costs = {
            cause: math.sqrt(max(error**2 - relative_error(run[name], floats) ** 2, 0.0))
            for cause, run in runs.items()
        }
        left = relative_error(none[name], floats)
        found.append(LayerBudget(name, error, {**costs, "quantisation": left}))
    return tuple(found)


def relative_error(values: np.ndarray, floats: np.ndarray) -> float:
    """What values are off against floats, root mean square over that of the floats."""
    size = float(np.sqrt(np.square(floats).mean())) or 1.0
    return float(np.sqrt(np.square(values - floats).mean())) / size


def _run(
    compiled: Compiled,
    x: np.ndarray,
    faults: np.ndarray | None,
    *,
    read_noise: bool = True,
    programmed: bool = True,
    lines: bool = True,
) -> dict[str, np.ndarray]:
    """Values of every layer; not ``programmed`` means that cells are exactly on their levels."""
    if not programmed:
        on_level = compiled.device.levels[compiled.levels]
        faults = on_level if faults is None else np.where(np.isnan(faults), on_level, faults)
    # Cells that are all stuck are written for nothing.
    engine = build_engine(
        compiled, read_noise=read_noise, program=programmed, faults=faults, lines=lines
    )
    trace = engine.infer(compiled.input.quantise(x))
    scales = {layer.name: layer.output for layer in compiled.layers}
    layers = in_order(compiled, trace.layers)
    return {name: scales[name].dequantise(drives) for name, drives in layers.items()}


def _floats(source: Source, compiled: Compiled, x: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Layers that are compared, and what the float network makes them."""
    kept = {layer.name for layer in compiled.image.layers}
    for number, _, made in source.network.steps(x.astype(np.float64)):
        name = source.network.layers[number].name
        # A matrix whose bias is added by a layer of its own is only a part of the float one.
        if name in kept and f"{name}/bias" not in kept:
            yield name, made
