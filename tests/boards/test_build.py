from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ohmloom.boards.blocks import Cells
from ohmloom.boards.build import BuildError, build_bitstream, plan_key, prepare
from ohmloom.boards.catalogue import board
from ohmloom.boards.report import ReportError

ULX3S = board("ulx3s-85f")


@pytest.fixture
def build(tmp_path: Path, small_top: Any) -> Any:
    def run(tools: Any, start: int = 1, out: str = "out", stages: list[str] | None = None) -> Any:
        return build_bitstream(
            small_top(start),
            ULX3S,
            tmp_path / out,
            runner=tools,
            cache=tmp_path / "cache",
            progress=(stages if stages is not None else []).append,
        )

    return run


def test_second_build_comes_from_the_cache(build: Any, fake_tools: Any) -> None:
    tools, stages = fake_tools(), []
    first = build(tools, stages=stages)
    assert tools.ran == ["yosys", "nextpnr-ecp5", "ecppack"]
    assert stages == ["elaboration", "synthesis", "place and route", "packing"]
    assert not first.cached
    second = build(tools, out="elsewhere")
    assert second.cached and len(tools.ran) == 3
    assert second.path.read_bytes() == first.path.read_bytes() == b"bits"
    assert second.place == first.place


def test_another_design_or_tool_is_built_anew(build: Any, fake_tools: Any) -> None:
    tools = fake_tools()
    build(tools)
    assert not build(tools, start=2).cached
    tools.version = "2"
    assert not build(tools).cached


def test_report_beside_the_bitstream(build: Any, fake_tools: Any) -> None:
    report = build(fake_tools())
    written = json.loads((report.path.parent / "report.json").read_text())
    assert written == report.as_dict()
    assert written["fmax_mhz"] == report.fmax_mhz > report.required_mhz


def test_the_report_says_what_each_block_takes_and_what_is_left_out(
    small_top: Any, fake_tools: Any, tmp_path: Path
) -> None:
    for cached in (False, True):
        report = build_bitstream(
            small_top(),
            ULX3S,
            tmp_path / "out",
            left_out=("pool", "lut"),
            runner=fake_tools(),
            cache=tmp_path / "cache",
        )
        assert report.cached is cached
        assert report.as_dict()["left_out"] == ["pool", "lut"]
        assert report.blocks == {
            "controller": Cells(luts=3, flip_flops=1),
            "board": Cells(luts=1),
            "memory": Cells(luts=1, block_rams=1),
        }
    written = json.loads((tmp_path / "out" / "ulx3s-85f.json").read_text())
    assert written["blocks"]["memory"]["block_rams"] == 1


def test_a_controller_that_synthesis_removes_is_no_bitstream(build: Any, fake_tools: Any) -> None:
    tools = fake_tools()
    tools.netlist = {"modules": {"top": {"cells": {"sync_LUT4_Z": {"type": "LUT4"}}}}}
    with pytest.raises(BuildError, match="nothing of the controller"):
        build(tools)


def test_key_does_not_depend_on_the_run(small_top: Any) -> None:
    versions = {"yosys": "1"}
    first, second = (prepare(small_top(), ULX3S) for _ in range(2))
    assert plan_key(first, versions) == plan_key(second, versions)
    first.files["top.il"] += "\n"
    assert plan_key(first, versions) != plan_key(second, versions)


@pytest.mark.parametrize("again", [False, True])
def test_too_slow_is_an_error_with_slack_and_path(
    build: Any, fake_tools: Any, tmp_path: Path, again: bool
) -> None:
    raw = json.loads(fake_tools().report)
    (name,) = raw["fmax"]
    raw["fmax"][name] = {"achieved": 40.0, "constraint": 48.0}
    tools = fake_tools(report=json.dumps(raw))
    for _ in range(1 + again):
        with pytest.raises(
            BuildError, match=r"40.00 MHz, 48.00 MHz is needed \(slack -4.17 ns\)"
        ) as said:
            build(tools)
        assert "the slowest path is from top.c to top.c, 0.53 ns of logic" in str(said.value)
    assert len(tools.ran) == 3
    written = json.loads((tmp_path / "out" / "report.json").read_text())
    assert written["bitstream"] is None and written["fmax_mhz"] == 40.0
    assert written["critical_path"]["steps"] == [
        {"kind": "clk-to-q", "ns": pytest.approx(0.525), "to": "top.c_TRELLIS_FF_Q_5.Q"}
    ]


def test_failed_tool_names_its_error_and_leaves_its_log(
    build: Any, fake_tools: Any, tmp_path: Path
) -> None:
    with pytest.raises(BuildError, match="place and route failed .*: ERROR: no room left") as said:
        build(fake_tools(fails="nextpnr-ecp5"))
    assert "synthesis has made 5 tables and 1 flip-flops" in str(said.value)
    counts = json.loads((tmp_path / "out" / "blocks.json").read_text())
    assert counts["memory"]["block_rams"] == 1
    assert "no room left" in (tmp_path / "out" / "nextpnr-ecp5.log").read_text()
    assert list((tmp_path / "cache").iterdir()) == []
    assert not build(fake_tools()).cached


def test_a_placement_that_cannot_be_routed_is_followed_by_another(
    build: Any, fake_tools: Any
) -> None:
    tools = fake_tools()
    tools.unrouted = ("1", "2")
    assert build(tools).path is not None
    assert tools.ran == ["yosys", *["nextpnr-ecp5"] * 3, "ecppack"]
    tools.unrouted = ("1", "2", "3", "4")
    with pytest.raises(BuildError, match="place and route failed .*Routing design failed"):
        build(tools, start=3)
    assert tools.ran[-4:] == ["nextpnr-ecp5"] * 4


def test_more_cells_than_the_fpga_has_are_refused_before_they_are_placed(
    build: Any, fake_tools: Any, tmp_path: Path
) -> None:
    tools = fake_tools()
    cells = {f"top.memory.{number}": {"type": "DP16KD"} for number in range(209)}
    tools.netlist = {"modules": {"top": {"cells": cells}}}
    with pytest.raises(BuildError, match="has 208 block RAMs, synthesis has made 209, by block in"):
        build(tools)
    assert tools.ran == ["yosys"]
    counts = json.loads((tmp_path / "out" / "blocks.json").read_text())
    assert counts["memory"]["block_rams"] == 209


def test_what_a_board_does_to_its_bitstream(
    small_top: Any, fake_tools: Any, tmp_path: Path
) -> None:
    board = replace(ULX3S, finish=lambda raw: raw + b"!")
    report = build_bitstream(
        small_top(), board, tmp_path / "out", runner=fake_tools(), cache=tmp_path / "cache"
    )
    assert report.path is not None and report.path.read_bytes() == b"bits!"


def test_broken_report_is_refused(build: Any, fake_tools: Any, tmp_path: Path) -> None:
    with pytest.raises(ReportError):
        build(fake_tools(report="{}"))
    assert not (tmp_path / "out" / "ulx3s-85f.bit").exists()


def test_real_tools(small_top: Any, tmp_path: Path) -> None:
    report = build_bitstream(small_top(), ULX3S, tmp_path / "out", cache=tmp_path / "cache")
    assert report.path is not None
    assert report.path.stat().st_size > 10_000
    assert report.fmax_mhz > report.required_mhz == pytest.approx(48, rel=1e-3)
    used = {name: cell.used for name, cell in report.place.utilisation.items()}
    assert used["EHXPLLL"] == 2 and used["DP16KD"] == 1 and used["TRELLIS_FF"] >= 24
