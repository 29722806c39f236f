"""Frames of every kind at the compiled controller: none hangs it, none moves a pin too far."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ohmloom.hw.afe.array_card import ArrayCard
from ohmloom.hw.afe.interface import Ceilings
from ohmloom.hw.geometry import Geometry
from ohmloom.sim.cosim.fast.fuzz import (
    Class,
    Failure,
    FuzzBench,
    Fuzzed,
    FuzzError,
    fuzz,
    fuzz_library,
)

SEED = 2026


@pytest.fixture(scope="module")
def fuzzed() -> Path:
    """The compiled bench."""
    return fuzz_library(FuzzBench())


def assert_good(found: Fuzzed, frames: int) -> None:
    assert found.failure is Failure.NONE, str(found)
    assert sum(found.sent.values()) == found.frame == frames
    assert all(found.sent[kind] > frames / 200 for kind in Class)
    # Every good frame was answered, and much was driven meanwhile.
    assert found.answered == found.good > frames / 2 and found.dropped > frames / 4
    assert found.events == found.runs > frames / 100


def test_every_good_frame_is_answered_and_no_pin_leaves_its_limits(fuzzed):
    found = fuzz(fuzzed, 20_000, SEED)
    assert_good(found, 20_000)
    assert found.pulses > 20
    assert "20000 pieces" in str(found)


def test_over_the_serial_line(fuzzed):
    found = fuzz(fuzzed, 400, SEED, serial=True)
    assert found.failure is Failure.NONE, str(found)
    assert found.answered == found.good > 200


def test_the_same_seed_is_the_same_fuzz(fuzzed):
    assert fuzz(fuzzed, 300, 7) == fuzz(fuzzed, 300, 7) != fuzz(fuzzed, 300, 8)


def test_a_receiver_that_sticks_is_found(fuzzed):
    found = fuzz(fuzzed, 20_000, SEED, plant=True)
    assert found.failure is Failure.HANG and found.frame < 20_000
    assert "a good frame was not answered" in str(found)


def test_a_geometry_whose_rows_are_not_looked_at_is_refused():
    with pytest.raises(FuzzError, match="16 rows are more than the 10"):
        FuzzBench(Geometry(rows=16, columns=8, tiles=2))


class LaxCard(ArrayCard):
    """A planted fault: the guard is built without ceilings."""

    def ceilings(self) -> Ceilings:
        found = super().ceilings()
        return replace(found, low=(0,) * 4, high=(0xFFFF,) * 4)


@pytest.mark.slow
def test_a_guard_without_ceilings_is_found():
    path = fuzz_library(FuzzBench(card=LaxCard))
    found = fuzz(path, 20_000, SEED, front_end=LaxCard.__name__)
    assert found.failure is Failure.DAC_CODE


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 21))
def test_a_million_frames(fuzzed, seed):
    assert_good(fuzz(fuzzed, 50_000, seed), 50_000)
