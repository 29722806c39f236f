"""Accuracy against the time since programming and the temperature, as is and compensated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..sim.engine import NumpyEngine
from .compensation import compensated, gains
from .compiled import Compiled
from .errors import InputError
from .runner import accuracy, build_engine, dequantise_output, quantise_input


@dataclass(frozen=True)
class Aged:
    """What an array gives some time after it was programmed, at a temperature.

    Attributes
    ----------
    gain:
        Mean of what weights are by now over what was written, found by reading the cells.
    accuracy:
        With the program as it is.
    compensated:
        With factors and biases for the cells as they were read.
    """

    seconds: float
    kelvin: float
    gain: float
    accuracy: float
    compensated: float


def aged(
    compiled: Compiled,
    x: np.ndarray,
    labels: np.ndarray,
    seconds: Sequence[float],
    kelvins: Sequence[float] = (),
) -> Iterator[Aged]:
    """Program an array once, and run samples after each of some times at each temperature.

    Parameters
    ----------
    x, labels:
        Samples (n, *input shape) and their classes (n,).
    seconds:
        Since programming, in any order; the array waits at the temperature at which it was
        programmed.
    kelvins:
        At which it is read; without any, that one.

    Raises
    ------
    InputError
        If samples or labels do not fit, or a time is before programming.
    TemperatureError
        If the device is not described at a temperature.
    """
    if not seconds or not all(0 <= time < np.inf for time in seconds):
        raise InputError(f"times {list(seconds)} since programming, 0 s and more are accepted")
    drives = quantise_input(compiled, x)
    engine = build_engine(compiled)
    array, begin = engine.array, engine.array.temperature_k
    for kelvin in kelvins:  # before anything runs for long
        array.set_temperature(kelvin)
    now = 0.0
    for time in sorted(set(seconds)):
        array.set_temperature(begin)
        array.wait(time - now)
        now = time
        for kelvin in kelvins or [begin]:
            array.set_temperature(kelvin)
            read = _read(engine)
            found = []
            for params in (compiled.image.params, compensated(compiled, read)):
                engine.load_params(params)
                found.append(
                    accuracy(dequantise_output(compiled, engine.infer(drives).output), labels)
                )
            gain = np.concatenate(list(gains(compiled, read).values())).mean()
            yield Aged(time, kelvin, float(gain), *found)


def _read(engine: NumpyEngine) -> np.ndarray:
    """Conductances of all cells [S], shape (tiles, rows, columns), one read of each."""
    tiles = [engine.array.tile_cells(tile) for tile in range(engine.image.tiles)]
    return engine.array.read(np.stack(tiles))
