"""Deployments on the RTL: undisturbed, killed at any moment, with resets and with noise."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from ohmloom.boards.board import BoardError
from ohmloom.boards.deploy.deploy import Deployment, deploy
from ohmloom.boards.engine import BoardEngine
from ohmloom.boards.link import LinkClient
from ohmloom.boards.loader import is_loaded
from ohmloom.boards.serial_port import SerialTransport
from ohmloom.boards.virtual.board import Faults
from ohmloom.boards.virtual.controller import VirtualController
from ohmloom.boards.virtual.faults import LineFaults
from ohmloom.boards.virtual.thread import serving
from ohmloom.compiler.compiled import Compiled
from ohmloom.compiler.runner import quantise_input
from ohmloom.hw.isa import CellStatus
from ohmloom.sim.array import SimulatedArray
from ohmloom.sim.engine import NumpyEngine

from ..small import (
    BOARD,
    Direct,
    Killed,
    Mortal,
    array_of,
    controller_of,
    powered,
    samples,
    written,
)

HASH = "0" * 64


class Failing(Direct):
    """A transport at whose calls, now and then, the supply of the controller fails."""

    def __init__(self, controller: VirtualController, fails: list[int]) -> None:
        super().__init__(controller)
        self.fails = fails

    def read(self, timeout: float) -> bytes:
        if self.fails and self.calls >= self.fails[0]:
            self.fails.pop(0)
            # In the middle of what it is doing.
            self.controller.run(7_000)
            self.controller.power_up()
        return super().read(timeout)


def run(compiled: Compiled, transport: Direct, journal: Path) -> Deployment:
    return deploy(compiled, HASH, BOARD, LinkClient(transport), journal)


@pytest.fixture(scope="module")
def reference(small: Compiled) -> NumpyEngine:
    return written(small)


@pytest.fixture(scope="module")
def undisturbed(
    small: Compiled, tmp_path_factory: pytest.TempPathFactory
) -> tuple[SimulatedArray, Deployment, int]:
    """An array after a deployment, what the deployment says, and the calls that it took."""
    array = array_of(small)
    with powered(small, array) as controller:
        transport = Direct(controller)
        done = run(small, transport, tmp_path_factory.mktemp("undisturbed") / "journal")
    return array, done, transport.calls


def assert_same_cells(array: SimulatedArray, other: SimulatedArray) -> None:
    for tile in range(array.tiles):
        assert array.tile_state_equal(other, tile), tile


def test_cells_and_wear_are_those_of_the_numpy_engine(undisturbed, reference: NumpyEngine) -> None:
    array, done, _ = undisturbed
    assert done.count(CellStatus.DONE) == done.cells
    assert not done.off.any() and not done.resumed and not done.interruptions
    np.testing.assert_array_equal(array.g, reference.array.g)
    np.testing.assert_array_equal(array.pulses, reference.array.pulses)
    np.testing.assert_array_equal(done.wear, reference.wear)
    np.testing.assert_array_equal(done.wear, array.state.cycles.reshape(done.wear.shape))


def test_self_test_compares_every_layer(undisturbed, small: Compiled) -> None:
    _, done, _ = undisturbed
    assert done.golden.exact and done.golden.agreed == 1
    assert done.golden.values == sum(layer.size for layer in small.golden.layers)


def test_self_test_finds_a_cell_that_is_off(small: Compiled, tmp_path: Path) -> None:
    array = array_of(small)
    with powered(small, array) as controller:
        run(small, Direct(controller), tmp_path / "journal")
        # Largest conductance where there was the least.
        cell = np.unravel_index(np.argmin(array.g[0]), array.g[0].shape)
        array.set_codes((0, *cell), array.g_code.max())
        done = run(small, Direct(controller), tmp_path / "journal")
    assert not done.golden.exact and done.golden.different > 0


def test_inferences_on_the_board_are_those_of_the_numpy_engine(
    small: Compiled, reference: NumpyEngine, tmp_path: Path
) -> None:
    x = quantise_input(small, samples(20))
    with powered(small, array_of(small)) as controller:
        run(small, Direct(controller), tmp_path / "journal")
        client = LinkClient(Direct(controller))
        client.ping()
        assert is_loaded(client, small.image)
        trace = BoardEngine(client, small.image).infer(x, epoch0=5, layers=True)
    wanted = reference.infer(x, epoch0=5)
    np.testing.assert_array_equal(trace.output, wanted.output)
    assert trace.saturations == wanted.saturations
    for name, values in wanted.layers.items():
        np.testing.assert_array_equal(trace.layers[name], values)


def test_host_that_dies_at_any_moment_loses_nothing(
    small: Compiled, undisturbed, tmp_path: Path
) -> None:
    expected, whole, calls = undisturbed
    rng = random.Random(1)
    array, journal = array_of(small), tmp_path / "journal"
    moments = sorted(rng.sample(range(2, calls), 20))
    with powered(small, array) as controller:
        begun = 0
        for moment in moments:
            with pytest.raises(Killed):
                run(small, Mortal(controller, moment - begun), journal)
            begun = moment
        done = run(small, Direct(controller), journal)
    assert done.resumed
    assert_same_cells(array, expected)
    np.testing.assert_array_equal(done.wear, whole.wear)
    np.testing.assert_array_equal(done.tries, whole.tries)
    assert done.golden.exact


def test_reset_at_any_moment_leaves_only_cells_in_flight_in_doubt(
    small: Compiled, undisturbed, tmp_path: Path
) -> None:
    _, whole, calls = undisturbed
    fails = sorted(random.Random(2).sample(range(2, calls), 20))
    array = array_of(small)
    with powered(small, array) as controller:
        done = run(small, Failing(controller, list(fails)), tmp_path / "journal")
    assert done.interruptions > 0
    assert done.count(CellStatus.DONE) == done.cells and not done.off.any()
    own = array.state.cycles.reshape(done.wear.shape).astype(np.int64)
    over = done.wear.astype(np.int64) - own
    assert over.min() >= 0 and over.max() <= len(fails)
    # One cell may be in flight at several resets, but not more than a chunk at each.
    touched = (done.wear != whole.wear) | (done.tries != whole.tries)
    assert 0 < int((over > 0).sum()) <= 32 * len(fails)
    assert touched.sum() <= 32 * len(fails)


def test_other_cells_than_those_of_the_journal_are_written_again(
    small: Compiled, tmp_path: Path
) -> None:
    journal = tmp_path / "journal"
    with powered(small, array_of(small)) as controller:
        run(small, Direct(controller), journal)
    with powered(small, array_of(small)) as controller:
        done = run(small, Direct(controller), journal)
    assert done.resumed and not done.off.any() and done.golden.agreed == 1
    assert done.wear.min() >= 1


def test_second_deployment_writes_nothing(small: Compiled, tmp_path: Path) -> None:
    array = array_of(small)
    with powered(small, array) as controller:
        first = run(small, Direct(controller), tmp_path / "journal")
        pulses = array.pulses.copy()
        second = run(small, Direct(controller), tmp_path / "journal")
    np.testing.assert_array_equal(array.pulses, pulses)
    np.testing.assert_array_equal(first.wear, second.wear)
    assert second.golden.exact


def test_noise_on_the_line_changes_nothing(small: Compiled, undisturbed, tmp_path: Path) -> None:
    """One byte of a hundred, over the pseudo-terminal."""
    expected, _, _ = undisturbed
    array = array_of(small)
    faults = Faults(LineFaults(dropped=0.003, doubled=0.003, flipped=0.004), seed=3)
    with (
        serving(controller_of(small, array), faults) as board,
        SerialTransport(board.terminal.port, 1_000_000) as transport,
    ):
        done = deploy(small, HASH, BOARD, LinkClient(transport, tries=20), tmp_path / "journal")
    assert board.hits > 50
    assert done.golden.exact and not done.off.any()
    np.testing.assert_array_equal(array.pulses, expected.pulses)
    np.testing.assert_array_equal(array.g, expected.g)


def test_network_for_another_clock_is_refused(small: Compiled) -> None:
    from dataclasses import replace

    slow = replace(small, options=small.options.model_copy(update={"clk_hz": 12_000_000}))
    with pytest.raises(BoardError, match="12000000 Hz, board ulx3s-85f runs at 48000000 Hz"):
        controller_of(slow, array_of(small))
