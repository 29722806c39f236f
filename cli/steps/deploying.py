"""A bundle onto an array as it is: tested, and the network placed around cells that are stuck."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...boards.board import Board
from ...boards.calibration import Calibration
from ...boards.deploy.deploy import Deployment, deploy
from ...boards.deploy.march import march
from ...boards.link import LinkClient, Transport
from ...boards.recording import random_bits
from ...compiler.bundle import load_bundle, write_bundle
from ...compiler.cells import check_faults
from ...compiler.compiled import Compiled
from ...compiler.pipeline import compile_model
from ...errors import OhmloomError
from ...hw.afe.kinds import FrontEndKind
from ...hw.isa import CellStatus
from ..arrays import load_array, save_array
from ..output import Reporter
from .boarding import bundle_hash, placed_at

Connect = Callable[[Compiled, Path], AbstractContextManager[Transport]]
"""Opens the port of a board that holds the controller of a bundle."""


class RemapError(OhmloomError):
    """A model that cannot take the place of a bundle's, or an array that is not tested."""


@dataclass(frozen=True)
class Source:
    """What a network is placed again from.

    Attributes
    ----------
    model, calib:
        The ONNX file and the calibration samples that the bundle was compiled from.
    """

    model: Path
    calib: Path

    def compile(self, bundle: Compiled, faults: np.ndarray) -> Compiled:
        """The network for the same controller, around stuck cells.

        Parameters
        ----------
        faults:
            Conductances of stuck cells [S] and NaN of the others, shape (tiles, rows, columns);
            tiles that it has not count as sound.

        Raises
        ------
        RemapError
            If it is another network than the bundle's.
        CompileError
            If it does not fit.
        """
        geometry = bundle.image.geometry
        shape = (max(geometry.tiles, len(faults)), geometry.rows, geometry.columns)
        known = np.full(shape, np.nan)
        known[: len(faults)] = faults
        made = compile_model(
            self.model, bundle.device, load_array(self.calib), geometry, bundle.options,
            bundle.converters, known, bundle.input_shape,
        )  # fmt: skip
        mine, others = ([(each.name, each.outputs) for each in c.layers] for c in (made, bundle))
        if mine != others:
            raise RemapError(f"{self.model} is not the model that the bundle was compiled from")
        return made


@dataclass(frozen=True)
class Placed:
    """What has become of a bundle on an array.

    Attributes
    ----------
    done:
        The deployment, of the bundle or of one that was made from it.
    bundle:
        That which the cells hold.
    stuck:
        Stuck cells that are known in its tiles; None: nobody has tested.
    """

    done: Deployment
    bundle: Path
    stuck: int | None


def place(
    bundle: Path,
    compiled: Compiled,
    board: Board,
    journal: Path,
    fault_map: Path,
    connect: Connect,
    reporter: Reporter,
    *,
    source: Source | None = None,
    test: bool = False,
    calibration: Calibration | None = None,
) -> Placed:
    """Deploy a bundle; test the array where asked for or needed, and go around its stuck cells.

    A map that is there counts as the test. With a ``source`` the array is tested too if cells do
    not get on their levels, and the network is placed again if the test finds stuck ones.

    Parameters
    ----------
    fault_map:
        The map of the array's stuck cells, ``.npy``.
    test:
        Make the map first, where there is none.
    calibration:
        Of the card's channels, as of :func:`~ohmloom.boards.deploy.deploy.deploy`.

    Raises
    ------
    RemapError
        If the array has no cells to be tested, or the source is another network's.
    OhmloomError
        As of :func:`~ohmloom.boards.deploy.deploy.deploy`.
    """
    if compiled.options.afe is FrontEndKind.EMULATED and (test or source is not None):
        raise RemapError("an emulated array has no stuck cells: there is nothing to test")
    key = bundle_hash(bundle)

    def deployed(network: Compiled, where: Path) -> Deployment:
        with connect(network, where) as transport:
            return deploy(
                network, bundle_hash(where), board.name, LinkClient(transport), journal,
                reporter.update, random_bits(transport), calibration,
            )  # fmt: skip

    def tested() -> np.ndarray:
        # On all the tiles that the network may take once it has rows to spare.
        nothing = np.full((0, *compiled.levels.shape[1:]), np.nan)
        roomy = compiled if source is None else source.compile(compiled, nothing)
        with connect(roomy, bundle) as transport:
            client = LinkClient(transport)
            found = march(roomy, key, board.name, client, journal, reporter.update, calibration)
        save_array(fault_map, found)
        return found

    def around(faults: np.ndarray) -> tuple[Compiled, Path]:
        if source is None or np.isnan(faults).all():
            return compiled, bundle
        reporter.update("placing the network around stuck cells")
        where = placed_at(bundle, board)
        write_bundle(source.compile(compiled, faults), where, baud=board.baud)
        return load_bundle(where), where

    faults = read_map(fault_map, compiled) if fault_map.exists() else None
    if faults is None and test:
        faults = tested()
    network, where = (compiled, bundle) if faults is None else around(faults)
    done = deployed(network, where)
    if faults is None and source is not None and done.count(CellStatus.DONE) < done.cells:
        faults = tested()
        network, where = around(faults)
        done = deployed(network, where)
    stuck = None if faults is None else int((~np.isnan(faults[: network.image.tiles])).sum())
    return Placed(done, where, stuck)


def read_map(path: Path, compiled: Compiled) -> np.ndarray:
    """The fault map of an array, shape (tiles, rows, columns), at least the bundle's tiles.

    Raises
    ------
    TargetError, ArrayFileError
        If it is none.
    """
    found, image = load_array(path), compiled.image
    return check_faults(found, max(len(found), image.tiles), image.geometry, str(path))
