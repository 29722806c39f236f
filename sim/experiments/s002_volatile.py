"""Seed 002, volatile mode of the OGB-capped CsPbBr3 cell: switching and short-term dynamics."""

from __future__ import annotations

from itertools import pairwise, product
from typing import TYPE_CHECKING

import numpy as np

from ..array import Array
from ..figure import OURS, QUIET, SEED, SERIES
from ..numerics import FloatArray, IntArray
from .bench import Bench
from .measure import staircase
from .record import Definition, Kind, Result, Row
from .tolerance import exact, order_of_magnitude, ten_percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DEVICE = "cspbbr3_ogb"
_NOTE_2, _NOTE_3 = "seed 002, Suppl. Note 2", "seed 002, Suppl. Note 3"
_I_CC = 1e-6  # A
_V_PULSE = 1.0  # V
_SHORT_S, _LONG_S = 5e-3, 25e-3  # pulse widths
_PAIR_S = 10e-3  # inside a pair: not given, the shortest interval between pairs
_TRAIN_S = (10e-3, 14e-3, 18e-3, 23e-3)
# in a train: not given; between the two last intervals after which it adds up
_REST_S = 5.0  # all is forgotten
_CELLS = 256
_READS = 16  # averaged, so that read noise does not hide the state


def _array(bench: Bench, cells: int, seed: int | None = None) -> Array:
    array = bench.array(DEVICE, 1, cells, seed)
    array.set_mode("volatile")
    return array


def _state(array: Array, cells: IntArray, reads: int = _READS) -> FloatArray:
    """Conductance [S] of each cell, reads averaged; reading takes no time."""
    return np.mean([array.read(cells) for _ in range(reads)], axis=0)


def _train(bench: Bench, gaps: tuple[float, ...], seed: int) -> FloatArray:
    """Mean conductance [S] of all cells after each 1 V, 5 ms pulse; ``gaps`` lie between."""
    cells = np.arange(_CELLS)
    array = _array(bench, _CELLS, seed)
    after = []
    for gap in (0.0, *gaps):
        array.wait(gap)
        array.pulse(cells, _V_PULSE, _SHORT_S, _I_CC)
        after.append(float(_state(array, cells).mean()))
    return np.array(after)


# -- threshold switching --------------------------------------------------------------


def switching(bench: Bench) -> Result:
    """Sweeps of both polarities at 1 uA: ON/OFF, compliance, one direction, volatility."""
    volts, step_s = staircase(1.0, 0.01), 0.05
    at = int(np.argmin(abs(volts - 0.25)))  # above the hold voltage, below the threshold
    array, cells = _array(bench, 1), np.arange(1)
    forward = array.sweep(cells, volts, step_s, _I_CC)[0]
    array.wait(_REST_S)
    reverse = array.sweep(cells, -volts, step_s, None)[0]
    again = array.sweep(cells, volts, step_s, _I_CC)[0]
    ratio = float(forward[-1 - at] / forward[at])
    leak = float(forward[at] / volts[at])
    rows = (
        Row("ON/OFF at 0.25 V", "1", 1e3, ratio, order_of_magnitude(), Kind.INPUT,
            f"{_NOTE_2}, Table 2"),
        Row("largest current", "A", _I_CC, float(forward.max()), exact(), Kind.INPUT, _NOTE_2),
        Row("no switching under reverse bias", "", True,
            bool(np.abs(reverse).max() < 2 * leak * np.abs(volts).max()), exact(), Kind.INPUT,
            f"{_NOTE_2}, Fig. 5"),
        Row("OFF again by the next sweep", "", True, bool(again[at] < 2 * forward[at]), exact(),
            Kind.INPUT, _NOTE_2),
    )  # fmt: skip

    def plot(figure: Figure) -> None:
        axes = figure.subplots()
        for drive, current, style in ((volts, forward, "-"), (-volts, reverse, ":")):
            driven = drive != 0
            axes.semilogy(drive[driven], np.abs(current[driven]), color=OURS, linestyle=style)
        axes.axhline(_I_CC, color=SEED, linewidth=0.8, linestyle="--", label="seed: I_cc = 1 uA")
        axes.set(xlabel="voltage (V)", ylabel="magnitude of the current (A)")
        axes.legend()

    return Result(rows, plot, {DEVICE: _INFLUENCES})


