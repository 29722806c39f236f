"""Of 100 simulated measurements, the 95 % intervals hold the truth in 90 to 99."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

Counts = Mapping[str, tuple[int, int]]

SEEDS = range(200, 300)
EXPECTED = {
    "icc_line": 9,
    "filament": 19,
    "ionic": 12,
    "diffusive": 12,
}
"""How many parameters each measurement tells."""


def check(
    case: Any, folder: Path, coverage: Callable[..., Counts], complaints: Callable[[Counts], Any]
) -> None:
    sets = [case.estimates(seed, folder) for seed in SEEDS]
    counts = coverage(sets, case.truth)
    print(counts)
    assert len(counts) == EXPECTED[case.family]
    assert complaints(counts) == []
    pooled = sum(inside for inside, _ in counts.values()) / len(counts)
    assert 93.0 <= pooled <= 97.5
    # the same check finds intervals of half the width
    assert len(complaints(coverage(sets, case.truth, narrow=0.5))) == len(counts)


def test_the_line(cases: Any, tmp_path: Path, coverage: Any, complaints: Any) -> None:
    check(cases["icc_line"], tmp_path, coverage, complaints)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["filament", "ionic", "diffusive"])
def test_the_others(
    family: str, cases: Any, tmp_path: Path, coverage: Any, complaints: Any
) -> None:
    check(cases[family], tmp_path, coverage, complaints)
