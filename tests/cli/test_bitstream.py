from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


def test_unknown_board(command: Any, bundle: Path) -> None:
    result = command("bitstream", bundle, "--board", "breadboard", "--json")
    assert (result.code, result.out) == (2, "")
    assert "unknown board 'breadboard', known are: " in result.sentence


def test_geometry_that_does_not_fit(command: Any, digits: Path, tmp_path: Path) -> None:
    path = tmp_path / "wide.ohm"
    compiled = command(
        *("compile", digits / "digits.onnx", "--device", "ideal", "--columns", 64),
        *("--calib", digits / "calib_x.npy", "-o", path),
    )
    assert compiled.code == 0, compiled.err
    result = command("bitstream", path)
    assert result.code == 2
    assert "ulx3s-85f holds columns up to 32, the bundle needs 64" in result.sentence


def test_several_boards_in_one_command(
    command: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    built: list[tuple[str, tuple[str, ...]]] = []

    class Report:
        def __init__(self, name: str) -> None:
            self.name = name

        def as_dict(self) -> dict[str, object]:
            return {"board": self.name}

    def fake(geometry: Any, board: Any, folder: Path, *, afe: Any, progress: Any) -> Report:
        assert folder == tmp_path and geometry == board.standard and afe is None
        built.append((board.name, geometry.left_out))
        return Report(board.name)

    monkeypatch.setattr("ohmloom.cli.steps.building.build_controller", fake)
    boards = ("--board", "ulx3s_85f", "--board", "icebreaker")
    data = command("bitstream", *boards, "--out", tmp_path, "--json").data
    assert list(data["bitstreams"]) == ["ulx3s-85f", "icebreaker"]
    assert "verify" not in built[0][1] and "verify" in built[1][1]
    # An unknown name is seen before anything is built.
    assert command("bitstream", "--board", "icebreaker", "--board", "breadboard").code == 2
    assert len(built) == 2


def test_a_bundle_that_needs_the_host_says_so(
    command: Any, monkeypatch: pytest.MonkeyPatch, softmax: Path, digits: Path, tmp_path: Path
) -> None:
    class Report:
        def as_dict(self) -> dict[str, object]:
            return {"board": "ulx3s-85f"}

    def fake(*arguments: Any, **more: Any) -> Report:
        return Report()

    monkeypatch.setattr("ohmloom.cli.steps.building.build_controller", fake)
    path = tmp_path / "softmax.ohm"
    calib = digits / "calib_x.npy"
    made = command("compile", softmax, "--device", "ideal", "--calib", calib, "-o", path)
    assert made.code == 0, made.err
    told = command("bitstream", path, "--json").data["host"]
    assert told == (
        "an inference needs the host, which runs host/0, host/1 between the runs of the board"
    )


def test_a_front_end_that_the_board_has_not(command: Any) -> None:
    result = command("bitstream", "--board", "icebreaker", "--afe", "pmod")
    assert result.code == 2
    assert "board icebreaker has no front end 'pmod', it has: array_card" in result.sentence


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--afe", "pmod"), "for the front end array_card of board ulx3s-85f, not for pmod"),
        (("--afe", "emulated"), "for the front end array_card of board ulx3s-85f, not for emul"),
        (
            ("--board", "orangecrab-25f"),
            "for the front end array_card, board orangecrab-25f has: emulated, pmod",
        ),
    ],
)
def test_a_bundle_for_another_front_end(
    command: Any, bundle: Path, tmp_path: Path, options: tuple[str, ...], sentence: str
) -> None:
    for plan in ((), ("--plan", tmp_path / "plan")):
        refused = command("bitstream", bundle, *options, *plan)
        assert refused.code == 2 and f"the bundle is compiled {sentence}" in refused.sentence
    assert not (bundle / "bitstream").exists() and not (tmp_path / "plan").exists()


def test_plan_is_written_and_nothing_is_built(command: Any, tmp_path: Path) -> None:
    plan = tmp_path / "plan"
    asked = ("bitstream", "--board", "ulx3s-85f", "--afe", "pmod", "--plan", plan)
    data = command(*asked, "--json").data
    script = Path(data["script"])
    assert script.parent == plan and "nextpnr-ecp5" in script.read_text()
    assert "PmodCard" not in data and (plan / "top.il").stat().st_size > 100_000
    assert "top.lpf" in {path.name for path in plan.iterdir()}
    again = command(*asked)
    assert again.code == 2 and "is not empty" in again.sentence


def test_a_board_of_the_users_own(command: Any, tmp_path: Path) -> None:
    path = tmp_path / "my_board.py"
    path.write_text(
        "from dataclasses import replace\n"
        "from ohmloom.boards.catalogue import board\n"
        "BOARDS = (replace(board('ulx3s-85f'), name='mine', seed=7),)\n"
    )
    plan = tmp_path / "plan"
    data = command("bitstream", "--board", path, "--plan", plan, "--json").data
    assert data["board"] == "mine"
    assert "--seed 7" in Path(data["script"]).read_text()
    path.with_name("none.py").write_text("BOARDS = ()\n")
    refused = command("bitstream", "--board", path.with_name("none.py"))
    assert refused.code == 2 and "BOARDS is empty" in refused.sentence


@pytest.mark.slow
def test_whole_controller(command: Any, bundle: Path) -> None:
    data = command("bitstream", bundle, "--board", "ulx3s-85f", "--json").data
    assert Path(data["bitstream"]) == bundle / "bitstream" / "ulx3s-85f.bit"
    assert Path(data["bitstream"]).stat().st_size > 100_000
    assert data["fmax_mhz"] >= data["required_mhz"] == pytest.approx(48, rel=1e-3)
    again = command("bitstream", bundle, "--json").data
    assert again == {**data, "cached": True}
    assert command("run", bundle, "--input", bundle / "golden.npz").code == 2
