from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from ohmloom.sim.array import ArrayError, SimulatedArray
from ohmloom.sim.array.store import restore, save, tiles_of
from ohmloom.sim.devices import load

ROWS, COLUMNS = 3, 4


def array(name: str = "cspbbr3_ogb", seed: int = 1, tiles: int = 2) -> SimulatedArray:
    return SimulatedArray(load(name), tiles, ROWS, COLUMNS, seed)


def use(cells: SimulatedArray, volts: float = 2.0) -> None:
    """Pulses, a wait and reads."""
    limits = cells.limits
    some = np.arange(5)
    cells.pulse(some, limits.v_max, 10 * limits.width_min_s, limits.i_cc_max)
    cells.wait(3.0)
    cells.read(some[:2])
    cells.pulse(some[1:3], limits.v_min, 10 * limits.width_min_s, None)


@pytest.mark.parametrize("name", ["cspbbr3_ogb", "all_in_one", "bion"])
def test_an_array_goes_on_where_the_saved_one_was(name: str, tmp_path: Path) -> None:
    first, second = array(name), array(name)
    use(first)
    first.stick(np.array([7]), 1e-5)
    save(first, tmp_path / "cells.npz")
    restore(second, tmp_path / "cells.npz")
    for cells in (first, second):
        use(cells)
    for tile in range(first.tiles):
        assert first.tile_state_equal(second, tile)
    assert first.elapsed_s == second.elapsed_s
    np.testing.assert_array_equal(first.g, second.g)
    np.testing.assert_array_equal(first.read(np.arange(6)), second.read(np.arange(6)))


def test_products_without_a_program_go_on_with_their_draws(tmp_path: Path) -> None:
    first, second = array(), array()
    volts = np.full(ROWS, 0.05)
    first.mvm(0, volts)
    save(first, tmp_path / "cells.npz")
    restore(second, tmp_path / "cells.npz")
    np.testing.assert_array_equal(first.mvm(0, volts), second.mvm(0, volts))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (array(seed=2), "has seed 1, expected 2"),
        (array("vb1"), "has device cspbbr3_ogb, expected vb1"),
        (array(tiles=1), "expected float64 of shape"),
    ],
)
def test_state_of_another_array_is_refused(other: SimulatedArray, message, tmp_path: Path) -> None:
    save(array(), tmp_path / "cells.npz")
    with pytest.raises(ArrayError, match=message):
        restore(other, tmp_path / "cells.npz")


def test_tiles_that_the_file_has_not_are_as_made(tmp_path: Path) -> None:
    first, second = array(), array(tiles=3)
    use(first)
    first.stick(np.array([7]), 1e-5)
    save(first, tmp_path / "cells.npz")
    assert tiles_of(tmp_path / "cells.npz") == 2
    restore(second, tmp_path / "cells.npz")
    np.testing.assert_array_equal(second.g[:2], first.g)
    np.testing.assert_array_equal(second.pulses[:2], first.pulses)
    assert not second.pulses[2].any()
    for cells in (first, second):
        use(cells)
    np.testing.assert_array_equal(second.g[:2], first.g)


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "cells.npz"
    path.write_bytes(b"nothing")
    with pytest.raises(ArrayError, match="no state of an array"):
        tiles_of(path)
    with pytest.raises(ArrayError, match="no state of an array"):
        restore(array(), path)
    np.savez(path, version=1, seed=1)
    with pytest.raises(ArrayError, match="it lacks elapsed_s"):
        restore(array(), path)
    save(array(), path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ArrayError, match="no state of an array"):
        restore(array(), path)


def test_altered_bytes_are_one_sentence(tmp_path: Path) -> None:
    path, other = tmp_path / "cells.npz", array()
    use(other)
    save(other, path)
    whole = path.read_bytes()
    for at in range(40, len(whole), len(whole) // 50):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        before = other.g.copy()
        with suppress(ArrayError):  # what no reader looks at may be anything
            restore(other, path)
        np.testing.assert_array_equal(other.g, before)


def test_sizes_are_looked_at_before_anything_is_read(tmp_path: Path) -> None:
    cells = array()
    parts = {"version": 1, "seed": 1, "elapsed_s": 0.0, "device": "cspbbr3_ogb", **cells.parts()}
    parts["time"] = np.broadcast_to(0.0, (1 << 20, 1))
    np.savez_compressed(tmp_path / "cells.npz", **parts)
    assert tiles_of(tmp_path / "cells.npz") == 1 << 20
    with pytest.raises(ArrayError, match="time is float64 of shape"):
        restore(cells, tmp_path / "cells.npz")


def test_nothing_is_left_half_written(tmp_path: Path) -> None:
    save(array(), tmp_path / "cells.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["cells.npz"]
