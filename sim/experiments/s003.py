"""Seed 003: the organic heterojunction memristor (ITO / pentacene / P13 / Al).

The source prints few currents; most of what it reports are orders and directions,
which are rows of yes or no here. A pulse whose current matters is a sweep of one
step: its current is that at the end of the pulse.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..array import Array
from ..figure import OURS, QUIET, SEED, SERIES, THIRD
from ..numerics import FloatArray, IntArray
from .bench import Bench
from .measure import staircase
from .record import Definition, Kind, Result, Row
from .tolerance import exact, order_of_magnitude, ten_percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DEVICE = "ohm"
_SIDE = 5  # an array of 5 x 5 cells, as in Fig. 4h; one row of it elsewhere
_V = 10.0
_READ = 1.0
_WIDTH = 50e-3
_GAP = 50e-3  # between the pulses of a train; not given
_REST = 60.0  # after which a relaxation current is read; not given
_STEP = 0.2  # V
_RATE = 20.0  # V/s of a sweep; not given
_SWEEPS = 160
_INTERVALS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)  # s
_FREQUENCIES = (0.1, 0.2, 0.5, 1.0, 1.5, 2.0, 2.5)  # Hz
_NUMBERS = (5, 10, 20, 30, 40, 50)
_LADDER = 60  # pulses of an LTP and of an LTD curve; not given
_SALIVATION = 0.2e-3  # A
_BELL = -3.0
_MEMORY = 1e-4  # A at +10 V that counts as learned; the source normalises the current
_STROKES = 30  # pulses for each stage of the 5 x 5 array; not given
_LETTER = ("#####", "#...#", "#...#", "#...#", "#####")


def _cells(count: int = _SIDE) -> IntArray:
    return np.arange(count)


def _train(
    array: Array, cells: IntArray, volts: float, count: int, gap_s: float, width_s: float = _WIDTH
) -> FloatArray:
    """Equal pulses, each followed by a gap; currents [A] at their ends, (*cells.shape, count)."""
    currents = np.empty((*cells.shape, count))
    for n in range(count):
        currents[..., n] = array.sweep(cells, [volts], width_s, None)[..., 0]
        array.wait(gap_s)
    return currents


def _read(array: Array, cells: IntArray, volts: float = _READ) -> FloatArray:
    """Current [A] at a voltage that moves nothing."""
    return array.sweep(cells, [volts], 1e-3, None)[..., 0]


def _rising(values: FloatArray) -> bool:
    """Whether each value along the last axis is above the one before it, for every cell."""
    return bool((np.diff(values, axis=-1) > 0).all())


def _yes(quantity: str, ours: bool, place: str, kind: Kind = Kind.PREDICTED) -> Row:
    return Row(quantity, "", True, ours, exact(), kind, f"seed 003, {place}")


# -- sweeps ---------------------------------------------------------------------------


def _loop_area(array: Array, cells: IntArray, rate: float) -> FloatArray:
    """Area [V A] between the way up and the way down of a sweep to +10 V."""
    volts = staircase(_V, _STEP)
    current = array.sweep(cells, volts, _STEP / rate, None)
    middle = volts.size // 2
    up, down = current[..., : middle + 1], current[..., : middle - 1 : -1]
    return np.sum(down - up, axis=-1) * _STEP


def sweeps(bench: Bench) -> Result:
    """160 sweeps to +10 V and 160 to -10 V; then what half the voltage and slowness do."""
    array, cells = bench.array(_DEVICE, 1, _SIDE), _cells()
    volts = staircase(_V, _STEP)
    top = volts.size // 2
    curves = np.stack(
        [array.sweep(cells, volts, _STEP / _RATE, None) for _ in range(_SWEEPS)], axis=1
    )
    peak = curves[..., top]
    back = [array.sweep(cells, -volts, _STEP / _RATE, None)[..., top] for _ in range(_SWEEPS)]
    array.wait(_REST)
    at_10_v = np.abs(np.stack(back, axis=-1))

    half = bench.array(_DEVICE, 1, _SIDE)
    before = half.sweep(cells, [_READ], 1e-3, None)
    for sign in (1, -1):
        half.sweep(cells, [sign * _V / 2], 100.0, None)
    unmoved = bool(np.array_equal(before, half.sweep(cells, [_READ], 1e-3, None)))

    rates = (2.0, 20.0, 200.0)
    areas = [np.median(_loop_area(bench.array(_DEVICE, 1, _SIDE), cells, r)) for r in rates]
    figures = "p. 3 and Fig. S2"
    first, last = float(np.median(peak[:, 0])), float(np.median(peak[:, -1]))
    rows = (
        Row("current at +10 V, first sweep", "A", 2.1e-6, first, ten_percent(2.1e-6),
            Kind.FITTED, f"seed 003, {figures}"),
        Row("current at +10 V, 160th sweep", "A", 1.5e-3, last, ten_percent(1.5e-3),
            Kind.FITTED, f"seed 003, {figures}"),
        _yes("the current grows from every sweep to the next", _rising(peak), figures),
        _yes("it falls from every sweep to -10 V to the next, until it is at the lower end",
             bool((np.diff(at_10_v, axis=-1) <= 0).all()), "p. 3"),
        Row("current at -10 V after 160 sweeps back: lower end of the window", "A", 1e-6,
            float(np.median(at_10_v[:, -1])), order_of_magnitude(), Kind.PREDICTED,
            "seed 003, abstract and p. 3"),
        _yes("half the voltage, 5 V of either sign for 100 s, changes nothing", unmoved,
             "p. 3 and Fig. S3", Kind.INPUT),
        _yes("the slower the sweep, the larger the hysteresis",
             bool((np.diff(areas) < 0).all()), "p. 3 and Fig. S4"),
    )  # fmt: skip
    influences = {
        _DEVICE: {
            "modes.analog.conductance": "both ends of the window and every current",
            "modes.analog.up": "how many sweeps the way up takes",
            "modes.analog.down": "how many sweeps the way back takes",
            "modes.analog.short_term": "the current at the top of each sweep, by less than half",
            "modes.analog.spread": "spread of the current from sweep to sweep and cell to cell",
        }
    }
    return Result(rows, lambda figure: _plot_sweeps(figure, volts, curves[0], peak), influences)


def _plot_sweeps(figure: Figure, volts: FloatArray, curves: FloatArray, peak: FloatArray) -> None:
    left, right = figure.subplots(1, 2)
    for n, colour in zip((0, 9, 39, 99, 159), SERIES, strict=True):
        driven = volts > 0
        left.semilogy(volts[driven], curves[n][driven], color=colour, label=f"sweep {n + 1}")
    left.set(xlabel="voltage [V]", ylabel="current [A]")
    left.legend()
    numbers = np.arange(1, _SWEEPS + 1)
    right.semilogy(numbers, peak.T, color=OURS, linewidth=0.8)
    right.plot((1, _SWEEPS), (2.1e-6, 1.5e-3), "o", color=SEED, label="in the source")
    right.set(xlabel="sweep", ylabel="current at +10 V [A]")
    right.legend()


# -- pairs, trains, rates -------------------------------------------------------------


def paired_pulses(bench: Bench) -> Result:
    """PPF and PTP against the interval, and what width, amplitude and interval do."""
    ppf, ptp = [], []
    for interval in _INTERVALS:
        current = _train(bench.array(_DEVICE, 1, _SIDE), _cells(), _V, 10, interval)
        ppf.append(100.0 * (current[:, 1] - current[:, 0]) / current[:, 0])
        ptp.append(100.0 * (current[:, 9] - current[:, 0]) / current[:, 0])

    def last(volts: float, width_s: float, gap_s: float) -> FloatArray:
        array = bench.array(_DEVICE, 1, _SIDE)
        return _train(array, _cells(), volts, 10, gap_s, width_s)[:, -1]

    widths = np.stack([last(_V, width, _GAP) for width in (0.02, 0.05, 0.1)], axis=-1)
    heights = np.stack([last(volts, _WIDTH, _GAP) for volts in (8.5, 9.0, 9.5, 10.0)], axis=-1)
    gaps = np.stack([last(_V, _WIDTH, gap) for gap in (1.0, 0.2, 0.05)], axis=-1)
    pair, train = np.array(ppf), np.array(ptp)
    rows = (
        _yes("PPF falls as the interval grows", _rising(-np.median(pair, axis=1)), "Fig. 4b"),
        _yes("PTP falls as the interval grows", _rising(-np.median(train, axis=1)), "Fig. 4b"),
        _yes("PPF is positive at every interval", bool((pair > 0).all()), "eqn (1), Fig. 4b"),
        _yes("PTP is above PPF at every interval", bool((train > pair).all()), "Fig. 4b"),
        _yes("wider pulses give a larger current", _rising(widths), "Fig. S10"),
        _yes("higher pulses give a larger current", _rising(heights), "Fig. S10"),
        _yes("denser pulses give a larger current", _rising(gaps), "Fig. S10"),
    )
    influences = {
        _DEVICE: {
            "modes.analog.short_term": "size of PPF and PTP, and the interval at which they fall",
            "modes.analog.up": "what is left of PPF and PTP at long intervals",
            "modes.analog.conductance.curvature": "what is left of PPF and PTP at long intervals",
            "modes.analog.spread": "spread of PPF and PTP from cell to cell",
        }
    }
    return Result(rows, lambda figure: _plot_pairs(figure, pair, train), influences)


def _plot_pairs(figure: Figure, ppf: FloatArray, ptp: FloatArray) -> None:
    axes = figure.subplots()
    for index, name, colour in ((ppf, "PPF", OURS), (ptp, "PTP", THIRD)):
        axes.plot(_INTERVALS, np.median(index, axis=1), "o-", color=colour, label=name)
    axes.set(xscale="log", yscale="log", xlabel="interval [s]", ylabel="index [%]")
    axes.legend()


def spike_rate(bench: Bench) -> Result:
    """20 pulses at seven frequencies."""
    currents = np.stack(
        [
            _train(bench.array(_DEVICE, 1, _SIDE), _cells(), _V, 20, 1.0 / rate - _WIDTH)
            for rate in _FREQUENCIES
        ]
    )
    growth = np.median(currents[..., -1] / currents[..., 0], axis=1)
    rows = (
        _yes("the current grows from pulse to pulse at the highest frequency",
             _rising(currents[-1]), "Fig. 4c"),
        _yes("over 20 pulses it grows the more, the higher the frequency", _rising(growth),
             "Fig. 4c"),
    )  # fmt: skip
    influences = {
        _DEVICE: {
            "modes.analog.short_term": "growth at each frequency",
            "modes.analog.up": "growth at low frequencies",
            "modes.analog.conductance": "every current",
        }
    }
    return Result(rows, lambda figure: _plot_rates(figure, currents), influences)


def _plot_rates(figure: Figure, currents: FloatArray) -> None:
    axes = figure.subplots()
    numbers = np.arange(1, currents.shape[-1] + 1)
    for n, rate in enumerate(_FREQUENCIES):
        axes.plot(numbers, np.median(currents[n], axis=0), ".-", color=SERIES[n % len(SERIES)],
                  alpha=0.5 + n / 14, label=f"{rate:g} Hz")  # fmt: skip
    axes.set(xlabel="pulse", ylabel="current [A]")
    axes.legend(ncols=2)


def transition(bench: Bench) -> Result:
    """From short-term to long-term: relaxation after 5 to 50 pulses, read at +1 V."""
    times = np.geomspace(0.1, _REST, 13)
    curves = np.array([_relaxation(bench, _V, count, times) for count in _NUMBERS])
    weak = _relaxation(bench, 9.5, _NUMBERS[0], times)
    settled = curves[:, -1]
    rows = (
        _yes("the relaxation current is larger after more pulses", _rising(settled), "Fig. 4d"),
        _yes("each curve falls from its first reading to its last", _rising(-curves), "Fig. 4d"),
        Row("relaxation current, 50 pulses of 10 V over 5 pulses of 9.5 V", "1", 1e2,
            float(settled[-1] / weak[-1]), order_of_magnitude(), Kind.FITTED,
            "seed 003, p. 7 and Fig. S11"),
    )  # fmt: skip
    influences = {
        _DEVICE: {
            "modes.analog.short_term": "how far and how fast the current relaxes",
            "modes.analog.up": "relaxation currents, and so their ratio",
            "modes.analog.conductance": "relaxation currents, and so their ratio",
        }
    }
    return Result(rows, lambda figure: _plot_transition(figure, times, curves, weak), influences)


def _relaxation(bench: Bench, volts: float, count: int, times: FloatArray) -> FloatArray:
    """Median current [A] at +1 V at times after a train."""
    array, cells = bench.array(_DEVICE, 1, _SIDE), _cells()
    _train(array, cells, volts, count, _GAP)
    found, passed = [], 0.0
    for time in times:
        array.wait(float(time) - passed)
        found.append(float(np.median(_read(array, cells))))
        passed = float(time)
    return np.array(found)


def _plot_transition(
    figure: Figure, times: FloatArray, curves: FloatArray, weak: FloatArray
) -> None:
    axes = figure.subplots()
    for n, count in enumerate(_NUMBERS):
        axes.loglog(times, curves[n], ".-", color=SERIES[n % len(SERIES)], label=f"N = {count}")
    axes.loglog(times, weak, "--", color=QUIET, label="N = 5, 9.5 V")
    axes.set(xlabel="time after the last pulse [s]", ylabel="current at +1 V [A]")
    axes.legend(ncols=2)


# -- weights, behaviour, array --------------------------------------------------------


def weight_curve(bench: Bench) -> Result:
    """LTP and LTD with equal pulses, read at +1 V after each."""
    array, cells = bench.array(_DEVICE, 1, _SIDE), _cells()
    up, down = [_read(array, cells)], []
    for volts, currents in ((_V, up), (-_V, down)):
        for _ in range(_LADDER):
            array.pulse(cells, volts, _WIDTH, None)
            array.wait(_GAP)
            currents.append(_read(array, cells))
    ltp, ltd = np.stack(up, axis=-1), np.stack(down, axis=-1)
    array.wait(_REST)
    left_alone = bench.array(_DEVICE, 1, _SIDE)
    _train(left_alone, cells, _V, _LADDER, _GAP)
    left_alone.wait(_LADDER * (_WIDTH + _GAP) + _REST)
    lowered, kept = _read(array, cells), _read(left_alone, cells)
    rows = (
        _yes("every pulse of +10 V raises the current", _rising(ltp), "Fig. 4f"),
        _yes("every pulse of -10 V lowers it", _rising(-ltd), "Fig. 4f"),
        _yes("as many of them take it below half of what waiting leaves",
             bool((lowered < 0.5 * kept).all()), "Fig. 4f"),
    )  # fmt: skip
    influences = {
        _DEVICE: {
            "modes.analog.up": "number of pulses and shape of the way up",
            "modes.analog.down": "number of pulses and shape of the way down",
            "modes.analog.conductance": "range and shape of both ways",
            "modes.analog.short_term.floor": "number of pulses of the way up",
            "modes.analog.spread.cycle": "irregularity of the steps",
        }
    }
    return Result(rows, lambda figure: _plot_weights(figure, ltp, ltd), influences)


def _plot_weights(figure: Figure, ltp: FloatArray, ltd: FloatArray) -> None:
    axes = figure.subplots()
    count = ltp.shape[-1]
    axes.plot(np.arange(count), ltp.T, color=OURS, linewidth=0.8)
    axes.plot(count + np.arange(ltd.shape[-1]), ltd.T, color=THIRD, linewidth=0.8)
    axes.set(xlabel="pulse", ylabel="current at +1 V [A]")


def pavlov(bench: Bench) -> Result:
    """Food at +10 V, the bell at -3 V, salivation above 0.2 mA."""
    array, cells = bench.array(_DEVICE, 1, _SIDE), _cells()
    _train(array, cells, _V, 50, _GAP)
    array.wait(_REST)

    def bell() -> FloatArray:
        return np.abs(array.sweep(cells, [_BELL], _WIDTH, None)[..., 0])

    bell_before = bell()
    food = array.sweep(cells, [_V], _WIDTH, None)[..., 0]
    array.wait(_REST)
    bell_after_food = bell()
    for _ in range(20):
        bell()
        array.sweep(cells, [_V], _WIDTH, None)
        array.wait(_GAP)
    times, heard, passed = np.geomspace(0.1, _REST, 12), [], 0.0
    for time in times:
        array.wait(float(time) - passed)
        heard.append(bell())
        passed = float(time)
    fading = np.stack(heard, axis=-1)
    place = "Fig. 4g"
    rows = (
        _yes("food gives more than 0.2 mA before training", bool((food > _SALIVATION).all()),
             place),
        _yes("the bell gives less before training, with food given once or not",
             bool((np.maximum(bell_before, bell_after_food) < _SALIVATION).all()), place),
        _yes("the bell gives more than 0.2 mA after training",
             bool((fading[:, 0] > _SALIVATION).all()), place),
        _yes("the memory weakens with time", _rising(-fading), place),
    )  # fmt: skip
    influences = {
        _DEVICE: {
            "modes.analog.conductance": "the response to food and to the bell",
            "modes.analog.up": "how many pairs training takes",
            "modes.analog.short_term": "how long the bell is answered",
        }
    }
    before = float(np.median(bell_before)), float(np.median(food))
    return Result(rows, lambda figure: _plot_pavlov(figure, before, times, fading), influences)


def _plot_pavlov(
    figure: Figure, before: tuple[float, float], times: FloatArray, fading: FloatArray
) -> None:
    left, right = figure.subplots(1, 2, sharey=True)
    left.bar(("bell", "food"), before, color=(OURS, THIRD), width=0.5)
    left.set(ylabel="current [A]", xlabel="before training")
    right.semilogx(times, np.median(fading, axis=0), ".-", color=OURS)
    right.set(xlabel="bell, time after training [s]")
    for axes in (left, right):
        axes.axhline(_SALIVATION, color=SEED, linestyle="--", label="salivation")
    right.legend()


def relearning(bench: Bench) -> Result:
    """Learn to a memory level, forget by waiting, learn to the same level again."""
    array, cells = bench.array(_DEVICE, 1, 1), _cells(1)
    first = _learn(array, cells)
    learned = float(_read(array, cells)[0])
    array.wait(_REST)
    left = float(_read(array, cells)[0])
    second = _learn(array, cells)
    place = "p. 8 and Fig. S12"
    rows = (
        _yes("what was learned fades without a pulse", left < learned, place),
        _yes("learning it again takes fewer pulses", len(second) < len(first), place),
    )
    influences = {
        _DEVICE: {
            "modes.analog.up": "pulses that learning takes",
            "modes.analog.short_term": "how much is forgotten",
            "modes.analog.conductance": "pulses that learning takes",
        }
    }
    return Result(rows, lambda figure: _plot_relearning(figure, first, second), influences)


def _learn(array: Array, cells: IntArray) -> list[float]:
    """Pulses until their current reaches the memory level; the currents [A]."""
    found = [0.0]
    while found[-1] < _MEMORY and len(found) <= _LADDER:
        found.append(float(_train(array, cells, _V, 1, _GAP)[0, 0]))
    return found[1:]


def _plot_relearning(figure: Figure, first: list[float], second: list[float]) -> None:
    axes = figure.subplots()
    for currents, name, colour in ((first, "learning", OURS), (second, "relearning", THIRD)):
        memory = np.array(currents) / _MEMORY
        axes.plot(np.arange(1, memory.size + 1), memory, ".-", color=colour, label=name)
    axes.axhline(1.0, color=QUIET, linestyle="--")
    axes.set(xlabel="pulse", ylabel="memory (normalised current)")
    axes.legend()


def pattern(bench: Bench) -> Result:
    """A letter on 5 x 5 cells: learned, erased, learned again; the other cells half-selected."""
    array = bench.array(_DEVICE, _SIDE, _SIDE)
    cells = _cells(_SIDE * _SIDE)
    drawn = np.array([mark == "#" for mark in "".join(_LETTER)])
    images = [_read(array, cells)]
    for sign in (1, -1, 1):
        for _ in range(_STROKES):
            array.pulse(cells[drawn], sign * _V, _WIDTH, None)
            array.pulse(cells[~drawn], sign * _V / 2, _WIDTH, None)
            array.wait(_GAP)
        array.wait(_REST)
        images.append(_read(array, cells))
    made, learned, erased, again = images
    place = "Fig. 4h"
    rows = (
        _yes("after learning, the letter stands out in every cell",
             _apart(learned, drawn), place),
        _yes("after erasing, every cell of it is weaker", bool((erased < learned)[drawn].all()),
             place),
        _yes("after relearning, it stands out again", _apart(again, drawn), place),
        _yes("cells at half the voltage stay as they were",
             bool((made == again)[~drawn].all()), "Fig. S3", Kind.INPUT),
    )  # fmt: skip
    influences = {
        _DEVICE: {
            "modes.analog.up": "how far the letter stands out",
            "modes.analog.down": "how well it is erased",
            "modes.analog.conductance": "how far the letter stands out",
            "modes.analog.spread": "how even it is",
        }
    }
    shown = {"as made": made, "learned": learned, "erased": erased, "learned again": again}
    return Result(rows, lambda figure: _plot_pattern(figure, shown), influences)


def _apart(image: FloatArray, drawn: NDArray[np.bool_]) -> bool:
    """Whether the weakest cell of the drawing has twice the current of the strongest other."""
    return bool(image[drawn].min() > 2.0 * image[~drawn].max())


def _plot_pattern(figure: Figure, images: dict[str, FloatArray]) -> None:
    axes = figure.subplots(1, len(images))
    logs = {name: np.log10(image).reshape(_SIDE, _SIDE) for name, image in images.items()}
    low, high = min(i.min() for i in logs.values()), max(i.max() for i in logs.values())
    drawn = None
    for panel, (name, image) in zip(axes, logs.items(), strict=True):
        drawn = panel.imshow(image, vmin=low, vmax=high, cmap="viridis")
        panel.set(title=name, xticks=(), yticks=())
        panel.grid(visible=False)
    assert drawn is not None
    figure.colorbar(drawn, ax=list(axes), shrink=0.6, label="log10 of the current at +1 V [A]")


EXPERIMENTS = (
    Definition("003/sweeps", "Sweeps to +10 V and to -10 V", "Fig. 1d, S2 to S4", sweeps),
    Definition("003/paired_pulses", "PPF and PTP", "Fig. 4b, S10", paired_pulses),
    Definition("003/spike_rate", "Spike-rate dependent plasticity", "Fig. 4c", spike_rate),
    Definition("003/transition", "From short-term to long-term", "Fig. 4d, S11", transition),
    Definition("003/weight_curve", "LTP and LTD", "Fig. 4f, inset", weight_curve),
    Definition("003/pavlov", "Pavlov's experiment", "Fig. 4g", pavlov),
    Definition("003/relearning", "Learning, forgetting, relearning", "Fig. S12", relearning),
    Definition("003/pattern", "Memory of a 5 x 5 array", "Fig. 4h", pattern),
)
