"""Seed 000: the BiON metal-oxo cluster memory (Al / BiON / ITO)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..figure import OURS, SEED, THIRD
from ..numerics import FloatArray
from .bench import Bench
from .influence import PULSED, READ, SPREAD, influence
from .measure import cycle_resistances, probability
from .record import Definition, Kind, Result, Row
from .tolerance import at_least, within

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CELLS, _CYCLES = 10, 40  # so many readings that the extreme ones are near three sigma
_LRS = (35.0, 55.0)  # ohm
_HRS = (1.1e5, 5.0e6)  # ohm
_RATIO = 1e3
_FIG_S2 = "seed 000, Fig. S2"


def resistance(bench: Bench) -> Result:
    """LRS and HRS of many cells over many cycles, read at the read voltage."""
    low, high, ratio = [], [], []
    for seed in bench.seeds:
        array = bench.array("bion", 1, _CELLS, seed=seed)
        lrs, hrs = cycle_resistances(array, np.arange(_CELLS), _CYCLES)
        low.append(lrs)
        high.append(hrs)
        ratio.append(hrs.min() / lrs.max())
    lrs, hrs = np.array(low), np.array(high)
    rows = [
        _quantile("LRS, 1 % of readings are below", bench, lrs, 0.01, _LRS),
        _quantile("LRS, 99 % of readings are below", bench, lrs, 0.99, _LRS),
        _quantile("HRS, 1 % of readings are below", bench, hrs, 0.01, _HRS),
        _quantile("HRS, 99 % of readings are below", bench, hrs, 0.99, _HRS),
    ]
    middle, spread = bench.summarise(ratio)
    rows.append(
        Row(
            "worst ON/OFF: lowest HRS over highest LRS",
            "1",
            None,
            middle,
            at_least(_RATIO),
            Kind.PREDICTED,
            _FIG_S2,
            spread,
        )  # fmt: skip
    )
    influences = {"bion": influence(bench.device("bion"), PULSED, READ, SPREAD)}
    return Result(tuple(rows), lambda figure: _plot(figure, lrs[0], hrs[0]), influences)


def _quantile(
    name: str, bench: Bench, readings: FloatArray, part: float, accepted: tuple[float, float]
) -> Row:
    """A quantile of the readings (seeds, ...) of each seed, within the printed range."""
    found = np.quantile(readings.reshape(len(readings), -1), part, axis=1)
    middle, spread = bench.summarise(found)
    return Row(name, "ohm", None, middle, within(*accepted), Kind.INPUT, _FIG_S2, spread)


def _plot(figure: Figure, lrs: FloatArray, hrs: FloatArray) -> None:
    axes = figure.subplots()
    for readings, accepted, name, colour in (
        (lrs, _LRS, "LRS", OURS),
        (hrs, _HRS, "HRS", THIRD),
    ):
        axes.axvspan(*accepted, color=SEED, alpha=0.15, linewidth=0)
        axes.plot(*probability(readings), ".", markersize=4, color=colour, label=f"{name}, model")
    axes.axvspan(np.nan, np.nan, color=SEED, alpha=0.15, linewidth=0, label="range in the source")
    axes.set(xscale="log", xlabel="resistance [ohm]", ylabel="cumulative probability [%]")
    axes.set_ylim(0, 100)
    axes.legend(loc="center")


EXPERIMENTS = (Definition("000/resistance", "Resistance of both states", "Fig. S2", resistance),)
