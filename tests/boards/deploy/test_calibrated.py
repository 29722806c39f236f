"""Deployments through channels with errors: with the table that mends them, another, and none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ohmloom.boards.calibration import Calibration, table_words
from ohmloom.boards.deploy.deploy import Deployment, deploy
from ohmloom.boards.deploy.journal import Journal
from ohmloom.boards.deploy.march import march
from ohmloom.boards.deploy.records import Checking, Loaded
from ohmloom.boards.engine import BoardEngine, BoardTrace
from ohmloom.boards.link import LinkClient, LinkError
from ohmloom.boards.loader import is_loaded, load, wait_open
from ohmloom.boards.reader import LinkReader
from ohmloom.boards.selftest import READ_NOISE, calibrate, card_ohms, failures, self_test
from ohmloom.compiler.compiled import Compiled
from ohmloom.compiler.report import predict
from ohmloom.hw.isa import CellStatus
from ohmloom.hw.link.protocol import Space
from ohmloom.sim.array import SimulatedArray
from ohmloom.sim.converters import Channels
from ohmloom.sim.cosim.resistors import Resistors
from ohmloom.sim.engine import NumpyEngine

from ..small import BOARD, GEOMETRY, Direct, array_of, compile_small, powered
from .test_deploy import HASH, Failing

CHANNELS = Channels.drawn(GEOMETRY.columns, seed=3)


@pytest.fixture(scope="module")
def mendable(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    """The small network for a controller with a calibration table."""
    return compile_small(tmp_path_factory.mktemp("mendable"), replace(GEOMETRY, calibration=True))


@pytest.fixture(scope="module")
def calibration(mendable: Compiled) -> Calibration:
    """What is measured with the card of resistors."""
    ohms = card_ohms(GEOMETRY.rows, GEOMETRY.columns)
    with powered(mendable, Resistors(ohms, READ_NOISE, 1), CHANNELS) as controller:
        client = LinkClient(Direct(controller))
        reads = LinkReader(client)
        wait_open(client)
        found = Calibration(columns=GEOMETRY.columns, words=calibrate(reads))
        assert not failures(self_test(reads, calibrated=True))
        # The planted fault: the table of another card.
        reads.write_table(other(found).words)
        assert failures(self_test(reads, calibrated=True))
    return found


def other(calibration: Calibration) -> Calibration:
    """A table that has its columns in another order."""
    words = np.reshape(calibration.words, (8, -1))[:, ::-1]
    return Calibration(columns=calibration.columns, words=words.ravel().tolist())


def run(
    compiled: Compiled, transport: Direct, journal: Path, calibration: Calibration | None
) -> Deployment:
    client = LinkClient(transport)
    return deploy(compiled, HASH, BOARD, client, journal, calibration=calibration)


def deployed(
    compiled: Compiled, journal: Path, calibration: Calibration | None
) -> tuple[SimulatedArray, Deployment, BoardTrace]:
    """Cells after a deployment, what it says, and the golden inputs on the board."""
    array = array_of(compiled)
    with powered(compiled, array, CHANNELS) as controller:
        transport = Direct(controller)
        done = run(compiled, transport, journal, calibration)
        client = LinkClient(transport)
        client.ping()
        assert is_loaded(client, compiled.image, calibration)
        trace = BoardEngine(client, compiled.image).infer(compiled.golden.inputs, layers=True)
    return array, done, trace


Boards = dict[str, tuple[Calibration | None, SimulatedArray, Deployment, BoardTrace]]


@pytest.fixture(scope="module")
def boards(
    mendable: Compiled, calibration: Calibration, tmp_path_factory: pytest.TempPathFactory
) -> Boards:
    """What has become of a board without a table, with its own, and with that of another card."""
    given = {"none": None, "its": calibration, "another": other(calibration)}
    folder = tmp_path_factory.mktemp("boards")
    return {name: (each, *deployed(mendable, folder / name, each)) for name, each in given.items()}


@pytest.mark.parametrize("name", ["none", "its", "another"])
def test_cells_and_integers_are_those_of_the_numpy_engine(
    mendable: Compiled, boards: Boards, name: str
) -> None:
    given, array, _, trace = boards[name]
    engine = NumpyEngine(
        mendable.image, array_of(mendable), mendable.converters, mendable.options.clk_hz,
        mendable.options.seed, channels=CHANNELS,
        calibration=np.reshape(table_words(mendable.image.geometry, given), (8, -1)),
    )  # fmt: skip
    engine.setup()
    engine.program(mendable.levels)
    np.testing.assert_array_equal(array.g, engine.array.g)
    wanted = engine.infer(mendable.golden.inputs)
    np.testing.assert_array_equal(trace.output, wanted.output)


def test_cycles_are_those_of_the_cost_model(mendable: Compiled, boards: Boards) -> None:
    cycles = predict(mendable)
    assert cycles is not None
    for _, _, _, trace in boards.values():
        assert trace.cycles.tolist() == [cycles["later"]] * len(trace.cycles)


def test_a_calibrated_board_is_nearer_to_the_golden_integers(boards: Boards) -> None:
    its, *others = (boards[name][2] for name in ("its", "none", "another"))
    for done in (its, *others):
        assert done.count(CellStatus.DONE) == done.cells and not done.off.any()
    for done in others:
        assert its.golden.different < done.golden.different
        assert its.golden.worst < done.golden.worst


def test_a_controller_that_is_reset_gets_its_table_again(
    mendable: Compiled, calibration: Calibration, tmp_path: Path
) -> None:
    with powered(mendable, array_of(mendable), CHANNELS) as controller:
        transport = Failing(controller, [40, 120, 200])
        done = run(mendable, transport, tmp_path / "journal", calibration)
        client = LinkClient(transport)
        client.ping()
        words = client.read_words(Space.CALIBRATION, 0, len(calibration.words))
    assert not transport.fails and done.interruptions >= 3
    assert words == calibration.words and not done.off.any()


def test_another_table_is_replaced_and_all_cells_are_read_with_it(
    mendable: Compiled, calibration: Calibration, tmp_path: Path
) -> None:
    journal, given = tmp_path / "journal", other(calibration)
    with powered(mendable, array_of(mendable), CHANNELS) as controller:
        transport = Direct(controller)
        run(mendable, transport, journal, given)
        first = len(journal.read_bytes().splitlines())
        done = run(mendable, transport, journal, calibration)
        assert done.resumed and done.count(CellStatus.DONE) == done.cells
        with Journal(journal) as kept:
            added = kept.records[first:]
        (loaded,) = (each for each in added if isinstance(each, Loaded))
        assert loaded.calibration == calibration.digest
        assert Checking() in added[added.index(loaded) :]
        # A host that uses the controller in between leaves a table of its own.
        client = LinkClient(transport)
        client.ping()
        client.write_words(Space.CALIBRATION, 0, given.words)
        assert not is_loaded(client, mendable.image, calibration)
        again = run(mendable, transport, journal, calibration)
        assert is_loaded(client, mendable.image, calibration)
        assert again.golden == done.golden


def test_a_march_test_reads_through_the_table(
    mendable: Compiled, calibration: Calibration, tmp_path: Path
) -> None:
    with powered(mendable, array_of(mendable), CHANNELS) as controller:
        client = LinkClient(Direct(controller))
        found = march(mendable, HASH, BOARD, client, tmp_path / "journal", calibration=calibration)
        assert is_loaded(client, mendable.image, calibration)
    assert np.isnan(found).all()


def test_without_a_calibration_the_table_changes_nothing(
    mendable: Compiled, calibration: Calibration, tmp_path: Path
) -> None:
    with powered(mendable, array_of(mendable)) as controller:
        transport = Direct(controller)
        client = LinkClient(transport)
        client.ping()
        fresh = client.read_words(Space.CALIBRATION, 0, len(calibration.words))
        assert fresh == table_words(mendable.image.geometry, None)
        load(client, mendable.image, calibration)
        done = run(mendable, transport, tmp_path / "journal", None)
        client.ping()
        assert client.read_words(Space.CALIBRATION, 0, len(fresh)) == fresh
    assert done.golden.exact


def test_a_bundle_for_a_controller_without_a_table_is_not_for_one_with_it(
    mendable: Compiled, tmp_path: Path
) -> None:
    plain = replace(mendable.image, geometry=replace(mendable.image.geometry, calibration=False))
    with powered(mendable, array_of(mendable)) as controller:
        client = LinkClient(Direct(controller))
        with pytest.raises(LinkError, match="without one, the board's is with a calibration table"):
            load(client, plain)
