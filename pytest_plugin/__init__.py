"""Tests of a repository's networks, by pytest: it collects ``ohmloom.toml``.

pytest loads this module wherever Ohmloom is installed. So it imports nothing but pytest,
and the rest when there is an ``ohmloom.toml`` or a test asks for a fixture.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .items import NetworksFile
    from .network import Network

FILE = "ohmloom.toml"
ARTIFACTS = "build/ohmloom"
FAULTS = ("conductance", "adc", "settling")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("ohmloom", "networks on memristor crossbars")
    group.addoption(
        "--ohmloom-artifacts",
        metavar="DIR",
        default=ARTIFACTS,
        help="Folder of bundles, bitstreams and the waveforms of failures, from the root "
        f"folder [{ARTIFACTS}].",
    )
    group.addoption(
        "--ohmloom-plant-fault",
        choices=FAULTS,
        help="Plant a fault in every co-simulation: each has to fail then.",
    )


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> NetworksFile | None:
    if file_path.name != FILE:
        return None
    from .items import NetworksFile

    return NetworksFile.from_parent(parent, path=file_path)


@pytest.fixture
def ohmloom_network(request: pytest.FixtureRequest) -> Callable[[str], Network]:
    """The network of that name in the nearest ohmloom.toml above the test."""
    from .network import networks
    from .settings import nearest

    root = request.config.rootpath
    return lambda name: networks(request.config, nearest(request.path, root)).named(name)


@pytest.fixture
def ohmloom_bundle(ohmloom_network: Callable[[str], Network]) -> Callable[[str], Path]:
    """The bundle of the network of that name, compiled when it is first asked for."""
    return lambda name: ohmloom_network(name).bundle
