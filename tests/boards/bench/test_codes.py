from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmloom.boards.bench.codes import STEP_TOLERANCE, ZERO_CODE, Codes, pieces
from ohmloom.compiler.profile import make_profile
from ohmloom.hw.afe.array_card import front_end_cycles
from ohmloom.hw.geometry import Geometry
from ohmloom.hw.isa import LIMIT_NEGATIVE, LIMIT_POSITIVE
from ohmloom.sim.converters import Converters
from ohmloom.sim.devices import ComplianceError, DeviceError, load

CLK_HZ = 48_000_000


def codes(name: str, mode: int = 0) -> Codes:
    device = load(name)
    drive = make_profile(device, Converters(), CLK_HZ).profile.modes[mode].drive
    cycles = front_end_cycles(Geometry(rows=8, columns=8, tiles=1), CLK_HZ)
    return Codes(Converters(), CLK_HZ, cycles, drive, f"{name}, {device.modes[mode].name}")


def test_a_pulse_becomes_codes_and_cycles() -> None:
    mine = codes("cspbbr3_ogb")
    found = mine.opening(1.0, 1e-3, 1e-4)
    assert found.rail == Converters().dac_code(1.0) and found.width == 48_000
    assert found.gate == Converters().gate_code(1e-4) and found.limit == LIMIT_POSITIVE
    assert mine.opening(-1.5, 1e-3, None).limit == 0
    assert mine.opening(-1.0, 1e-3, 1e-4).limit == LIMIT_NEGATIVE
    nothing = mine.opening(0.0, 1e-3, None)
    assert nothing.limit and mine.gate_range[0] <= nothing.gate <= mine.gate_range[1]


@pytest.mark.parametrize(
    ("volts", "width_s", "i_cc", "says"),
    [
        (1.01, 1e-3, 1e-4, "1.01 V, accepted is -1.5"),
        (-1.6, 1e-3, None, "-1.6 V, accepted is"),
        (11.0, 1e-3, 1e-4, "11 V is outside"),
        (1.0, 2.0, 1e-4, "a pulse of 2 s, accepted is"),
        (1.0, 1e-9, 1e-4, "a pulse of 1e-09 s, accepted is 5e-07"),
        (1.0, 1e-3, None, "without a compliance current"),
        (1.0, 1e-3, 2e-5, "outside the gap of"),
        (1.0, 1e-3, 5e-4, "I_cc = 0.0005 A, accepted is"),
        (1.0, 1e-3, -1.0, "I_cc is not in 0"),
    ],
)
def test_what_is_outside_is_refused(
    volts: float, width_s: float, i_cc: float | None, says: str
) -> None:
    with pytest.raises(DeviceError, match=says.replace(".", r"\.")) as refused:
        codes("cspbbr3_ogb").opening(volts, width_s, i_cc)
    assert str(refused.value).startswith("cspbbr3_ogb, nonvolatile: ")
    assert isinstance(refused.value, ComplianceError) == (
        "I_cc" in says or "comp" in says or "gap" in says
    )


def test_full_scale_is_the_last_code() -> None:
    mine = codes("ohm")
    assert (mine.rail(10.0), mine.rail(-10.0)) == (0xFFFF, 0)
    with pytest.raises(DeviceError, match=r"outside the DAC's"):
        mine.rail(10.01)


def test_cells_at_once_share_the_buffer() -> None:
    mine = codes("bion")
    low, high = (mine.opening(1.0, 1e-3, i_cc) for i_cc in (1e-4, 5e-3))
    assert mine.together(high) < 11 < mine.together(low)
    assert mine.together(mine.opening(-1.0, 1e-3, None)) == 12  # 50 mA of 4 mA each


def test_ranges_have_settled() -> None:
    mine = codes("ohm")
    assert mine.ranges(48_000 * 50, 0) == [0, 1, 2, 3, 4, 5]
    assert mine.ranges(48_000, 0) == [0, 1, 2, 3, 4]  # the last one takes 5.9 ms
    assert mine.ranges(100, 0) == []


@given(
    st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=60),
    st.integers(1, 20),
)
def test_pieces_of_any_codes_follow_them(wanted: list[int], most: int) -> None:
    check(wanted, list(pieces(wanted, most)), most)


@given(
    st.floats(-10, 9.99), st.integers(2, 150), st.integers(1, 127), st.booleans()
)  # a linear staircase
def test_pieces_of_a_staircase_are_few(stop: float, count: int, most: int, both: bool) -> None:
    volts = np.linspace(0, stop, count)
    volts = np.concatenate((volts, volts[-2::-1])) if both else volts
    wanted = [int(code) for code in np.rint(volts / 10 * ZERO_CODE) + ZERO_CODE]
    found = list(pieces(wanted, most))
    check(wanted, found, most)
    if abs(stop) > 0.5:
        assert len(found) <= 2 * len(wanted) / most + 60


def check(wanted: list[int], found: list[tuple[int, int, int]], most: int) -> None:
    made = [start + step * n for start, step, count in found for n in range(count)]
    assert len(made) == len(wanted) and all(count <= most for _, _, count in found)
    assert all(step for _, step, _ in found)
    off = np.abs(np.array(made) - wanted)
    allowed = np.maximum(1, STEP_TOLERANCE * np.abs(np.array(wanted) - ZERO_CODE))
    assert (off <= allowed).all()
    assert min(wanted) <= min(made) and max(made) <= max(wanted)