# -- one stimulus ---------------------------------------------------------------------


def _bend(x: FloatArray, y: FloatArray) -> float:
    """Largest distance from the straight line through the ends, as a part of the rise."""
    line = y[0] + (y[-1] - y[0]) * (x - x[0]) / (x[-1] - x[0])
    return float(np.abs(y - line).max() / (y[-1] - y[0]))


def response(bench: Bench) -> Result:
    """Conductance after pulses of growing amplitude, width and number."""
    cells = np.arange(_CELLS)

    def after(volts: float, width_s: float, number: int) -> float:
        array = _array(bench, _CELLS)
        for _ in range(number):
            array.wait(_PAIR_S)
            array.pulse(cells, volts, width_s, _I_CC)
        return float(_state(array, cells).mean())

    amplitudes = np.linspace(0.6, 1.4, 9)
    widths = np.array([5e-3, 10e-3, 15e-3, 25e-3, 40e-3, 60e-3])
    numbers = np.arange(1.0, 8.0)
    curves = {
        "amplitude (V)": (amplitudes, [after(v, _LONG_S, 1) for v in amplitudes]),
        "width (s)": (widths, [after(_V_PULSE, s, 1) for s in widths]),
        "number": (numbers, [after(_V_PULSE, _LONG_S, int(n)) for n in numbers]),
    }
    rows: list[Row] = []
    # the entry gives the law of the voltage, and its slow rate is one that bends with the number
    kinds = (Kind.INPUT, Kind.PREDICTED, Kind.FITTED)
    for panel, kind, (name, (x, found)) in zip("abc", kinds, curves.items(), strict=True):
        y, what, source = np.array(found), name.partition(" ")[0], f"{_NOTE_3}, Fig. 22{panel}"
        rows += [
            Row(f"conductance grows with pulse {what}", "", True, bool((np.diff(y) > 0).all()),
                exact(), kind, source),
            Row(f"the growth with {what} is not linear (10 % of the rise)", "", True,
                _bend(x, y) > 0.1, exact(), kind, source),
        ]  # fmt: skip

    def plot(figure: Figure) -> None:
        panels = figure.subplots(1, 3, sharey=True)
        for axes, (name, (x, found)) in zip(panels, curves.items(), strict=True):
            axes.plot(x, np.array(found) * 1e6, "o-", color=OURS)
            axes.set(xlabel=f"pulse {name}")
        panels[0].set(ylabel="conductance (uS)")

    return Result(tuple(rows), plot, {DEVICE: _INFLUENCES})


# -- memory of the recent past --------------------------------------------------------

_ECHO = (
    (10e-3, 118.0, Kind.FITTED),
    (30e-3, 107.5, Kind.PREDICTED),
    (300e-3, 107.2, Kind.FITTED),
)
"""Interval between the groups [s], echo index [%], and whether the fit has seen it."""
_LAST = ((10e-3, True), (23e-3, True), (41e-3, False), (80e-3, False))
"""Last interval of a train of ten [s], and whether its last pulse still accumulates."""
_BETWEEN = (5e-3, 15e-3, 20e-3, 40e-3, 60e-3, 100e-3, 180e-3, 500e-3)  # s, for the figure


