"""Seed 002, non-volatile mode of the OGB-capped CsPbBr3 cell: compliance current to conductance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..array import Array
from ..devices import Device
from ..figure import OURS, QUIET, SEED
from ..numerics import FloatArray
from .bench import Bench
from .record import Definition, Kind, Result, Row
from .tolerance import exact, spread, ten_percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DEVICE = "cspbbr3_ogb"
_SIDE = 32
_CURRENTS = np.array([35e-6, 60e-6, 85e-6, 110e-6, 150e-6, 200e-6, 240e-6])
_NOTE_4 = "seed 002, Suppl. Note 4"
_SLOPE, _OFFSET, _INVERSE_OFFSET = 3.338, 1.294e-5, 1.249e-5
_INITIAL = (0.5e-3, 0.1e-3)  # mean and standard deviation of G after RESET and SET, S
_WEIGHT_WINDOW = (0.1e-3, 0.35e-3)  # S
_READS = 16  # averaged, so that read noise does not count as programming spread


def _program(array: Array, device: Device, i_cc: FloatArray) -> FloatArray:
    """Conductance [S] of all cells after RESET and SET at ``i_cc`` [A], reads averaged."""
    cells = np.arange(_SIDE * _SIDE)
    array.pulse(cells, device.v_reset, device.reset_width_s, None)
    array.pulse(cells, device.v_set, device.set_width_s, i_cc)
    return np.mean([array.read(cells) for _ in range(_READS)], axis=0)


def line(bench: Bench) -> Result:
    """Mean and spread of G against I_cc, and the straight line through the means."""
    device = bench.device(DEVICE)
    measured = {
        seed: np.array(
            [
                _program(bench.array(DEVICE, _SIDE, _SIDE, seed), device, np.full(_SIDE**2, i_cc))
                for i_cc in _CURRENTS
            ]
        )
        for seed in bench.seeds
    }
    fits = {
        seed: np.polynomial.Polynomial.fit(_CURRENTS, g.mean(axis=1), 1).convert().coef
        for seed, g in measured.items()
    }
    slope, slope_spread = bench.over_seeds(lambda seed: float(fits[seed][1]))
    offset, offset_spread = bench.over_seeds(lambda seed: float(-fits[seed][0]))
    middle = int(np.argmin(abs(_CURRENTS - 110e-6)))
    sigma, sigma_spread = bench.over_seeds(lambda seed: float(measured[seed][middle].std()))
    expected_sigma = (7.040 * _CURRENTS[middle] * 1e3 + 3.0585) * 1e-6
    rows = (
        Row("slope of G against I_cc", "S/A", _SLOPE, slope, ten_percent(_SLOPE), Kind.INPUT,
            f"{_NOTE_4}: mu_G = 3.338 I_cc - 1.294e-5", slope_spread),
        Row("offset of the line", "S", _OFFSET, offset, ten_percent(_OFFSET), Kind.INPUT,
            f"{_NOTE_4}: mu_G = 3.338 I_cc - 1.294e-5", offset_spread),
        Row("sigma of G at 110 uA (uS for mA)", "S", expected_sigma, sigma,
            ten_percent(expected_sigma), Kind.INPUT,
            f"{_NOTE_4}: sigma_G = 7.040 I_cc + 3.0585", sigma_spread),
    )  # fmt: skip

    def plot(figure: Figure) -> None:
        axes = figure.subplots()
        g = measured[bench.seeds[0]] * 1e3
        axes.plot(_CURRENTS * 1e6, (_SLOPE * _CURRENTS - _OFFSET) * 1e3, color=SEED,
                  label="seed: 3.338 I_cc - 1.294e-5")  # fmt: skip
        axes.errorbar(
            _CURRENTS * 1e6,
            g.mean(axis=1),
            yerr=g.std(axis=1),
            fmt="o",
            color=OURS,
            capsize=3,
            label="ours, mean and standard deviation of 1024 cells",
        )
        for bound in _WEIGHT_WINDOW:
            axes.axhline(bound * 1e3, color=QUIET, linewidth=0.8, linestyle="--")
        axes.set(xlabel="compliance current of the SET (uA)", ylabel="conductance (mS)")
        axes.legend()

    return Result(rows, plot, {DEVICE: _INFLUENCES})


def initial(bench: Bench) -> Result:
    """The start of training: the I_cc that the inverse line asks for N(0.5, 0.1) mS."""
    device = bench.device(DEVICE)
    mean, deviation = _INITIAL
    measured: dict[int, FloatArray] = {}
    for seed in bench.seeds:
        wanted = np.random.default_rng(seed).normal(mean, deviation, _SIDE**2)
        array = bench.array(DEVICE, _SIDE, _SIDE, seed)
        window = array.limits
        i_cc = np.clip((wanted + _OFFSET) / _SLOPE, window.i_cc_min, window.i_cc_max)
        measured[seed] = _program(array, device, i_cc)
    average, average_spread = bench.over_seeds(lambda seed: float(measured[seed].mean()))
    width, width_spread = bench.over_seeds(lambda seed: float(measured[seed].std()))
    above, above_spread = bench.over_seeds(
        lambda seed: float((measured[seed] > _WEIGHT_WINDOW[1]).mean())
    )
    share = 0.933  # of N(0.5, 0.1) mS above 0.35 mS: 1 - Phi(-1.5)
    rows = (
        Row("mean of the initial conductances", "S", mean, average, ten_percent(mean), Kind.INPUT,
            f"{_NOTE_4}, Fig. 28", average_spread),
        Row("standard deviation of the initial conductances", "S", deviation, width,
            ten_percent(deviation), Kind.INPUT, f"{_NOTE_4}, Fig. 28", width_spread),
        Row("share of them above G_max = 0.35 mS", "1", share, above, ten_percent(share),
            Kind.INPUT, f"{_NOTE_4}: N(0.5, 0.1) mS against G_max", above_spread),
    )  # fmt: skip

    def plot(figure: Figure) -> None:
        axes = figure.subplots()
        g = measured[bench.seeds[0]] * 1e3
        axes.hist(g, bins=40, density=True, color=OURS, alpha=0.75, label="ours, 1024 cells")
        x = np.linspace(0.1, 0.9, 200)
        z = (x - mean * 1e3) / (deviation * 1e3)
        density = np.exp(-z * z / 2) / (deviation * 1e3 * np.sqrt(2 * np.pi))
        axes.plot(x, density, color=SEED, label="seed: N(0.5, 0.1) mS")
        axes.axvline(_WEIGHT_WINDOW[1] * 1e3, color=QUIET, linestyle="--", label="G_max = 0.35 mS")
        axes.set(xlabel="conductance (mS)", ylabel="density (1/mS)")
        axes.legend()

    return Result(rows, plot, {DEVICE: _INFLUENCES})


def misprint(bench: Bench) -> Result:
    """What the two offsets that the seed prints for one line do to a target."""
    device = bench.device(DEVICE)
    target = float(np.mean(_WEIGHT_WINDOW))
    shift = {}
    for seed in bench.seeds:
        reached = [
            _program(
                bench.array(DEVICE, _SIDE, _SIDE, seed),
                device,
                np.full(_SIDE**2, (target + offset) / _SLOPE),
            ).mean()
            for offset in (_OFFSET, _INVERSE_OFFSET)
        ]
        shift[seed] = (float(reached[0] - target), float(reached[1] - target))
    same, same_spread = bench.over_seeds(lambda seed: shift[seed][0])
    other, other_spread = bench.over_seeds(lambda seed: shift[seed][1] - shift[seed][0])
    sigma = (7.040 * (target + _OFFSET) / _SLOPE * 1e3 + 3.0585) * 1e-6
    expected = _INVERSE_OFFSET - _OFFSET
    rows = (
        Row("miss of the target, one offset for both directions", "S", 0.0, same,
            spread(sigma / _SIDE * 3, "three standard errors of the mean of 1024 SETs"),
            Kind.INPUT, _NOTE_4, same_spread),
        Row("shift by the offset that the inverse line prints", "S", expected, other,
            ten_percent(expected), Kind.INPUT, _NOTE_4, other_spread),
        Row("it is less than one SET's own spread", "", True, bool(abs(other) < sigma), exact(),
            Kind.INPUT, _NOTE_4),
    )  # fmt: skip

    def plot(figure: Figure) -> None:
        axes = figure.subplots()
        names = ("1.294e-5 (both lines)", "1.249e-5 (as printed)")
        values = [np.median([shift[seed][k] for seed in bench.seeds]) * 1e6 for k in (0, 1)]
        axes.bar(names, values, color=(OURS, SEED), width=0.5)
        axes.axhspan(-sigma * 1e6, sigma * 1e6, color=QUIET, alpha=0.15, label="sigma of one SET")
        axes.set(ylabel="mean miss of a 0.225 mS target (uS)", xlabel="offset of the inverse line")
        axes.legend()

    return Result(rows, plot, {DEVICE: _INFLUENCES})


_MODE = "modes.nonvolatile"
_INFLUENCES = {
    f"{_MODE}.line.sigma_slope": "the spread of every SET",
    f"{_MODE}.line.sigma_offset": "the spread of every SET",
    f"{_MODE}.line.i_cc_min": "currents below it are refused: clips the initial conductances",
    f"{_MODE}.line.i_cc_max": "currents above it are refused: clips the initial conductances",
    f"{_MODE}.read.noise": "scatter of the measured conductances, averaged over 16 reads",
    f"{_MODE}.codes.g_lsb": "the grid on which a conductance is read",
}

EXPERIMENTS: tuple[Definition, ...] = (
    Definition("002/line", "Conductance against compliance current", "Fig. 28", line),
    Definition("002/initial", "Initial conductances of the readout layer", "Fig. 28", initial),
    Definition("002/misprint", "Two offsets for one line", "Note 4", misprint),
)
