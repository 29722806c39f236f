"""Networks for an emulated array."""

from __future__ import annotations

import pytest


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
    built = command("bitstream", tmp_path / "d.ohm")
    assert built.code == 2
    assert "is compiled for an emulated array" in built.sentence


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
