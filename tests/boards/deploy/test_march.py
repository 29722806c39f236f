"""The march test on the RTL: it finds the cells that are stuck, and no others."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from ohmloom.boards.deploy.deploy import deploy
from ohmloom.boards.deploy.journal import Journal
from ohmloom.boards.deploy.march import march
from ohmloom.boards.deploy.records import Began, Found
from ohmloom.boards.link import LinkClient
from ohmloom.compiler.compiled import Compiled
from ohmloom.sim.array import SimulatedArray

from ..small import BOARD, Direct, Killed, Mortal, array_of, powered

HASH = "0" * 64


def run(compiled: Compiled, transport: Direct, journal: Path) -> np.ndarray:
    return march(compiled, HASH, BOARD, LinkClient(transport), journal)


def faulty(compiled: Compiled) -> tuple[SimulatedArray, np.ndarray]:
    """Cells of which some are stuck: below all levels, on some, above them."""
    array = array_of(compiled)
    levels = compiled.device.levels
    cells = random.Random(4).sample(range(array.g.size), 12)
    siemens = np.resize([0.0, levels[0], levels[len(levels) // 2], levels[-1]], len(cells))
    array.stick(np.array(cells), siemens)
    planted = np.full(array.g.size, np.nan)
    planted[cells] = siemens
    return array, planted.reshape(array.g.shape)


@pytest.fixture(scope="module")
def tested(
    small: Compiled, tmp_path_factory: pytest.TempPathFactory
) -> tuple[SimulatedArray, np.ndarray, int]:
    """A faulty array after a march test, the map, and the calls that it took."""
    array, _ = faulty(small)
    with powered(small, array) as controller:
        transport = Direct(controller)
        found = run(small, transport, tmp_path_factory.mktemp("march") / "journal")
    return array, found, transport.calls


def test_stuck_cells_and_their_conductances_are_found(small: Compiled, tested) -> None:
    _, planted = faulty(small)
    _, found, _ = tested
    np.testing.assert_array_equal(np.isnan(found), np.isnan(planted))
    at = ~np.isnan(planted)
    np.testing.assert_allclose(found[at], planted[at], rtol=0.05)  # one read, with its noise


def test_sound_array_has_none_and_ends_on_the_lowest_level(small: Compiled, tmp_path: Path) -> None:
    array, journal = array_of(small), tmp_path / "journal"
    with powered(small, array) as controller:
        found = run(small, Direct(controller), journal)
    assert np.isnan(found).all()
    levels = small.device.levels
    most = levels[0] + (levels[1] - levels[0]) * 0.75  # read noise is no part of a cell
    assert (array.g < most).all()


def test_wear_is_counted(small: Compiled, tested, tmp_path: Path) -> None:
    array, journal = array_of(small), tmp_path / "journal"
    with powered(small, array) as controller:
        run(small, Direct(controller), journal)
        done = deploy(small, HASH, BOARD, LinkClient(Direct(controller)), journal)
    own = array.state.cycles.reshape(done.wear.shape)
    np.testing.assert_array_equal(done.wear, own)
    assert not done.resumed and own.min() >= 3


def test_host_that_dies_on_the_way_goes_on(small: Compiled, tested, tmp_path: Path) -> None:
    whole, expected, calls = tested
    array, _ = faulty(small)
    journal = tmp_path / "journal"
    with powered(small, array) as controller:
        begun = 0
        for moment in sorted(random.Random(1).sample(range(2, calls), 8)):
            with pytest.raises(Killed):
                run(small, Mortal(controller, moment - begun), journal)
            begun = moment
        found = run(small, Direct(controller), journal)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(array.pulses, whole.pulses)
    with Journal(journal) as kept:
        assert sum(isinstance(each, Began) for each in kept.records) == 2


def test_test_that_is_over_begins_anew(small: Compiled, tmp_path: Path) -> None:
    """A cell that has got stuck since the last one is found."""
    array, journal = array_of(small), tmp_path / "journal"
    with powered(small, array) as controller:
        assert np.isnan(run(small, Direct(controller), journal)).all()
        array.stick(np.array([17]), 0.0)
        found = run(small, Direct(controller), journal)
    assert np.flatnonzero(~np.isnan(found)).tolist() == [17]
    with Journal(journal) as kept:
        assert sum(isinstance(each, Found) for each in kept.records) > 0
        assert sum(isinstance(each, Began) for each in kept.records) == 4
