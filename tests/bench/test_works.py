"""Time, errors and what is written of them."""

from __future__ import annotations

import json
from time import sleep

import numpy as np
import pytest


@pytest.fixture(scope="module")
def bench(benchmark_module):
    return benchmark_module("works")


def test_works_are_done_in_a_row_until_one_has_had_its_time(bench, monkeypatch):
    had: list[str] = []

    def work(name: str, seconds: float):
        return lambda: (had.append(name), sleep(seconds))

    monkeypatch.setattr(bench, "_WARM_S", 0.04)
    quick, slow = bench.in_a_row([work("quick", 0.001), work("slow", 0.05)], 3, 0.08)
    counted = had[had.index("slow") :]
    assert counted == ["slow"] * 3 and had.count("quick") > 3  # one of each is not counted
    assert 0.001 <= quick < 0.05 <= slow


def test_an_error_is_over_what_is_wanted(bench):
    wanted = np.array([[3.0, -4.0]])
    assert bench.error([3.0, -4.0], wanted) == 0
    assert bench.error(1.1 * wanted, wanted) == pytest.approx(0.1)


def test_figures_are_stored_with_how_they_were_measured(bench, tmp_path):
    bench.store(tmp_path / "new" / "found.json", 3, 5, figures={"a": 1.5})
    found = json.loads((tmp_path / "new" / "found.json").read_text())
    assert (found["threads"], found["repeats"], found["figures"]) == (3, 5, {"a": 1.5})
    assert found["numpy"] == np.__version__
