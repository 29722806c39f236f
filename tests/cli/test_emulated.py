"""Networks for an emulated array."""

from __future__ import annotations

import pytest

from ohmloom.boards.catalogue import board as find_board
from ohmloom.boards.emulated import with_tables
from ohmloom.compiler.bundle import load_bundle
from ohmloom.hw.afe.emulated import Emulated
from ohmloom.hw.afe.kinds import FrontEndKind


def compiled(command, digits, tmp_path, *options):
    return command(
        *("compile", digits / "digits.onnx", "--device", "cspbbr3_ogb", "--afe", "emulated"),
        *("--calib", digits / "calib_x.npy", "-o", tmp_path / "d.ohm", "--json"),
        *options,
    )


def test_a_network_is_compiled_for_an_array_in_the_fpga(command, digits, tmp_path):
    result = compiled(command, digits, tmp_path)
    assert result.code == 0, result.err
    assert result.data["device"] == "emulated_cspbbr3_ogb"
    assert result.data["estimated_writing"]["not_converged"] == 0
    assert result.data["estimated_inference_mj"] is None
    ran = command("run", tmp_path / "d.ohm", "--input", digits / "test_x.npy", "--json")
    assert ran.code == 0, ran.err
    bundle = load_bundle(tmp_path / "d.ohm")
    assert bundle.options.afe is FrontEndKind.EMULATED
    assert (bundle.image.geometry.rows, bundle.image.geometry.columns) == (112, 20)
    planned = command("bitstream", tmp_path / "d.ohm", "--plan", tmp_path / "plan", "--json")
    assert planned.code == 0, planned.err
    # What is built has the bundle's own cells, whose tables the name tells.
    board = with_tables(find_board("ulx3s-85f"), bundle.tables)
    front_end = board.controller(bundle.image.geometry, "emulated").afe
    assert isinstance(front_end, Emulated)
    assert front_end.name.endswith(bundle.tables.digest)


def test_a_board_without_one_is_refused(command, digits, tmp_path):
    result = compiled(command, digits, tmp_path, "--target", "icebreaker")
    assert result.code == 2
    assert "has no front end 'emulated'" in result.sentence


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--wire-ohms", "1"), "lines with resistance"),
        (("--adc-bits", "12"), "an emulated array has 16"),
        (("--device", "bion"), "bion cannot be emulated"),
    ],
)
def test_what_an_emulated_array_has_not_is_refused(command, digits, tmp_path, options, told):
    result = compiled(command, digits, tmp_path, *options)
    assert result.code == 2
    assert told in result.sentence
