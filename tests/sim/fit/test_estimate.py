from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from ohmloom.sim.fit import Estimate
from ohmloom.sim.fit.censored import normal
from ohmloom.sim.fit.estimate import bracket, components, deviation, mean, pooled_deviation

SETS = 400
NAMES = ("mean", "between", "within")


def covers(sample: Callable[[np.random.Generator], list[tuple[Estimate, float]]]) -> list[float]:
    """For each estimate, in which part of many samples its interval holds the truth."""
    rng = np.random.default_rng(11)
    return np.mean(
        [[e.low <= truth <= e.high for e, truth in sample(rng)] for _ in range(SETS)], axis=0
    ).tolist()


def test_normal_samples() -> None:
    def sample(rng: np.random.Generator) -> list[tuple[Estimate, float]]:
        values = rng.normal(3.0, 0.5, 6)
        noisy = values + rng.normal(0.0, 0.3, 6)
        groups = [rng.normal(level, 0.2, 3) for level in (1.0, 5.0, 9.0)]
        pooled = pooled_deviation("x", groups, "")
        assert pooled is not None and pooled.points == 9
        return [
            (mean("x", values), 3.0),
            (deviation("x", values), 0.5),
            (deviation("x", noisy, known=0.09), 0.5),
            (pooled, 0.2),
        ]

    assert all(0.92 <= part <= 0.98 for part in covers(sample))


@pytest.mark.parametrize("between", [0.0, 0.5, 2.0])
def test_components_of_an_unbalanced_sample(between: float) -> None:
    cells = np.repeat(np.arange(8), [3, 4, 5, 6, 3, 4, 5, 6])

    def sample(rng: np.random.Generator) -> list[tuple[Estimate, float]]:
        values = 7.0 + between * rng.standard_normal(8)[cells] + rng.standard_normal(cells.size)
        found = components(NAMES, values, cells)
        assert found.between is not None and found.within is not None
        return [(found.mean, 7.0), (found.between, between), (found.within, 1.0)]

    of_mean, of_between, of_within = covers(sample)
    assert 0.92 <= of_mean <= 0.98 and 0.92 <= of_within <= 0.98
    assert 0.92 <= of_between <= 1.0  # at 0 an interval from 0 on always holds it at one end


def test_what_one_cell_or_one_cycle_cannot_tell() -> None:
    values = np.array([1.0, 2.0, 4.0])
    alone = components(NAMES, values, np.zeros(3, dtype=int))
    assert alone.between is None and alone.within is not None and "one cell" in alone.mean.how
    once = components(NAMES, values, np.arange(3))
    assert once.between is None and once.within is None
    assert pooled_deviation("x", [np.array([1.0])], "") is None


@pytest.mark.parametrize(("sigma", "step"), [(1.0, 0.1), (1.0, 2.0)])
def test_a_normal_that_is_known_in_steps(sigma: float, step: float) -> None:
    def sample(rng: np.random.Generator) -> list[tuple[Estimate, float]]:
        low = np.floor(rng.normal(5.0, sigma, 15) / step) * step
        found = normal(("mean", "sigma"), low, low + step)
        return [(found[0], 5.0), (found[1], sigma)]

    rng = np.random.default_rng(3)
    held = np.mean([[e.low <= t <= e.high for e, t in sample(rng)] for _ in range(60)], axis=0)
    assert (held >= 0.85).all()


def test_values_in_one_step_have_its_width_and_no_least_spread() -> None:
    low = np.full(10, 0.19)
    middle, spread = normal(("mean", "sigma"), low, low + 0.02)
    assert middle.low == pytest.approx(0.19, abs=1e-3)
    assert middle.high == pytest.approx(0.21, abs=1e-3)
    assert spread.low == 0.0 and 0.004 < spread.high < 0.05


def test_a_bracket_is_its_central_part() -> None:
    found = bracket("x", -1.0, -1.2, 4)
    assert (found.low, found.value, found.high) == pytest.approx((-1.195, -1.1, -1.005))


def test_half_an_interval_is_too_little() -> None:
    def sample(rng: np.random.Generator) -> list[tuple[Estimate, float]]:
        e = mean("x", rng.normal(0.0, 1.0, 10))
        half = 0.25 * (e.high - e.low)
        return [(Estimate("x", e.value, e.value - half, e.value + half, 10, ""), 0.0)]

    assert covers(sample)[0] < 0.8 and math.isfinite(covers(sample)[0])
