"""The short-term parameters of seed 002's volatile mode, fitted to what is reported.

One parameter of the ``diffusive`` family, the ions' share of the conductance, is the
least-squares fit to two facts, the echo indices at 10 and 300 ms: 118.3 and 106.3 %,
where the source has 118 and 107.2 %. The slow time comes from the trains of ten: pulses
up to 23 ms apart add up, those from 41 ms on do not. With 10 to 23 ms between the others
that leaves 0.91 to 1.55 s; the entry has 0.95 s, since the source calls 23 ms the limit.

The index at 30 ms takes no part. The model gives 111.6 % there (111.1 to 114.9 % over
that range), the source 107.5 %: the index is within 4 %, but its excess over 100 is one
and a half times the source's. The interval inside a pair is not given; 5 to 17 ms in
place of the 10 would make it 113.0 to 109.3 %.

The structure, ions that dissolve at a constant rate and are gone after a finite time,
was chosen knowing that the index drops between 10 and 30 ms. In exponential decays,
however many, it cannot: the fourth pulse follows the third by the same interval each
time, and if contributions add up, the index at 30 ms is then above 113 % whatever the
interval inside a pair. A finite life that gives 107.5 % there, with 10 ms inside a
pair, would be 21 ms, and pulses 23 ms apart would not add up.

The device entries hold the result, and a test runs the fit again.
``python -m ohmloom.sim.experiments.s002_fit`` shows it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..devices import Draws, Stress, load
from ..devices.families import diffusive
from ..numerics import FloatArray

DEVICE = "cspbbr3_ogb"
V_PULSE = 1.0
"""Amplitude of the pulses [V]."""
PULSE_S = 5e-3
"""Their width [s]."""
PAIR_S = 10e-3
"""Interval inside a pair [s]: not given, taken as the shortest that is between pairs."""
ECHO = {10e-3: 118.0, 300e-3: 107.2}
"""Echo index [%] by the interval between the groups [s] (seed 002, Suppl. Note 3)."""
_FURTHEST = 2.0  # a fit that is this far from a fact [%] explains nothing


def with_share(p: diffusive.Parameters, share: float) -> diffusive.Parameters:
    """The same parameters with another share of the ions, which is what is fitted."""
    section = p.relaxation
    quantity = section.slow_share.model_copy(update={"value": float(share)})
    return p.model_copy(update={"relaxation": section.model_copy(update={"slow_share": quantity})})


def answers(p: diffusive.Parameters, gaps: Sequence[float]) -> FloatArray:
    """Conductance [S] of a cell without spread after each of a train of pulses.

    Parameters
    ----------
    p:
        Parameters of the mode.
    gaps:
        Times before the second and each further pulse [s].
    """
    section = p.spread
    none = {
        name: getattr(section, name).model_copy(update={"value": 0.0})
        for name in type(section).model_fields
    }
    p = p.model_copy(update={"spread": section.model_copy(update=none)})
    cell = np.zeros(1, dtype=np.int64)
    draws = Draws(0, cell, cell)
    state = diffusive.pristine(p, draws, (1,))
    pulse = Stress.on((1,), V_PULSE, PULSE_S, p.switching.compliance.value)
    after = []
    for gap in (0.0, *gaps):
        state = diffusive.relax(p, state, np.array([gap]))
        state = diffusive.drive(p, state, pulse, draws)
        after.append(float(state.g[0]))
    return np.array(after)


def echo_index(p: diffusive.Parameters, interval_s: float) -> float:
    """100 a4 / a1 of two pairs of pulses that are ``interval_s`` apart [%]."""
    after = answers(p, (PAIR_S, interval_s, PAIR_S))
    return float(100.0 * after[3] / after[0])


def life_s(p: diffusive.Parameters) -> float:
    """How long the ions of a single pulse last [s]."""
    brought = 1.0 - np.exp(-p.growth.slow_rate.value * PULSE_S)
    return float(brought * p.relaxation.slow_time.value)


def last_step(p: diffusive.Parameters, inner_s: float, last_s: float) -> float:
    """By how much the tenth pulse ends above the ninth, over the first [1].

    Parameters
    ----------
    p:
        Parameters of the mode.
    inner_s, last_s:
        Interval between the first nine pulses, and before the tenth [s].
    """
    after = answers(p, (*[inner_s] * 8, last_s))
    return float((after[9] - after[8]) / after[0])


def misfit(p: diffusive.Parameters) -> FloatArray:
    """How far the parameters are from the two facts [%]."""
    return np.array([echo_index(p, interval) - index for interval, index in ECHO.items()])


def fit(p: diffusive.Parameters) -> diffusive.Parameters:
    """Parameters with the share of the ions that is nearest to the two facts.

    Raises
    ------
    ValueError
        If no share comes near them.
    """
    from scipy.optimize import minimize_scalar

    found: Any = minimize_scalar(
        lambda share: float((misfit(with_share(p, share)) ** 2).sum()),
        bounds=(0.0, 1.0), method="bounded", options={"xatol": 1e-9},
    )  # fmt: skip
    fitted = with_share(p, found.x)
    missed = float(np.abs(misfit(fitted)).max())
    if not missed < _FURTHEST:
        raise ValueError(f"the fit misses the facts by up to {missed:.3g} %")
    return fitted


def main() -> None:
    """Writes what the entry's other numbers give."""
    p = load(DEVICE).mode("volatile").p
    assert isinstance(p, diffusive.Parameters)
    p = fit(p)
    lines = [
        f"relaxation.slow_share  {p.relaxation.slow_share.value:.6g}",
        f"life of one pulse      {life_s(p) * 1e3:.4g} ms",
        *(
            f"echo index at {t * 1e3:3.0f} ms   {echo_index(p, t):.2f} %"
            for t in (10e-3, 30e-3, 300e-3)
        ),
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
