"""The gates of a board's controller: made once, by the bitstream's script, for an iCE40 alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from ohmloom.boards.board import BoardError
from ohmloom.boards.build import BuildError, prepare
from ohmloom.boards.catalogue import board
from ohmloom.boards.netlist import modelled, netlist

ICEBREAKER = board("icebreaker")
SMALL = replace(ICEBREAKER.standard, rows=8, columns=8, tiles=2)


class Yosys:
    """Keeps the scripts, and leaves what they are to make."""

    def __init__(self, code: int = 0) -> None:
        self.code = code
        self.scripts: list[str] = []

    def versions(self, names: Sequence[str]) -> dict[str, str]:
        return dict.fromkeys(names, "a version")

    def run(self, command: Sequence[str], folder: Path, log: Path) -> int:
        script = (folder / command[-1]).read_text()
        self.scripts.append(script)
        product = script.split()[-1]
        (folder / product).write_text(f"made {product}")
        log.write_text("ERROR: a reason\n")
        return self.code


def test_it_is_made_once_with_what_the_bitstream_is_made_with(tmp_path: Path) -> None:
    yosys = Yosys()
    for _ in range(2):
        found = netlist(ICEBREAKER, SMALL, runner=yosys, cache=tmp_path)
        assert (found.verilog, found.rtlil) == ("made controller.v", "made model.il")
    synthesis, models = (script.splitlines() for script in yosys.scripts)
    plan = prepare(ICEBREAKER.controller(SMALL), ICEBREAKER)
    bitstream = str(plan.files["top.ys"]).splitlines()
    first = next(n for n, line in enumerate(bitstream) if line.startswith("setparam"))
    last = next(n for n, line in enumerate(bitstream) if line.startswith("synth_ice40"))
    wanted = [line.replace("-top top", "-top controller") for line in bitstream[first : last + 1]]
    assert synthesis[1:-1] == wanted
    assert models[1] == "read_verilog +/ice40/cells_sim.v"


def test_another_netlist_has_models_of_its_own(tmp_path: Path) -> None:
    yosys = Yosys()
    for text in ("one", "two", "one"):
        assert modelled(text, runner=yosys, cache=tmp_path).verilog == text
    assert len(yosys.scripts) == 2


def test_boards_whose_cells_have_no_models_are_refused(tmp_path: Path) -> None:
    ulx3s = board("ulx3s-85f")
    with pytest.raises(BoardError, match="of board ulx3s-85f Yosys has block RAMs and multipliers"):
        netlist(ulx3s, ulx3s.standard, runner=Yosys(), cache=tmp_path)


def test_a_synthesis_that_fails_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="synthesis failed with exit code 1: ERROR: a reason"):
        netlist(ICEBREAKER, SMALL, runner=Yosys(1), cache=tmp_path)
    assert not list(tmp_path.iterdir())
