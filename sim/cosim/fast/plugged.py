"""A controller in the compiled engine with an array plugged in, behind a serial line.

What talks to a board talks to it in the same way: through a blocking transport.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ....hw.afe import ad7606c
from ....hw.afe.adc_part import AdcPart
from ....hw.geometry import Geometry
from ...converters import Channels, Converters
from ..bench import Bench, lags
from ..card import AnalogCard, Lags
from ..comparison import Progress
from ..pins import CardPins
from .build import library, ports
from .engine import Engine
from .harness import FastHarness, complete

_BENCHES: dict[tuple[object, ...], tuple[Path, list[str]]] = {}
"""Libraries and ports of the benches that this process has plugged: elaborating one takes
seconds."""


@dataclass(frozen=True)
class SerialLine:
    """A :class:`~ohmloom.sim.cosim.fast.harness.Line` without a job."""

    bit_cycles: int
    clk_hz: int
    jump: bool = True


class Wire:
    """The host's end of the serial line: the link client's transport."""

    def __init__(self, harness: FastHarness) -> None:
        self._serial = harness.transport

    def write(self, data: bytes) -> None:
        """Send bytes; ends with the last stop bit."""
        complete(self._serial.write(data))

    def read(self, timeout: float) -> bytes:
        """The bytes that have arrived, at least one, or none after ``timeout`` model seconds."""
        return complete(self._serial.read(timeout))


@dataclass(frozen=True)
class Plug:
    """What a controller with an array plugged in is made of.

    Attributes
    ----------
    engine, pins:
        Make the simulation of a controller that has just been configured, and what is behind
        its pins.
    line:
        Serial line and clock.
    """

    engine: Callable[[], Engine]
    pins: Callable[[], CardPins]
    line: SerialLine


def plug(
    geometry: Geometry,
    clk_hz: int,
    bit_cycles: int,
    array: Any,
    converters: Converters,
    *,
    channels: Channels | None = None,
    analog: Lags | None = None,
    progress: Progress | None = None,
    cache: Path | None = None,
    adc: AdcPart = ad7606c.PART,
) -> Plug:
    """An array plugged into a controller; parameters as of :func:`plugged`."""
    key = (geometry, clk_hz, bit_cycles, adc, cache)
    if key not in _BENCHES:
        bench = Bench(geometry, clk_hz, clk_hz // bit_cycles, adc=adc)
        path = library(bench, progress or (lambda stage, done, total: None), cache)
        _BENCHES[key] = (path, ports(bench))

    def pins() -> CardPins:
        card = AnalogCard(
            array, converters, geometry, clk_hz, analog or lags(clk_hz, adc), channels
        )
        return CardPins(geometry, card)

    return Plug(lambda: Engine(*_BENCHES[key], bit_cycles), pins, SerialLine(bit_cycles, clk_hz))


@contextmanager
def plugged(
    geometry: Geometry,
    clk_hz: int,
    bit_cycles: int,
    array: Any,
    converters: Converters,
    *,
    channels: Channels | None = None,
    analog: Lags | None = None,
    progress: Progress | None = None,
    cache: Path | None = None,
    adc: AdcPart = ad7606c.PART,
) -> Iterator[Wire]:
    """The serial line of a controller that has been reset.

    Parameters
    ----------
    bit_cycles:
        Clock cycles of a bit on the line.
    array:
        What :class:`~ohmloom.sim.cosim.card.AnalogCard` reads: cells, or resistors.
    channels:
        Gain errors and offsets of the card's channels; None: it has none.
    analog:
        Time constants of the card; by default those of its parts.
    cache:
        Where compiled benches are kept; by default the user's cache.
    adc:
        Converters of the card.
    """
    made = plug(
        geometry, clk_hz, bit_cycles, array, converters, channels=channels, analog=analog,
        progress=progress, cache=cache, adc=adc,
    )  # fmt: skip
    with made.engine() as engine:
        harness = FastHarness(engine, made.line)
        complete(harness.begin(made.pins()))
        yield Wire(harness)
