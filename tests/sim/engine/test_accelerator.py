"""Products over the array API, on every namespace there is: the integers of numpy."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import array_api_compat.numpy
import array_api_strict
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmloom.hw.isa import Instruction, Scheme
from ohmloom.sim.array import MeteredArray, Operands
from ohmloom.sim.converters import Channels, Converters, Scales, codes, codes_of
from ohmloom.sim.devices import load
from ohmloom.sim.engine import Accelerator, EngineError, accelerator, accelerator_of
from ohmloom.sim.engine.digits import Digit
from ohmloom.sim.engine.drives import Drives
from ohmloom.sim.engine.fused import Names
from ohmloom.sim.numerics import Domain, draw_normal

from .conftest import CARD, SOURCE, array, mvm, outcome, programs
from .test_product import COLUMNS, EPOCHS, INDEX, LANES, cards, made, products

FARTHER = array_api_strict.Device("device1")
"""A device whose arrays meet no others and have to be fetched, as a GPU's."""
ACCELERATORS = {
    "numpy": accelerator_of("numpy"),
    "array_api_strict": Accelerator(array_api_strict, FARTHER),
} | ({"torch": accelerator_of("torch")} if find_spec("torch") else {})
every = pytest.mark.parametrize("name", ACCELERATORS)


def faulty(**functions: Callable[..., Any]) -> ModuleType:
    """numpy with some functions replaced."""
    xp = ModuleType("faulty")
    vars(xp).update({**vars(array_api_compat.numpy), "__name__": "faulty"} | functions)
    return xp


def same(wanted: Any, name: str, x: np.ndarray, accumulators: int = COLUMNS) -> int:
    """Assert that sums and codes at a rail are the same; how many of those there are."""
    names = EPOCHS[: len(x)], INDEX[: len(x)]
    known, railed = wanted.sums(Drives.of(x), *names, accumulators)
    found = replace(wanted, accelerator=ACCELERATORS[name]).sums(Drives.of(x), *names, accumulators)
    assert found[0].dtype == np.int64
    assert (found[0].tolist(), found[1]) == (known.tolist(), railed)
    return railed


@every
@settings(max_examples=100, deadline=None)
@given(
    instr=products,
    scheme=st.sampled_from(Scheme),
    card=cards,
    noise=st.booleans(),
    tia_range=st.integers(0, 1),
    accumulators=st.integers(1, COLUMNS),
    seed=st.integers(0, 1 << 16),
)
def test_the_same_integers(
    name: str, instr: Instruction, scheme: Scheme, card: Converters, noise: bool, tia_range: int,
    accumulators: int, seed: int,
) -> None:  # fmt: skip
    x = np.random.default_rng(seed).integers(-400, 400, (LANES, instr["rows"]))
    x[1] = 0
    wanted = made(instr, scheme, card=card, noise=noise, tia_range=tia_range)
    same(wanted, name, x, accumulators)


@every
def test_codes_at_a_rail_and_lanes_that_drive_nothing(name: str) -> None:
    instr = mvm(SOURCE, 8, planes=8)
    assert same(made(instr, tia_range=1), name, np.full((LANES, 8), 255)) >= 8 * LANES
    assert same(made(instr), name, np.zeros((LANES, 8), np.int64)) == 0
    assert same(made(instr), name, np.zeros((0, 8), np.int64)) == 0


@every
def test_blocks_change_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accelerator, "_VALUES", 200)
    x = np.random.default_rng(0).integers(-128, 128, (LANES, 8))
    same(made(mvm(SOURCE, 8, planes=8, signed=1)), name, x)


@every
@settings(max_examples=20, deadline=None)
@given(code=programs, seed=st.integers(0, 1 << 16))
def test_whole_programs(name: str, code: list[Instruction], seed: int) -> None:
    known = outcome(code, by_round=False, seed=seed)
    found = outcome(code, by_round=False, seed=seed, accelerator=ACCELERATORS[name])
    assert np.array_equal(found.act, known.act) and np.array_equal(found.acc, known.acc)
    assert (found.counted, found.refusal) == (known.counted, known.refusal)


@every
@pytest.mark.parametrize("bits", [1, 3])
def test_the_meter_counts_the_same(name: str, bits: int) -> None:
    driven = []
    x = np.random.default_rng(4).integers(-128, 128, (LANES, 8))
    for maker in (None, ACCELERATORS[name]):
        cells = MeteredArray(load("cspbbr3_ogb"), 2, 8, 8, 3)
        instr = mvm(SOURCE, 8, planes=8, signed=1)
        wanted = made(instr, cells=cells, card=replace(CARD, input_bits=bits))
        replace(wanted, accelerator=maker).sums(Drives.of(x), EPOCHS, INDEX, 4)
        driven.append(cells.driven)
    assert np.array_equal(*driven) and driven[0].any()


@every
def test_operands_are_kept_as_long_as_no_code_changes(name: str) -> None:
    cells, maker = array(), ACCELERATORS[name]
    x = np.full((LANES, 8), 3)
    wanted = made(mvm(SOURCE, 8), cells=cells)
    gc.collect()
    before = len(maker._kept)
    for _ in range(2):
        same(wanted, name, x)
        assert len(maker._kept) == before + 1
    old = wanted.sums(Drives.of(x), EPOCHS, INDEX, 4)[0]
    cells.set_codes(np.s_[0, 0, 0], 9000)
    same(wanted, name, x)
    assert not np.array_equal(wanted.sums(Drives.of(x), EPOCHS, INDEX, 4)[0], old)
    gc.collect()
    assert len(maker._kept) == before + 1


