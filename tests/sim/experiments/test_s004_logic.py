"""Logic in the cells of the all-in-one device: the gates, planted wrong ones, other devices."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ohmloom.sim.experiments import Bench, Kind, run, s004_logic
from ohmloom.sim.experiments.s004_digital import DEVICE, DIRECT, UNIFORM, formed
from ohmloom.sim.experiments.s004_logic import GATES, electrodes, not_gate, reference, store

_FEW = 4096


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, number in (("_CELLS", _FEW), ("_MANY", _FEW), ("_TIMES", 2)):
        monkeypatch.setattr(s004_logic, name, number)


def _read(array: Any, cells: Any, parting: float) -> Any:
    return s004_logic.current(array, cells) > parting


def test_passes_and_draws_its_figure(tmp_path: Path) -> None:
    (definition,) = s004_logic.EXPERIMENTS
    done = run(definition, Bench(seeds=(1,)), tmp_path)
    assert done.passed, [row for row in done.rows if not row.passed]
    assert all(figure.stat().st_size > 0 for figure in done.figures)
    assert [row.kind for row in done.rows[:3]] == [Kind.PREDICTED] * 3


@pytest.mark.parametrize(
    ("one", "two", "before", "after"),
    [
        (True, False, False, True),
        (False, True, True, False),
        *((same, same, bit, bit) for same, bit in product((False, True), repeat=2)),
    ],
)
def test_a_cell_sees_the_difference_of_its_electrodes(
    one: bool, two: bool, before: bool, after: bool
) -> None:
    array, cells = formed(Bench(), "nonvolatile", UNIFORM, 64), np.arange(64)
    parting = reference(array, cells)
    store(array, cells, before)
    electrodes(array, cells, one, two)
    assert (_read(array, cells, parting) == after).all()


def test_each_cell_is_a_gate_of_its_own() -> None:
    array, cells = formed(Bench(), "nonvolatile", UNIFORM, 64), np.arange(64)
    parting = reference(array, cells)
    not_gate(array, cells[::2], True)
    not_gate(array, cells[1::2], False)
    assert (_read(array, cells, parting) == (cells % 2 == 1)).all()


def test_gates_work_on_results_of_gates() -> None:
    """XOR of two bits in two cells, the results read and applied again."""
    array, cells = formed(Bench(), "nonvolatile", UNIFORM, 2), np.arange(2)
    parting = reference(array, cells)
    for p, q in product((False, True), repeat=2):
        s004_logic.and_gate(array, cells[:1], p, q)
        s004_logic.not_gate(array, cells[:1], bool(_read(array, cells[:1], parting)[0]))
        s004_logic.or_gate(array, cells[1:], p, q)
        electrodes(array, cells[1:], bool(_read(array, cells[:1], parting)[0]), True)
        assert bool(_read(array, cells[1:], parting)[0]) is (p != q)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(
    ("place", "wrong", "row"),
    [
        (0, s004_logic.or_gate, "AND: wrong of"),
        (1, s004_logic.and_gate, "OR: wrong of"),
        (0, lambda array, cells, p, q: electrodes(array, cells, p, True), "AND: wrong of"),
        (1, lambda array, cells, p, q: electrodes(array, cells, p, q), "OR: wrong of"),
        (2, lambda array, cells, p: store(array, cells, p), "NOT: wrong of"),
    ],
)
def test_a_wrong_gate_is_found(
    monkeypatch: pytest.MonkeyPatch, place: int, wrong: Any, row: str
) -> None:
    gates = list(GATES)
    gates[place] = replace(gates[place], do=wrong)
    monkeypatch.setattr(s004_logic, "GATES", tuple(gates))
    failed = [found.quantity for found in s004_logic.logic(Bench(seeds=(1,))).rows
              if not found.passed]  # fmt: skip
    assert any(row in quantity for quantity in failed)
    others = {"AND: wrong of", "OR: wrong of", "NOT: wrong of"} - {row}
    assert not any(other in quantity for other in others for quantity in failed)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(
    ("name", "value", "row"),
    [
        ("nonvolatile_uniform.hrs.cycle_spread", 0.3, "NOT: wrong of"),
        ("nonvolatile_uniform.lrs.cycle_spread", 0.4, "OR: wrong of"),
        ("nonvolatile_uniform.set.threshold", 5.95, "OR: wrong of"),
        ("nonvolatile_uniform.reset.threshold", -5.95, "AND: wrong of"),
        ("nonvolatile_uniform.hrs.conductance", 8e-5, "smallest current of a 1"),
        ("nonvolatile_direct.hrs.cycle_spread", 0.05, "direct path gives more wrong"),
        ("nonvolatile_direct.hrs.cycle_spread", 0.4, "0s read as 1, direct"),
    ],
)
def test_a_device_with_one_number_changed_fails(
    failing: Any, name: str, value: float, row: str
) -> None:
    assert row in failing(s004_logic.logic, DEVICE, {f"modes.{name}": value})


@pytest.mark.usefixtures("few")
def test_what_is_listed_without_influence_has_none(unlisted_change_nothing: Any) -> None:
    unlisted_change_nothing(s004_logic.logic, DEVICE)


@pytest.mark.usefixtures("few")
def test_results_that_fade_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Bench.array

    def fading(*arguments: Any) -> Any:
        array: Any = made(*arguments)
        monkeypatch.setattr(array, "wait", lambda _: store(array, np.arange(8), True))
        return array

    monkeypatch.setattr(Bench, "array", fading)
    failed = [
        row for row in s004_logic.logic(Bench(seeds=(1,))).rows if "after 1e5 s" in row.quantity
    ]
    assert not failed[0].passed and failed[0].ours == 4.0


def test_errors_against_the_reference() -> None:
    table = s004_logic.Table(
        ((False,), (True,)), np.array([True, False]),
        np.array([[4e-6, 8e-6], [1e-6, 5e-6]]), 0,
    )  # fmt: skip
    found = s004_logic._Run(2e-6, {"NOT": table}).errors(np.array([0.5e-6, 2e-6, 4.5e-6, 9e-6]))
    assert found == pytest.approx([0.5, 0.25, 0.5, 0.5])


def test_the_tail_is_that_of_the_distribution() -> None:
    deviation = math.sqrt(math.log(1 + DIRECT.hrs**2))
    values = np.exp(np.random.default_rng(1).normal(0.0, deviation, 10**6))
    assert values.std() / values.mean() == pytest.approx(DIRECT.hrs, rel=0.02)
    for ratio in (1.0, 2.0, 5.0):
        expected = float((values > ratio).mean())
        assert s004_logic._tail(DIRECT.hrs, ratio) == pytest.approx(expected, rel=0.05)
