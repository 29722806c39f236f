from __future__ import annotations

import json
from pathlib import Path

import pytest

from ohmloom.boards.blocks import Cells, NetlistError, block_names, count_blocks


def netlist(path: Path, cells: dict[str, str]) -> Path:
    document = {"modules": {"top": {"cells": {name: {"type": t} for name, t in cells.items()}}}}
    path.write_text(json.dumps(document))
    return path


def test_blocks_are_the_modules_right_inside_the_controller() -> None:
    rtlil = "\n".join(
        f"module \\top{path}\n  memory width 8 size 16 \\held_by{path[-5:]}\nend"
        for path in ("", ".top", ".top.guard", ".top.link$9", ".top.link$9.uart_rx", ".pll0")
    )
    assert block_names(rtlil.replace("held_by.top", "cells")) == ("cells", "guard", "link")


def test_cells_count_for_the_block_whose_signal_they_make(tmp_path: Path) -> None:
    cells = {
        "top.guard.credit_SB_DFFESR_Q": "SB_DFFESR",
        "top.guard.credit_SB_DFFESR_Q_D_SB_LUT4_O": "SB_LUT4",
        "top.link.uart_rx.count_SB_LUT4_O": "SB_LUT4",
        "top.link.memory.0.0": "SB_RAM40_4K",
        "top.link_SB_LUT4_O": "SB_LUT4",
        "rx.buf_SB_LUT4_O": "SB_LUT4",
        "top.guard.power_SB_MAC16_O": "SB_MAC16",
        "top.guard.sum_SB_CARRY_CO": "SB_CARRY",
    }
    found = count_blocks(netlist(tmp_path / "top.json", cells), "top", ("guard", "link"))
    assert found == {
        "board": Cells(luts=1),
        "controller": Cells(luts=1),
        "guard": Cells(luts=1, flip_flops=1, multipliers=1),
        "link": Cells(luts=1, block_rams=1),
    }
    # Nothing is lost and nothing counted twice.
    assert sum(cells.luts for cells in found.values()) == 4


def test_a_carry_of_two_bits_is_two_tables_and_a_memory_in_tables_four(tmp_path: Path) -> None:
    cells = {"top.a.x": "CCU2C", "top.a.y": "TRELLIS_DPR16X4", "top.b.z": "LUT4"}
    found = count_blocks(netlist(tmp_path / "top.json", cells), "top", ("a", "b"))
    assert list(found.items()) == [("a", Cells(luts=6)), ("b", Cells(luts=1))]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is not a netlist"),
        ("{}", "is not a netlist: modules"),
        ('{"modules": {"other": {"cells": {}}}}', "has no module top"),
    ],
)
def test_what_is_no_netlist_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "top.json"
    path.write_text(text)
    with pytest.raises(NetlistError, match=complaint):
        count_blocks(path, "top", ())
    with pytest.raises(NetlistError, match="no netlist"):
        count_blocks(tmp_path / "none.json", "top", ())


def test_cells_of_a_gowin(tmp_path: Path) -> None:
    cells = {
        "top.guard.credit_DFFRE_Q": "DFFRE",
        "top.guard.credit_DFFRE_Q_D_LUT3_F": "LUT3",
        "top.guard.sum_ALU_SUM": "ALU",
        "top.guard.sum_MUX2_LUT5_O": "MUX2_LUT5",
        "top.link.memory.0.0": "SPX9",
        "top.link.queue.0.0": "RAM16SDP4",
        "top.link.power_MULT18X18_DOUT": "MULT18X18",
        "gnd": "GND",
    }
    found = count_blocks(netlist(tmp_path / "top.json", cells), "top", ("guard", "link"))
    assert found == {
        "guard": Cells(luts=2, flip_flops=1),
        "link": Cells(luts=4, block_rams=1, multipliers=1),
    }
