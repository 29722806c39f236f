from __future__ import annotations

from pathlib import Path

import pytest

from ohmloom.compiler.compiled import Compiled

from ..small import compile_small


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    """A small network, compiled for a noisy device."""
    folder: Path = tmp_path_factory.mktemp("small")
    return compile_small(folder)
