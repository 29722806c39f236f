"""Seed 004: which changes of mode the all-in-one device refuses, and what the path changes.

That a refusal changes nothing is seen on a twin: an array with the same seed that was
never asked. Both must measure the same afterwards, bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..array import Array
from ..devices import TransitionError
from ..figure import OURS, QUIET, SEED
from ..numerics import FloatArray
from .bench import Bench
from .measure import cycle_resistances, pulse, staircase
from .record import Definition, Kind, Result, Row
from .s004_digital import (
    DEVICE,
    DIRECT,
    I_CC,
    PATHS,
    SLOW_IN_AIR,
    UNIFORM,
    V_FORM,
    Path,
    formed,
    variation,
)
from .s004_nonvolatile import INFLUENCES as _NONVOLATILE
from .s004_volatile import INFLUENCES as _VOLATILE
from .s004_volatile import threshold_sweeps
from .tolerance import exact, ten_percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CELLS = np.arange(8)
_CYCLES, _DEVICES = 20, 256
_READS = 16  # averaged, so that read noise does not count as variation
_I_SWEEP = 1e-5  # A
_RECIPES: Mapping[str, Mapping[str, Any]] = {
    "power": SLOW_IN_AIR,
    **{kind: {"i_cc": i_cc, "volts": V_FORM} for kind, i_cc in I_CC.items()},
    "analog": {},
}

# -- refusals -------------------------------------------------------------------------

Start = tuple[str, ...]
_BEFORE_FORMING: tuple[Start, ...] = ((), ("power",))
_FORMED: tuple[Start, ...] = tuple(
    (*before, kind) for before in _BEFORE_FORMING for kind in ("volatile", "nonvolatile")
)
_GAP = (100e-6, 200e-6, 499e-6)


@dataclass(frozen=True)
class _Rule:
    """What is not done: from each of the modes ``starts`` lead to, each of ``attempts``."""

    text: str
    starts: tuple[Start, ...]
    attempts: tuple[tuple[str, Mapping[str, Any]], ...]
    source: str
    kind: Kind = Kind.INPUT


_RULES = (
    _Rule(
        "no digital mode is formed with 100, 200 or 499 uA",
        _BEFORE_FORMING,
        tuple((kind, {"i_cc": i_cc, "volts": V_FORM}) for kind in I_CC for i_cc in _GAP),
        "seed 004, sec. 2.4 and 2.5: I_cc < 100 uA and >= 500 uA",
    ),
    _Rule(
        "neither mode is formed with the I_cc of the other",
        _BEFORE_FORMING,
        (
            ("volatile", {"i_cc": I_CC["nonvolatile"], "volts": V_FORM}),
            ("nonvolatile", {"i_cc": I_CC["volatile"], "volts": V_FORM}),
        ),
        "seed 004, sec. 2.4 and 2.5",
    ),
    _Rule(
        "5 V, the pulses of the analog mode, form nothing",
        _BEFORE_FORMING,
        tuple(
            (kind, {"i_cc": i_cc, "volts": volts})
            for kind, i_cc in I_CC.items()
            for volts in (5.0, -5.0)
        ),
        "seed 004, sec. 2.2, and 2.4: by increasing the voltage",
        Kind.FITTED,
    ),
    _Rule(
        "the power mode does not go back to analog",
        (("power",),),
        (("analog", {}),),
        "seed 004, sec. 2.3: irreversible",
    ),
    _Rule(
        "no digital mode goes back to analog or power",
        _FORMED,
        (("analog", {}), ("power", SLOW_IN_AIR)),
        "seed 004, sec. 2.1: no way back is described",
    ),
)


def _started(bench: Bench, start: Start) -> Array:
    array = bench.array(DEVICE, 1, _CELLS.size)
    for mode in start:
        array.set_mode(mode, **_RECIPES[mode])
    return array


def _refused(array: Array, wanted: str, recipe: Mapping[str, Any]) -> bool:
    try:
        array.set_mode(wanted, **recipe)
    except TransitionError:
        return True
    return False


def _behaviour(array: Array, start: Start) -> FloatArray:
    """What cells do in the mode that they should be in, draws and noise included."""
    mode = start[-1] if start else "analog"
    if mode == "power":
        array.charge(_CELLS, 1e-8, 10.0)
        return array.sense_voltage(_CELLS)
    if mode == "analog":
        return array.sweep(_CELLS, [-5.0, 0.1, 5.0, 0.1], 5e-3, None)
    if mode == "volatile":
        return array.sweep(_CELLS, staircase(10.0, 0.5), 0.05, _I_SWEEP)
    return np.stack(cycle_resistances(array, _CELLS, 3))


def _holds(bench: Bench, rule: _Rule) -> bool:
    """Whether every attempt is refused by name and leaves no trace."""
    for start in rule.starts:
        asked, twin = _started(bench, start), _started(bench, start)
        if not all(_refused(asked, wanted, recipe) for wanted, recipe in rule.attempts):
            return False
        if asked.limits != twin.limits or not np.array_equal(
            _behaviour(asked, start), _behaviour(twin, start)
        ):
            return False
    return True


# -- what the path changes ------------------------------------------------------------


def _variations(bench: Bench, path: Path, seed: int) -> tuple[float, float, float, float]:
    """Variations of V_hold, V_th, LRS and HRS."""
    cells = np.arange(_DEVICES)
    array = formed(bench, "volatile", path, _DEVICES, seed)
    threshold, hold = threshold_sweeps(array, cells, _CYCLES, _I_SWEEP).variations
    array = formed(bench, "nonvolatile", path, _DEVICES, seed)
    states = np.empty((2, _CYCLES, _DEVICES))
    for cycle in range(_CYCLES):
        for state, volts in enumerate((array.limits.v_max, array.limits.v_min)):
            pulse(array, cells, volts)
            g = np.mean([array.read(cells) for _ in range(_READS)], axis=0)
            states[state, cycle] = 1.0 / g
    return hold, threshold, variation(states[0]), variation(states[1])


_NAMES = ("V_hold", "V_th", "LRS", "HRS")


def paths(bench: Bench) -> Result:
    """Refusals; then the variations of the two paths over each other."""
    rows = [
        Row(rule.text, "", True, _holds(bench, rule), exact(), rule.kind, rule.source)
        for rule in _RULES
    ]
    found = {
        path.name: np.array([_variations(bench, path, seed) for seed in bench.seeds])
        for path in PATHS
    }
    printed = {path.name: np.array((path.v_hold, path.v_th, path.lrs, path.hrs)) for path in PATHS}
    ours = found[DIRECT.name] / found[UNIFORM.name]
    theirs = printed[DIRECT.name] / printed[UNIFORM.name]
    for column, name in enumerate(_NAMES):
        ratio, interval = bench.summarise(ours[:, column])
        rows.append(
            Row(f"variation of {name}: direct over through power", "1", theirs[column], ratio,
                ten_percent(theirs[column]), Kind.INPUT, "seed 004, sec. 2.6", interval)
        )  # fmt: skip
    rows.append(
        Row("the path through power is the more uniform one, in every seed", "", True,
            bool((ours > 1.0).all()), exact(), Kind.INPUT, "seed 004, sec. 2.6")
    )  # fmt: skip
    currents = np.union1d(np.logspace(-5, -3, 17), [500e-6])
    ways = {
        f"{start[-1] if start else 'analog'} to {wanted}": [
            not _refused(_started(bench, start), wanted, {"i_cc": i_cc, "volts": V_FORM})
            for i_cc in currents
        ]
        for start in _BEFORE_FORMING
        for wanted in I_CC
    }
    return Result(
        tuple(rows),
        lambda figure: _plot(figure, currents, ways, found, printed),
        {DEVICE: _VOLATILE | _NONVOLATILE | _FORMING},
    )


def _plot(
    figure: Figure,
    currents: FloatArray,
    ways: Mapping[str, list[bool]],
    found: Mapping[str, FloatArray],
    printed: Mapping[str, FloatArray],
) -> None:
    left, right = figure.subplots(1, 2)
    left.axvspan(100, 500, color=SEED, alpha=0.12, linewidth=0, label="seed: no recipe")
    for place, taken in enumerate(ways.values()):
        yes = np.array(taken)
        left.plot(currents[yes] * 1e6, np.full(yes.sum(), place), "o", color=OURS,
                  label="forms" if place == 0 else None)  # fmt: skip
        left.plot(currents[~yes] * 1e6, np.full((~yes).sum(), place), "x", color=QUIET,
                  label="refused" if place == 0 else None)  # fmt: skip
    left.set_yticks(range(len(ways)), [name.replace(" to ", "\nto ") for name in ways])
    left.set(xscale="log", xlabel="forming I_cc [uA]", ylim=(len(ways) - 0.3, -0.7))
    left.legend(loc="upper center", bbox_to_anchor=(0.4, -0.14), ncols=3, columnspacing=1.0,
                handletextpad=0.4)  # fmt: skip
    x = np.arange(len(_NAMES))
    for path, shift in zip(PATHS, (-0.2, 0.2), strict=True):
        right.bar(x + shift, 100 * np.median(found[path.name], axis=0), 0.38, color=path.colour,
                  label=path.name)  # fmt: skip
        right.plot(x + shift, 100 * printed[path.name], "s", color=SEED, fillstyle="none",
                   label="seed" if shift > 0 else None)  # fmt: skip
    right.set_xticks(x, _NAMES)
    right.set(yscale="log", ylabel="variation from cycle to cycle [%]", ylim=(1, 130))
    right.legend(loc="upper left")


_FORMING = {
    "transitions": "which recipes form a mode",
    "modes.analog": "the behaviour that is compared after a refusal, of both alike",
    "modes.power": "the behaviour that is compared after a refusal, of both alike",
}

EXPERIMENTS: tuple[Definition, ...] = (
    Definition("004/paths", "Ways between the modes", "Fig. 2a, S14, S15", paths),
)