def echo(bench: Bench) -> Result:
    """Two pairs of pulses: 100 a4 / a1 against the interval between the pairs."""
    pairs = {
        interval: [_train(bench, (_PAIR_S, interval, _PAIR_S), seed) for seed in bench.seeds]
        for interval, _, _ in _ECHO
    }
    rows: list[Row] = []
    for interval, index, kind in _ECHO:
        ours, interval_spread = bench.summarise([100 * a[3] / a[0] for a in pairs[interval]])
        rows.append(
            Row(f"echo index at {interval * 1e3:.0f} ms", "%", index, ours, ten_percent(index),
                kind, f"{_NOTE_3}, Fig. 23", interval_spread)
        )  # fmt: skip

    given = {interval: float(row.ours) for (interval, _, _), row in zip(_ECHO, rows, strict=True)}
    curve = given.copy()
    for interval in _BETWEEN:
        after = _train(bench, (_PAIR_S, interval, _PAIR_S), bench.seeds[0])
        curve[interval] = 100 * after[3] / after[0]

    def plot(figure: Figure) -> None:
        axes = figure.subplots()
        intervals = np.array(sorted(curve))
        axes.semilogx(intervals * 1e3, [curve[i] for i in intervals], "-", color=OURS)
        for kind, fill in ((Kind.FITTED, OURS), (Kind.PREDICTED, "white")):
            shown = [interval for interval, _, its in _ECHO if its is kind]
            axes.semilogx(np.array(shown) * 1e3, [given[i] for i in shown], "o", color=OURS,
                          markerfacecolor=fill, label=f"ours, {kind}")  # fmt: skip
        axes.semilogx([i * 1e3 for i, _, _ in _ECHO], [index for _, index, _ in _ECHO], "s",
                      color=SEED, label="seed")  # fmt: skip
        axes.axhline(100, color=QUIET, linewidth=0.8)
        axes.set(xlabel="interval between the pairs (ms)", ylabel="echo index (%)")
        axes.legend()

    return Result(tuple(rows), plot, {DEVICE: _INFLUENCES})


def train(bench: Bench) -> Result:
    """Ten pulses, the last one after another interval: accumulation or depression.

    The interval between the others is not given. A row holds for each of several.
    """
    trains = {
        (inner, last): np.median(
            [_train(bench, (*[inner] * 8, last), seed) for seed in bench.seeds], axis=0
        )
        for inner, (last, _) in product(_TRAIN_S, _LAST)
    }
    steps = {key: 100 * (after[9] - after[8]) / after[0] for key, after in trains.items()}
    rows: list[Row] = []
    shortest, longest = min(_TRAIN_S) * 1e3, max(_TRAIN_S) * 1e3
    for last, adds in _LAST:
        found = [steps[inner, last] > 0 for inner in _TRAIN_S]
        rows.append(
            Row(f"the last pulse adds up after {last * 1e3:.0f} ms, "
                f"the others {shortest:.0f} to {longest:.0f} ms apart", "", adds,
                all(found) if adds else any(found), exact(), Kind.FITTED,
                f"{_NOTE_3}, Fig. 23")
        )  # fmt: skip

    def plot(figure: Figure) -> None:
        left, right = figure.subplots(1, 2)
        lasts = [last for last, _ in _LAST]
        for colour, last in zip(SERIES, lasts, strict=False):
            left.plot(range(1, 11), trains[_TRAIN_S[0], last] * 1e6, "o-", color=colour,
                      label=f"{last * 1e3:.0f} ms before the last")  # fmt: skip
        left.set(xlabel=f"pulse, the others {shortest:.0f} ms apart", ylabel="conductance (uS)")
        left.legend()
        for colour, inner in zip(SERIES, _TRAIN_S, strict=False):
            right.plot(np.array(lasts) * 1e3, [steps[inner, last] for last in lasts], "o-",
                       color=colour, label=f"the others {inner * 1e3:.0f} ms apart")  # fmt: skip
        right.axhline(0, color=QUIET, linewidth=0.8)
        right.axvspan(23, 41, color=SEED, alpha=0.15, label="seed: the sign changes")
        right.set(xlabel="last interval (ms)", ylabel="last step, % of the first answer")
        right.legend()

    return Result(tuple(rows), plot, {DEVICE: _INFLUENCES})


# -- bit streams ----------------------------------------------------------------------

_BITS = 4
_DEVICES, _REPEATS, _STREAM_READS = 8, 4, 64
_APART = 2.0  # states that count as two are this many standard deviations apart


