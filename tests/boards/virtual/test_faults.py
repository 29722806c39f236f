from __future__ import annotations

import pytest

from ohmloom.boards.virtual.faults import FaultError, LineFaults, NoisyLine

DATA = bytes(range(256)) * 40


def test_line_without_faults_carries_everything() -> None:
    assert NoisyLine(LineFaults()).carry(DATA) == DATA


@pytest.mark.parametrize(
    ("faults", "size"),
    [
        (LineFaults(dropped=1), 0),
        (LineFaults(doubled=1), 2 * len(DATA)),
        (LineFaults(flipped=1), len(DATA)),
    ],
)
def test_each_fault_does_what_it_is_called(faults: LineFaults, size: int) -> None:
    line = NoisyLine(faults)
    carried = line.carry(DATA)
    assert len(carried) == size and line.hit == line.bytes == len(DATA)
    if faults.flipped:
        wrong = [a ^ b for a, b in zip(carried, DATA, strict=True)]
        assert all(each.bit_count() == 1 for each in wrong)


def test_as_many_bytes_are_hit_as_asked_for() -> None:
    line = NoisyLine(LineFaults(0.01, 0.01, 0.01), seed=1)
    line.carry(DATA)
    assert 0.02 < line.hit / line.bytes < 0.04


def test_same_seed_has_the_same_faults() -> None:
    faults = LineFaults(0.1, 0.1, 0.1)
    first, second = (NoisyLine(faults, seed=7).carry(DATA) for _ in range(2))
    assert first == second != NoisyLine(faults, seed=8).carry(DATA)


@pytest.mark.parametrize("faults", [(-0.1, 0, 0), (0.5, 0.4, 0.2), (0, 0, 1.1)])
def test_what_is_no_probability_is_refused(faults: tuple[float, float, float]) -> None:
    with pytest.raises(FaultError, match="sum to 1 at most"):
        LineFaults(*faults)