# -- where sums are not exact ------------------------------------------------------------


@every
def test_what_floats_do_not_hold_is_made_by_the_processor(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, x = made(mvm(SOURCE, 8, planes=8)), np.full((LANES, 8), 255)
    monkeypatch.setattr(Accelerator, "add", lambda *_: pytest.fail("made there"))
    with pytest.raises(pytest.fail.Exception):
        same(wanted, name, x)
    monkeypatch.setattr(codes, "_EXACT", 1 << 20)
    same(wanted, name, x)
    same(replace(wanted, readout=made(mvm(SOURCE), channels=_CHANNELS).readout), name, x)


_CHANNELS = Channels.drawn(COLUMNS, 4, scale=5.0)


def test_sums_and_roots_have_their_bounds() -> None:
    takes, scales = ACCELERATORS["numpy"].takes, Scales(1 << 15, 30, 12, -9, 9)
    column = np.ones((1, 1), np.int64)
    for total, variance, exact in (
        ((1 << 38) - 1, 0, True),
        (1 << 38, 0, False),
        (0, 1 << 46, True),
        (0, 1 << 47, False),  # the deviate has 15 bits
    ):
        assert takes(scales, Operands(column, column, total, variance)) == exact
    small = replace(scales, mantissa=1)
    assert takes(small, Operands(column, column, 0, (1 << 48) - 1))
    assert not takes(small, Operands(column, column, 0, 1 << 48))


@every
@pytest.mark.parametrize("towards", [0.0, np.inf])
def test_a_root_may_be_off_in_its_last_places(
    name: str, towards: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those of some GPUs are; also next to squares, up to the largest."""
    xp = ACCELERATORS[name].xp
    if name == "numpy":
        xp = faulty(sqrt=lambda v: np.nextafter(np.nextafter(np.sqrt(v), towards), towards))
    maker = Accelerator(xp, ACCELERATORS[name].device)
    root = np.concatenate([np.arange(1, 400), (1 << 24) - np.arange(1, 400)])
    variance = (root * root + np.array([[-1], [0], [1]])).reshape(1, -1)
    size = variance.size
    scales = Scales(1, 0, 12, -(1 << 50), 1 << 50)
    operands = Operands(np.zeros((1, size), np.int64), variance, 0, (1 << 48) - 1)
    places = np.arange(size)
    names = Names.of(5, places, np.zeros(1, np.int64), np.zeros(1, np.int64))
    sums, z = np.zeros((1, size), np.int64), draw_normal(5, Domain.INFERENCE, places, 0, 0)
    maker.add(np.ones((1, 1), np.int64), [Digit(0, 1, False, 0, 1)], operands, names, scales, sums)
    assert np.array_equal(sums, codes_of(0, variance, z, scales)[0])


# -- refusals ---------------------------------------------------------------------------


def _off_by_one(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a @ b + 1


def _rough(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Some 11 bits of each factor, as TensorFloat-32 has."""
    a, b = ((v.astype(np.float32).view(np.uint32) & 0xFFFFE000).view(np.float32) for v in (a, b))
    return (a @ b).astype(np.float64)


FAULTS: dict[str, Callable[..., Any]] = {
    "matmul": _off_by_one,
    "round": lambda v: np.floor(v + 0.5),
    "sqrt": lambda v: np.sqrt(v.astype(np.float32)).astype(np.float64),
    "take": lambda v, at, axis=0: np.take(v, np.maximum(at - 1, 0), axis=axis),
    "count_nonzero": lambda v: np.count_nonzero(v) + 1,
}


@pytest.mark.parametrize("fault", [*FAULTS, "rough"])
def test_other_integers_are_refused(fault: str) -> None:
    xp = faulty(matmul=_rough) if fault == "rough" else faulty(**{fault: FAULTS[fault]})
    with pytest.raises(EngineError, match="'faulty' calculates other integers than numpy"):
        Accelerator(xp)


@pytest.mark.parametrize("fault", ["matmul", "take", "count_nonzero"])
def test_a_planted_fault_is_seen_in_a_product(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Accelerator, "_agrees", lambda self: True)
    monkeypatch.setitem(ACCELERATORS, "faulty", Accelerator(faulty(**{fault: FAULTS[fault]})))
    wanted = made(mvm(SOURCE, 8, planes=8))
    x = np.random.default_rng(4).integers(0, 256, (LANES, 8))
    same(wanted, "numpy", x)
    with pytest.raises(AssertionError):
        same(wanted, "faulty", x)


@pytest.mark.parametrize(
    ("device", "says"),
    [
        ("no_float64", "'array_api_strict' has no float64, which exact sums need"),
        ("no_x64", "'array_api_strict' does not work: .* does not support"),
    ],
)
def test_devices_without_float64_are_refused(device: str, says: str) -> None:
    with pytest.raises(EngineError, match=says):
        Accelerator(array_api_strict, array_api_strict.Device(device))


def test_other_names_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("abacus", "numpy:0", "cupy:1", ""):
        with pytest.raises(EngineError, match=f"accelerator '{name}' is not known: numpy, cupy"):
            accelerator_of(name)
    monkeypatch.setitem(sys.modules, "array_api_compat.cupy", None)
    with pytest.raises(EngineError, match="accelerator 'cupy' cannot be imported: .*cupy"):
        accelerator_of("cupy")


@pytest.mark.skipif("torch" not in ACCELERATORS, reason="torch is not installed")
def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(EngineError, match="accelerator 'torch:abacus' does not work: "):
        accelerator_of("torch:abacus")
