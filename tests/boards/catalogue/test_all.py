# Amaranth makes the members of a component at run time.
# pyright: reportAttributeAccessIssue=false
"""What every board of the catalogue has to keep."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from amaranth import Cat, Module, Signal
from amaranth.build.run import BuildPlan
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ohmloom.boards.board import Board
from ohmloom.boards.build import build_controller, plan_commands, prepare
from ohmloom.boards.catalogue import boards

CASES = [(board, afe) for board in boards().values() for afe in board.afes]
SITES = {
    "lpf": r'LOCATE COMP "([^"]+)" SITE "([^"]+)"',
    "pcf": r"set_io (\S+) (\S+)",
    "cst": r'IO_LOC "([^"]+)" (\w+)',
    "xdc": r'LOC (\w+) \[get_ports "([^"]+)"\]',
}
CLOCKS = {
    "lpf": r'FREQUENCY (?:NET|PORT) "\S+" ([\d.]+) HZ',
    "pcf": r"set_frequency \S+ ([\d.]+)",
    "xdc": r"create_clock -name \S+ -period ([\d.]+) ",
}


class Shell(wiring.Component):
    """What a board sees of a controller: link and card, each output from an input."""

    def __init__(self, pins: wiring.Signature) -> None:
        super().__init__({"rx": In(1), "tx": Out(1), "pins": Out(pins)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        ports: Any = self
        kept = Signal()
        m.d.sync += kept.eq(ports.rx)
        m.d.comb += ports.tx.eq(kept)
        for _, member, value in ports.pins.signature.flatten(ports.pins):
            if member.flow is Out:
                m.d.sync += value.eq(Cat(ports.rx, value))
            else:
                m.d.sync += kept.eq(kept ^ value.any())
        return m


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"{case[0].name}-{case[1]}")
def planned(request: pytest.FixtureRequest) -> tuple[Board, str, BuildPlan]:
    board, afe = request.param
    pins = board.controller(board.afe(afe).standard, afe).pins.signature
    return board, afe, prepare(Shell(pins), board, afe)


def constraints(plan: BuildPlan) -> tuple[str, str]:
    """The kind of the constraints' file, and its text."""
    (kind,) = (kind for kind in SITES if f"top.{kind}" in plan.files)
    return kind, str(plan.files[f"top.{kind}"])


def test_it_is_planned_with_its_tools(planned: Any) -> None:
    board, _, plan = planned
    assert tuple(command[0] for command in plan_commands(plan)) == board.toolchain


def test_pins_are_distinct(planned: Any) -> None:
    board, afe, plan = planned
    kind, text = constraints(plan)
    sites = dict(re.findall(SITES[kind], text))
    assert len(set(sites.values())) == len(sites)
    header = board.afe(afe).header
    ports = sites.values() if kind == "xdc" else sites.keys()
    card = [port for port in ports if port.startswith("card")]
    assert (len(card) == 0) if header is None else (16 <= len(card) <= len(header.positions))


def test_the_clock_is_exact(planned: Any) -> None:
    board, _, plan = planned
    kind, text = constraints(plan)
    if kind == "cst":
        assert f"--freq {board.clk_hz / 1e6} " in str(plan.files["build_top.sh"])
        return
    found = [float(number) for number in re.findall(CLOCKS[kind], text)]
    wanted = {"lpf": float(board.clk_hz), "pcf": board.clk_hz / 1e6, "xdc": 1e9 / board.clk_hz}
    assert wanted[kind] in found


@pytest.mark.slow
@pytest.mark.parametrize(
    "board", [board for board in boards().values() if not board.plan_only], ids=lambda b: b.name
)
def test_the_standard_controller_is_built_and_meets_its_clock(board: Board, tmp_path: Path) -> None:
    report = build_controller(board.standard, board, tmp_path)
    assert report.path is not None and report.path.stat().st_size > 50_000
    assert report.fmax_mhz >= report.required_mhz