def _end_states(bench: Bench, seed: int) -> FloatArray:
    """Conductances [S] after every stream, shape (streams, repeats, devices)."""
    array, cells = _array(bench, _DEVICES, seed), np.arange(_DEVICES)
    streams = list(product((0, 1), repeat=_BITS))
    states = np.empty((len(streams), _REPEATS, _DEVICES))
    for stream, repeat in product(range(len(streams)), range(_REPEATS)):
        for bit in streams[stream]:
            if bit:
                array.pulse(cells, _V_PULSE, _SHORT_S, _I_CC)
            else:
                array.wait(_SHORT_S)
        states[stream, repeat] = _state(array, cells, _STREAM_READS)
        array.wait(_REST_S)
    return states


def _told_apart(states: FloatArray) -> int:
    """End states of one device, shape (streams, repeats), that are distinct given their spread."""
    order = np.argsort(states.mean(axis=1))
    mean, deviation = states.mean(axis=1)[order], states.std(axis=1, ddof=1)[order]
    return 1 + sum(
        bool(mean[b] - mean[a] > _APART * np.hypot(deviation[a], deviation[b]))
        for a, b in pairwise(range(len(mean)))
    )


def streams(bench: Bench) -> Result:
    """End states of all streams of four bits; a 1 is 1 V for 5 ms, a 0 is 5 ms without bias."""
    states = {seed: _end_states(bench, seed) for seed in bench.seeds}
    told, told_spread = bench.over_seeds(
        lambda seed: float(np.median([_told_apart(one) for one in np.moveaxis(states[seed], 2, 0)]))
    )
    rows = (
        Row("4-bit streams with an end state of their own", "1", float(2**_BITS), told, exact(),
            Kind.FITTED, f"{_NOTE_3}, Fig. 24", told_spread),
    )  # fmt: skip

    def plot(figure: Figure) -> None:
        axes = figure.subplots()
        one = states[bench.seeds[0]][..., 0] * 1e6
        names = ["".join(map(str, bits)) for bits in product((0, 1), repeat=_BITS)]
        for place, stream in enumerate(np.argsort(one.mean(axis=1))):
            axes.plot([place] * _REPEATS, one[stream], "o", color=OURS, markersize=4)
            axes.annotate(names[stream], (place, one[stream].max()), rotation=90, fontsize=7,
                          xytext=(0, 5), textcoords="offset points", ha="center")  # fmt: skip
        axes.set(xlabel="streams in the order of their end state", ylabel="conductance (uS)")

    return Result(rows, plot, {DEVICE: _INFLUENCES})


_INFLUENCES = {
    "modes.volatile.conductance": "the scale of every conductance, and ON/OFF",
    "modes.volatile.switching": "where the sweep switches and lets go",
    "modes.volatile.growth.rate": "all dynamics, of the echo index little",
    "modes.volatile.growth.slow_rate": "how many pulses add up, and the bend against their number",
    "modes.volatile.growth.v_scale": "the curve against amplitude",
    "modes.volatile.relaxation.fast_time": "the last bit of a stream, of the echo index little",
    "modes.volatile.relaxation.slow_time": "which intervals add up, and the echo index at 30 ms",
    "modes.volatile.relaxation.slow_share": "all dynamics: fitted to the echo index",
    "modes.volatile.spread": "scatter of the end states, and of where the sweep switches",
    "modes.volatile.read.noise": "scatter of the measured conductances, averaged away",
    "modes.volatile.drive": "stimuli outside are refused",
}

EXPERIMENTS: tuple[Definition, ...] = (
    Definition("002/volatile", "Volatile threshold switching", "Fig. 5", switching),
    Definition("002/response", "Response to one stimulus", "Fig. 22", response),
    Definition("002/echo", "Echo index of two pairs of pulses", "Fig. 23 a-c", echo),
    Definition("002/train", "Last interval of a train of pulses", "Fig. 23 d-g", train),
    Definition("002/streams", "End states of bit streams", "Fig. 24", streams),
)
