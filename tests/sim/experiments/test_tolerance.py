from __future__ import annotations

import math

import pytest

from ohmloom.sim.experiments import tolerance
from ohmloom.sim.experiments.tolerance import ToleranceError


@pytest.mark.parametrize(
    ("rule", "value", "inside", "outside"),
    [
        (tolerance.exact(), 3.0, (3.0,), (2.999, 3.001)),
        (tolerance.ten_percent(1.07), 1.07, (0.963, 1.177), (0.962, 1.178)),
        (tolerance.ten_percent(-6.94), -6.94, (-6.25, -7.63), (-6.2, -7.7, 6.94)),
        (tolerance.spread(0.02, "2 %, Fig. 4"), 1.0, (0.98, 1.02), (0.979, 1.021)),
        (tolerance.order_of_magnitude(), 1e3, (500.0, 2000.0), (499.0, 2001.0)),
        (tolerance.within(35.0, 55.0), None, (35.0, 55.0), (34.9, 55.1)),
        (tolerance.at_least(1e3), None, (1e3, 1e9), (999.0,)),
        (tolerance.at_most(86.0), None, (86.0, -1.0), (86.1,)),
    ],
)
def test_bounds(
    rule: tolerance.Tolerance,
    value: float | None,
    inside: tuple[float, ...],
    outside: tuple[float, ...],
) -> None:
    assert all(rule.accepts(value, ours) for ours in inside)
    assert not any(rule.accepts(value, ours) for ours in (*outside, math.nan))


def test_a_spread_must_be_reported() -> None:
    with pytest.raises(ToleranceError, match="not one that is reported"):
        tolerance.spread(0.3, "")
    with pytest.raises(ToleranceError, match="not one that is reported"):
        tolerance.spread(math.inf, "Fig. 1")
    with pytest.raises(ToleranceError, match="is not a range"):
        tolerance.within(2.0, 1.0)
