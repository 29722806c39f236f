"""Seed 004, the device as made: Li+ moves in its films and dopes them.

The source prints no absolute conductance and no number of pulses; what it prints of
the analog mode are the amplitude and width of a pulse, the shape of both ways, their
range and their spread. A single reading of the array carries read noise; where a
number of the ions is wanted, readings are averaged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import curve_fit

from ..array import Array
from ..devices import REFERENCE_K
from ..devices.laws import BOLTZMANN_EV
from ..figure import OURS, QUIET, SEED, SERIES, THIRD
from ..numerics import FloatArray, IntArray
from .bench import Bench
from .measure import staircase
from .record import Definition, Kind, Result, Row
from .tolerance import exact, ten_percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DEVICE = "all_in_one"
_SEC = "seed 004, sec. 2.2"
_RATE = 1.0  # V/s
_V_SWEEP = 1.0  # V; the amplitude of Fig. 3a is not in the text
_V_LOW = 0.5  # V
_SWEEPS = 5
_V, _WIDTH = 5.0, 5e-3
_PULSES = 50  # of each polarity; not given
_CYCLES = 4
_CELLS = 16
_READS = 16
_LADDER = 100  # pulses of growing amplitude; not given


def _state(array: Array, cells: IntArray, reads: int = _READS) -> FloatArray:
    """Conductance [S] of each cell, readings averaged."""
    return np.mean([array.read(cells) for _ in range(reads)], axis=0)


def _yes(quantity: str, ours: bool, place: str, kind: Kind) -> Row:
    return Row(quantity, "", True, ours, exact(), kind, f"seed 004, {place}")


# -- sweeps ---------------------------------------------------------------------------


def _swept(array: Array, cells: IntArray, top: float) -> tuple[FloatArray, FloatArray]:
    """Sweeps to -top, as many to +top; voltages (n,) of one, currents (2, sweeps, cells, n)."""
    step = top / 12
    volts = staircase(top, step)
    currents = [
        [array.sweep(cells, sign * volts, step / _RATE, None) for _ in range(_SWEEPS)]
        for sign in (-1, 1)
    ]
    return volts, np.array(currents)


def _tops(currents: FloatArray) -> FloatArray:
    """Magnitude of the current [A] at the far end of each sweep, shape (2, sweeps, cells)."""
    return np.abs(currents[..., currents.shape[-1] // 2])


def _goes(tops: FloatArray) -> tuple[bool, bool]:
    """Whether every sweep to negative voltages raises the current, and to positive lowers it."""
    steps = np.diff(tops, axis=1)
    return bool((steps[0] > 0).all()), bool((steps[1] < 0).all())


def sweeps(bench: Bench) -> Result:
    """Sweeps at 1 V/s, first negative ones, then positive ones; and as low as 0.5 V."""
    cells = np.arange(_CELLS)
    volts, currents = _swept(bench.array(DEVICE, 1, _CELLS), cells, _V_SWEEP)
    tops = _tops(currents)
    raises, lowers = _goes(tops)
    low = _tops(_swept(bench.array(DEVICE, 1, _CELLS), cells, _V_LOW)[1])
    low_raises, low_lowers = _goes(low)
    whole = np.ptp(tops, axis=1, keepdims=True)
    gradual = bool((np.abs(np.diff(tops, axis=1)) < 0.5 * whole).all())
    rows = (
        _yes("every negative sweep raises the conductance", raises, "sec. 2.2 and Fig. 3a",
             Kind.INPUT),
        _yes("every positive sweep lowers it", lowers, "sec. 2.2 and Fig. 3a", Kind.INPUT),
        _yes("gradually: no sweep makes half of the change", gradual,
             "sec. 2.2 and Fig. 3a", Kind.FITTED),
        _yes("sweeps to -0.5 V still raise it", low_raises, "sec. 2.2 and Fig. S1b", Kind.FITTED),
        _yes("sweeps to +0.5 V still lower it", low_lowers, "sec. 2.2 and Fig. S1b", Kind.FITTED),
    )  # fmt: skip

    def plot(figure: Figure) -> None:
        left, right = figure.subplots(1, 2, width_ratios=(3, 2))
        for n, colour in enumerate(SERIES[:_SWEEPS]):
            left.plot(-volts, currents[0, n, 0] * 1e6, color=colour, label=f"sweep {n + 1}")
            left.plot(volts, currents[1, n, 0] * 1e6, color=colour)
        left.set(xlabel="voltage (V)", ylabel="current (uA)", title="one cell, 1 V/s")
        left.legend()
        number = np.arange(1, 2 * _SWEEPS + 1)
        for found, top, colour in ((tops, _V_SWEEP, OURS), (low, _V_LOW, THIRD)):
            middle = np.median(found, axis=2).ravel()
            right.plot(number, middle / middle.max(), "o-", color=colour,
                       label=f"to -{top:g}, then +{top:g} V")  # fmt: skip
        right.axvline(_SWEEPS + 0.5, color=QUIET, linewidth=0.8)
        right.set(xlabel="sweep", ylabel="conductance at its end over the largest",
                  title=f"median of {_CELLS} cells")  # fmt: skip
        right.legend(loc="lower right")

    influences = {
        "modes.analog.conductance": "the scale of every current",
        "modes.analog.up": "how much each negative sweep raises the conductance",
        "modes.analog.down": "how much each positive sweep lowers it",
        "modes.analog.short_term.gain": "would add a part that decays",
        "modes.analog.short_term.floor": "how much of a change stays",
        "modes.analog.spread.device": "scatter of the cells' currents",
    }
    return Result(rows, plot, {DEVICE: influences})


# -- pulses ---------------------------------------------------------------------------


def nonlinearity(up: FloatArray, down: FloatArray) -> tuple[float, float]:
    """Nonlinearities of a way up and of a way down, shape (1 + pulses,) each.

    The formulas of the crossbar simulators, with P the part of the pulses done::

        up    G = G_first + (G_last - G_first) (1 - exp(-nu P)) / (1 - exp(-nu))
        down  the same; its nonlinearity is printed with a minus

    Both ends are the readings themselves, nu is fitted to those between. NaN for a way
    that ends where it began.
    """

    def law(part: FloatArray, nu: float) -> FloatArray:
        return np.expm1(-nu * part) / np.expm1(-nu)

    found = []
    for way in (up, down):
        if way[-1] == way[0]:
            found.append(np.nan)
            continue
        part = np.linspace(0.0, 1.0, way.size)
        done = (way - way[0]) / (way[-1] - way[0])
        (nu,), _ = curve_fit(law, part, done, p0=(1.0,), bounds=(1e-3, 50.0))
        found.append(float(nu))
    return found[0], -found[1]


def _loops(array: Array, cells: IntArray) -> FloatArray:
    """Readings [S] of cycles of identical pulses, (cycles, 2, 1 + pulses, cells).

    A way begins with the reading that the one before it ended with; it goes up with
    -5 V, and down with +5 V.
    """
    found = np.empty((_CYCLES, 2, 1 + _PULSES, cells.size))
    last = array.read(cells)
    for cycle in range(_CYCLES):
        for way, volts in enumerate((-_V, _V)):
            found[cycle, way, 0] = last
            for n in range(_PULSES):
                array.pulse(cells, volts, _WIDTH, None)
                found[cycle, way, n + 1] = last = array.read(cells)
    return found


def _variation(loops: FloatArray) -> float:
    """Standard deviation over the cycles of the reading after equal pulses, over its mean [%]."""
    after = loops[:, :, 1:]
    relative = np.var(after, axis=0, ddof=1) / np.mean(after, axis=0) ** 2
    return 100.0 * float(np.sqrt(np.mean(relative)))


def _change_spread(bench: Bench, seed: int) -> float:
    """The same of the change that one pulse makes, averaged readings, cells back in between [%]."""
    array, cells = bench.array(DEVICE, 1, 16 * _CELLS, seed), np.arange(16 * _CELLS)
    changes = []
    for _ in range(_CYCLES):
        before = _state(array, cells, 4 * _READS)
        array.pulse(cells, -_V, _WIDTH, None)
        changes.append(_state(array, cells, 4 * _READS) - before)
        array.pulse(cells, _V, 2 * _PULSES * _WIDTH, None)
    relative = np.var(changes, axis=0, ddof=1) / np.mean(changes, axis=0) ** 2
    return 100.0 * float(np.sqrt(np.mean(relative)))


def pulses(bench: Bench) -> Result:
    """Pulses of -5 V and +5 V, 5 ms: shape of both ways, and spread from cycle to cycle."""
    cells = np.arange(_CELLS)
    loops = [_loops(bench.array(DEVICE, 1, _CELLS, seed), cells) for seed in bench.seeds]
    shape = [nonlinearity(*loop.mean(axis=(0, 3))) for loop in loops]
    up, up_spread = bench.summarise([nu for nu, _ in shape])
    down, down_spread = bench.summarise([nu for _, nu in shape])
    variation, variation_spread = bench.summarise([_variation(loop) for loop in loops])
    change, change_spread = bench.over_seeds(lambda seed: _change_spread(bench, seed))
    mean = loops[0].mean(axis=(0, 3))
    quarter = _PULSES // 4
    raised, lowered = mean[0, -1] > mean[0, 0], mean[1, -1] < mean[1, 0]
    more = bench.array(DEVICE, 1, _CELLS)
    ends = np.array([_after(more, cells, volts) for volts in (-_V, _V)])
    rows = (
        _yes("-5 V pulses raise the conductance, +5 V pulses lower it", bool(raised and lowered),
             "sec. 2.2 and Fig. 3b", Kind.INPUT),
        Row("nonlinearity of potentiation", "1", 0.6, up, ten_percent(0.6), Kind.FITTED,
            f"{_SEC} and Fig. 3c", up_spread),
        Row("nonlinearity of depression", "1", -7.7, down, ten_percent(7.7), Kind.INPUT,
            f"{_SEC} and Fig. 3c", down_spread),
        _yes("the last quarter of the pulses does less than the first, either way",
             all(abs(way[-1] - way[-1 - quarter]) < abs(way[quarter] - way[0]) for way in mean),
             "sec. 2.2 and Fig. 3b", Kind.INPUT),
        _yes("twice as many -5 V pulses end within 10 % of the same: saturation",
             bool(abs(ends[0, 1] / ends[0, 0] - 1) < 0.1), "sec. 2.2 and Fig. 3b",
             Kind.FITTED),
        _yes("so do +5 V pulses", bool(abs(ends[1, 1] / ends[1, 0] - 1) < 0.1),
             "sec. 2.2 and Fig. 3b", Kind.FITTED),
        Row("cycle-to-cycle variation of the conductance after equal pulses", "%", 1.0, variation,
            ten_percent(1.0), Kind.FITTED, f"{_SEC} and Fig. 3c", variation_spread),
        Row("cycle-to-cycle variation of the change by one pulse", "%", 1.0, change,
            ten_percent(1.0), Kind.INPUT, f"{_SEC} and Fig. 3c", change_spread),
    )  # fmt: skip

    def plot(figure: Figure) -> None:
        axes = figure.subplots()
        ones = loops[0][..., 0] * 1e6
        number = np.arange(_PULSES + 1)
        for way, colour, text in ((0, OURS, "-5 V, 5 ms"), (1, THIRD, "+5 V, 5 ms")):
            axes.plot(
                number + way * _PULSES,
                ones[:, way].T,
                ".",
                color=colour,
                markersize=2.5,
                label=[f"{text}: {_CYCLES} cycles of one cell", *[None] * (_CYCLES - 1)],
            )
        for way, nu in ((0, 0.6), (1, 7.7)):
            ends = mean[way, [0, -1]] * 1e6
            law = np.expm1(-nu * number / _PULSES) / np.expm1(-nu)
            axes.plot(
                number + way * _PULSES,
                ends[0] + (ends[1] - ends[0]) * law,
                color=SEED,
                linewidth=1.0,
                label=("seed: nonlinearity 0.6 / -7.7", None)[way],
            )
        axes.set(xlabel="pulse", ylabel="conductance (uS)")
        axes.legend()

    influences = {
        "modes.analog.conductance": "the scale of every reading",
        "modes.analog.up": "how far and in how many pulses -5 V raises the conductance",
        "modes.analog.down": "in how many pulses +5 V lowers it",
        "modes.analog.short_term.gain": "would add a part that decays",
        "modes.analog.short_term.floor": "how much of a change stays",
        "modes.analog.spread.device": "weights of the cells in the mean curve, by a percent",
        "modes.analog.read.noise": "nearly all of the variation after equal pulses",
    }
    return Result(rows, plot, {DEVICE: influences})


def _after(array: Array, cells: IntArray, volts: float) -> tuple[float, float]:
    """Mean conductance [S] after the usual number of pulses, and after twice as many."""
    found = []
    for _ in range(2):
        for _ in range(_PULSES):
            array.pulse(cells, volts, _WIDTH, None)
        found.append(float(_state(array, cells).mean()))
    return found[0], found[1]


# -- range ----------------------------------------------------------------------------


def _trace(array: Array, cells: IntArray, volts: FloatArray) -> FloatArray:
    """Averaged readings [S] before the first and after each pulse, (1 + pulses, cells)."""
    found = [_state(array, cells, _READS // 4)]
    for step in volts:
        array.pulse(cells, float(step), _WIDTH, None)
        found.append(_state(array, cells, _READS // 4))
    return np.array(found)


def _ratio(trace: FloatArray) -> float:
    """Largest over smallest conductance, median over the cells."""
    return float(np.median(trace.max(axis=0) / trace.min(axis=0)))


def amplitude(bench: Bench) -> Result:
    """The range of the conductance, with pulses of growing amplitude and with identical ones."""
    cells = np.arange(_CELLS)
    grown: list[FloatArray] = []
    same: list[FloatArray] = []
    ladder = np.linspace(_V_LOW, abs(bench.array(DEVICE).limits.v_min), _LADDER)
    for seed in bench.seeds:
        grown.append(_trace(bench.array(DEVICE, 1, _CELLS, seed), cells, -ladder))
        same.append(_trace(bench.array(DEVICE, 1, _CELLS, seed), cells, np.full(_LADDER, -_V)))
    ratio, ratio_spread = bench.summarise([_ratio(trace) for trace in grown])
    fixed, _ = bench.summarise([_ratio(trace) for trace in same])
    at = [int(np.argmin(abs(ladder - volts))) + 1 for volts in (2.0, 4.0, 6.0, 7.9)]
    later = grown[0][at].mean(axis=1)
    rows = (
        Row("G_max / G_min, amplitude varied", "1", 57.5, ratio, ten_percent(57.5), Kind.INPUT,
            _SEC, ratio_spread),
        _yes("identical pulses of 5 V reach less: below 90 % of it", fixed < 0.9 * 57.5,
             "sec. 2.2", Kind.FITTED),
        _yes("the larger the amplitude, the larger the conductance, by a percent or more",
             bool((later[1:] > 1.01 * later[:-1]).all()), "sec. 2.2 and Fig. 3b", Kind.FITTED),
    )  # fmt: skip

    def plot(figure: Figure) -> None:
        axes = figure.subplots()
        number = np.arange(_LADDER + 1)
        text = f"amplitude from {ladder[0]:g} V to {ladder[-1]:g} V"
        for trace, colour, name in ((grown[0], OURS, text), (same[0], THIRD, "identical, 5 V")):
            axes.semilogy(number, trace / trace[0], color=colour, linewidth=0.8,
                          label=[name, *[None] * (_CELLS - 1)])  # fmt: skip
        axes.axhline(57.5, color=SEED, linestyle="--", label="seed: 57.5")
        axes.set(xlabel="pulse of 5 ms", ylabel="conductance over that as made")
        axes.legend(loc="lower right")

    influences = {
        "modes.analog.conductance": "both ends of the range",
        "modes.analog.up": "how far each amplitude goes",
        "modes.analog.drive.v_min": "the largest amplitude of the pulses",
        "modes.analog.short_term.gain": "would add a part that decays",
        "modes.analog.short_term.floor": "how much of a change stays",
        "modes.analog.read.noise": "scatter of the readings, averaged",
        "modes.analog.spread.device": "scales each cell; not its ratio",
    }
    return Result(rows, plot, {DEVICE: influences})


# -- temperature ----------------------------------------------------------------------

_KELVIN = np.linspace(REFERENCE_K, 358.15, 6)  # the range of Fig. S1a is not in the text
_V_HEAT = 3.0  # V; small enough that the hottest pulse is far from the end of the way


def _changes(bench: Bench, seed: int) -> FloatArray:
    """Mean change [S] that one pulse makes in cells as made, at each temperature."""
    cells, found = np.arange(2 * _CELLS), []
    for kelvin in _KELVIN:
        array = bench.array(DEVICE, 1, cells.size, seed)
        array.set_temperature(float(kelvin))
        before = _state(array, cells)
        array.pulse(cells, -_V_HEAT, _WIDTH, None)
        found.append(float((_state(array, cells) - before).mean()))
    return np.array(found)


def temperature(bench: Bench) -> Result:
    """Arrhenius plot of how fast Li+ moves: the change by one pulse against temperature."""
    inverse = 1.0 / (BOLTZMANN_EV * _KELVIN)
    changes = np.array([_changes(bench, seed) for seed in bench.seeds])
    energies = [-float(np.polyfit(inverse, np.log(one), 1)[0]) for one in changes]
    energy, energy_spread = bench.summarise(energies)
    line = np.polyfit(inverse, np.log(changes[0]), 1)
    off = np.abs(np.log(changes[0]) - np.polyval(line, inverse)).max()
    rows = (
        Row("activation energy", "eV", 0.5, energy, ten_percent(0.5), Kind.INPUT,
            f"{_SEC} and Fig. S1a", energy_spread),
        _yes("Arrhenius: every point is within 10 % of the line", bool(off < 0.1),
             "sec. 2.2 and Fig. S1a", Kind.INPUT),
    )  # fmt: skip

    def plot(figure: Figure) -> None:
        axes = figure.subplots()
        x = 1e3 / _KELVIN
        axes.semilogy(x, changes[0] * 1e6, "o", color=OURS, label="change by one pulse, -3 V, 5 ms")
        axes.semilogy(x, np.exp(np.polyval(line, inverse)) * 1e6, color=OURS, linewidth=0.8,
                      label=f"ours: {energies[0]:.3f} eV")  # fmt: skip
        seed = changes[0, 0] * np.exp(-0.5 * (inverse - inverse[0]))
        axes.semilogy(x, seed * 1e6, "--", color=SEED, label="seed: 0.5 eV")
        axes.set(xlabel="1000 / temperature (1/K)", ylabel="change of conductance (uS)")
        axes.legend()

    influences = {
        "modes.analog.conductance": "the scale of the changes",
        "modes.analog.up": "size of a change; the energy a little, where a change is not small",
        "modes.analog.short_term.gain": "would add a part that decays",
        "modes.analog.short_term.floor": "how much of a change stays",
        "modes.analog.read": "scatter of the readings, averaged, and their voltage",
        "modes.analog.spread.device": "weights of the cells in the mean change",
        "modes.analog.temperature": "temperatures outside are refused",
    }
    return Result(rows, plot, {DEVICE: influences})


EXPERIMENTS: tuple[Definition, ...] = (
    Definition("004/sweeps", "Analog sweeps of both polarities", "Fig. 3a, S1b", sweeps),
    Definition("004/pulses", "Potentiation and depression", "Fig. 3b, 3c", pulses),
    Definition("004/amplitude", "Range of the conductance", "Fig. 3b", amplitude),
    Definition("004/temperature", "Activation energy of Li+", "Fig. S1a", temperature),
)
