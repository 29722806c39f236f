"""What is mapped before synthesis is what it was."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from ohmloom.boards.build import prepare
from ohmloom.boards.catalogue import board
from ohmloom.boards.tools import ToolRunner

ICEBREAKER, ULX3S = board("icebreaker"), board("ulx3s-85f")
MAP = Path(str(ICEBREAKER.techmap))
WIDTHS = ((1, 1), (3, 7), (7, 3), (5, 5), (5, 30))


def module(*expressions: str) -> str:
    """A module of words of every width, ``uN`` and ``sN``, with an output for each expression."""
    widths = sorted({width for pair in WIDTHS for width in pair})
    ports = [f"input [{w - 1}:0] u{w}, input signed [{w - 1}:0] s{w}" for w in widths]
    ports += [f"output [4:0] y{n}" for n in range(len(expressions))]
    lines = [f"assign y{n} = {each};" for n, each in enumerate(expressions)]
    return f"module top({', '.join(ports)}); {' '.join(lines)} endmodule\n"


COMPARED = [
    f"{a}{wide} {op} {b}{short}"
    for (wide, short), a, b, op in product(WIDTHS, "us", "us", ("<", "<=", ">", ">="))
]
COUNTED = ["u5 + 5'd1", "u5 - 5'd1", "5'd9 - u5", "s5 + 5'sd3", "u3 + 6'd33", "s3 - 2'sd1"]


def run(folder: Path, text: str, *checks: str) -> int:
    (folder / "top.v").write_text(text)
    (folder / MAP.name).write_text(MAP.read_text())
    script = [
        "read_verilog top.v",
        "hierarchy -top top",
        "proc",
        f"equiv_opt -assert techmap -map {MAP.name}",
        "design -load postopt",
        *checks,
    ]
    (folder / "check.ys").write_text("\n".join(script) + "\n")
    return ToolRunner().run(["yosys", "-q", "check.ys"], folder, folder / "log")


@pytest.mark.parametrize(
    ("expressions", "gone"),
    [(COMPARED, "t:$lt t:$le t:$gt t:$ge"), (COUNTED, "t:$add t:$sub")],
    ids=["compared", "counted"],
)
def test_short_words_are_tables_and_mean_the_same(
    tmp_path: Path, expressions: list[str], gone: str
) -> None:
    assert run(tmp_path, module(*expressions), f"select -assert-none {gone}") == 0


def test_long_words_and_sums_of_two_stay(tmp_path: Path) -> None:
    text = module("u30 < s30", "u7 + 7'd1", "u5 + u3")
    checks = ("select -assert-count 1 t:$lt", "select -assert-count 2 t:$add")
    assert run(tmp_path, text, *checks) == 0


def test_only_the_board_that_wants_it_has_it() -> None:
    with_map = prepare(ICEBREAKER.controller(ICEBREAKER.standard), ICEBREAKER)
    assert with_map.files["ice40.map"] == MAP.read_text()
    script = str(with_map.files["top.ys"]).splitlines()
    synthesis = script.index(f"synth_ice40 {ICEBREAKER.synth_opts} -top top")
    assert script.index("techmap -map ice40.map") < synthesis
    without = prepare(ULX3S.controller(ULX3S.standard), ULX3S)
    assert "techmap" not in str(without.files["top.ys"])
