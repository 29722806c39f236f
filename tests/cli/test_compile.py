from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ohmloom.compiler.bundle import load_bundle
from ohmloom.compiler.runner import build_engine
from ohmloom.hw.afe.array_card import front_end_cycles
from ohmloom.hw.cycles import inference
from ohmloom.hw.geometry import Geometry


def test_figures_are_those_of_the_bundle(command: Any, digits: Path, tmp_path: Path) -> None:
    out = tmp_path / "d.ohm"
    data = command(
        *("compile", digits / "digits.onnx", "--device", "ideal:16", "--json"),
        *("--calib", digits / "calib_x.npy", "-o", out),
        *("--rows", 16, "--columns", 16, "--act-bits", 6, "--seed", 5),
    ).data
    compiled = load_bundle(out)
    assert data["tiles"] == compiled.image.tiles == 4 * 6 + 3 * 2
    assert data["instructions"] == len(compiled.image.code)
    assert (compiled.image.geometry.rows, compiled.image.geometry.columns) == (16, 16)
    assert (compiled.options.act_bits, compiled.options.seed) == (6, 5)
    told = inference(compiled.image, front_end_cycles(compiled.image.geometry, 48_000_000))
    assert data["predicted_cycles"] == told.first.cycles
    assert data["predicted_cycles_later"] == told.later.cycles
    assert data["predicted_ms_later"] == 1e3 * (told.later.cycles / 48e6)
    assert data["device"] == compiled.device.name == "ideal:16"
    assert Path(data["report"]).is_file()
    report = json.loads((out / "report.json").read_text())
    assert data["estimated_inference_mj"] == 1e3 * report["energy"]["joules"] > 0
    writing = report["programming"]["total"]
    assert data["estimated_writing"]["seconds"] == writing["seconds"] > 1
    assert data["estimated_writing"]["pulses_per_cell"] == 2  # ideal cells: one try
    assert data["layers"][0].endswith("values, tiles 0-23: MVM, REQUANT")


@pytest.fixture
def compile_with(command: Any, digits: Path, tmp_path: Path) -> Any:
    def run(model: Path | None = None, calib: Path | None = None, *more: object) -> Any:
        return command(
            *("compile", model or digits / "digits.onnx", "--device", "ideal"),
            *("--calib", calib or digits / "calib_x.npy", "-o", tmp_path / "d.ohm", *more),
        )

    return run


def test_bad_input_is_one_sentence(compile_with: Any, digits: Path, tmp_path: Path) -> None:
    broken, wrong = tmp_path / "broken.onnx", tmp_path / "wrong.npy"
    broken.write_bytes((digits / "digits.onnx").read_bytes()[:3000])
    np.save(wrong, np.zeros((4, 9), np.float32))
    cases = {
        "broken.onnx": compile_with(model=broken),
        "missing.onnx": compile_with(model=tmp_path / "missing.onnx"),
        "missing.npy": compile_with(calib=tmp_path / "missing.npy"),
        "digits.onnx is not a NumPy array": compile_with(calib=digits / "digits.onnx"),
        "(4, 9)": compile_with(calib=wrong),
        "rows = 12 is not a multiple of 8": compile_with(None, None, "--rows", 12),
        "'unobtainium' is not a device": compile_with(None, None, "--device", "unobtainium"),
    }
    for words, result in cases.items():
        assert result.code == 2 and result.out == ""
        assert words in result.sentence
    assert not (tmp_path / "d.ohm").exists()


def test_unsupported_operators_are_named(compile_with: Any, softmax: Path) -> None:
    result = compile_with(softmax, None, "--no-host")
    assert result.code == 2
    assert "2 unsupported operators: Softmax" in result.sentence and "'last'" in result.sentence


def test_what_runs_on_the_host_is_told(
    compile_with: Any, command: Any, softmax: Path, digits: Path, tmp_path: Path
) -> None:
    data = compile_with(softmax, None, "--json").data
    first, last = data["host"]
    assert first.startswith("host/0: Softmax") and "(no lowering); 48 words in, 48 out" in first
    assert "Softmax 'last' (no lowering); 10 words in, 0 out" in last
    assert "ms on the link (estimated)" in last
    out = tmp_path / "p.npy"
    told = command(
        *("run", data["bundle"], "--input", digits / "test_x.npy", "--output", out, "--json")
    )
    assert told.data["conversions"] > 0
    np.testing.assert_allclose(np.load(out).sum(axis=1), 1, rtol=1e-5)


def test_knobs_for_an_accuracy(command: Any, digits: Path, tmp_path: Path) -> None:
    out = tmp_path / "d.ohm"
    data = command(
        *("compile", digits / "digits.onnx", "--device", "vb3", "--json"),
        *("--calib", digits / "calib_x.npy", "-o", out, "--target-drop", 0.05),
    ).data
    compiled = load_bundle(out)
    assert compiled.options.slices > 1 and compiled.converters.adc_bits <= 12
    assert len(data["tried"]) > compiled.options.slices
    assert all("loses" in trial for trial in data["tried"])
    assert f"{compiled.options.slices} slices" in data["tried"][compiled.options.slices - 1]
    trials = json.loads((out / "report.json").read_text())["search"]["trials"]
    (chosen,) = (trial for trial in trials if trial["chosen"])
    assert len(trials) == len(data["tried"]) and chosen["slices"] == compiled.options.slices
    assert chosen["adc_bits"] == compiled.converters.adc_bits


def test_an_accuracy_that_no_knob_keeps(compile_with: Any) -> None:
    result = compile_with(
        None, None, "--target", "icebreaker", "--rows", 8, "--columns", 8, "--target-drop", 0.01
    )
    assert result.code == 2 and "no setting for ideal fits the target" in result.sentence


def test_converters_that_are_simulated_alone(compile_with: Any, tmp_path: Path) -> None:
    given = ("--input-bits", 4, "--sensing", "differential")
    result = compile_with(None, None, *given)
    assert result.code == 2 and "which the array card does not do" in result.sentence
    assert compile_with(None, None, *given, "--target", "simulated", "--rows", 64).code == 0
    compiled = load_bundle(tmp_path / "d.ohm")
    assert (compiled.converters.input_bits, compiled.converters.sensing) == (4, "differential")
    report = json.loads((tmp_path / "d.ohm" / "report.json").read_text())
    assert report["cycles"] is None and report["converters"]["input_bits"] == 4
    drives = np.zeros((1, compiled.image.input.count), np.int64)
    made = build_engine(compiled, program=False).infer(drives).conversions
    assert report["totals"]["conversions"] == made > 0
    result = compile_with(None, None, "--input-bits", 9)
    assert result.code == 2


def test_slices_adc_bits_and_one_shot(compile_with: Any, tmp_path: Path) -> None:
    more = ("--slices", 2, "--pack", 3, "--adc-bits", 10, "--one-shot", "--target", "simulated")
    assert compile_with(None, None, *more).code == 0
    compiled = load_bundle(tmp_path / "d.ohm")
    assert (compiled.options.slices, compiled.converters.adc_bits) == (2, 10)
    assert not compiled.options.verify and compiled.options.pack == 3
    assert {p.slice for p in compiled.placements} == {0, 1}
    # No more memory than the standard controller has: the network needs no more.
    assert compiled.image.geometry.act_depth == Geometry().act_depth


def test_stuck_cells(command: Any, compile_with: Any, digits: Path, tmp_path: Path) -> None:
    faults, bundle = tmp_path / "faults.npy", tmp_path / "d.ohm"
    rng = np.random.default_rng(0)
    stuck = np.where(rng.random((8, 32, 32)) < 0.1, 3.5e-4, np.nan)
    np.save(faults, stuck)
    run = (
        *("run", bundle, "--input", digits / "test_x.npy", "--labels", digits / "test_y.npy"),
        *("--faults", faults, "--json"),
    )
    assert compile_with().code == 0
    blind = command(*run).data["accuracy"]
    assert compile_with(None, None, "--faults", faults).code == 0
    aware = command(*run).data["accuracy"]
    assert aware > blind + 0.1
    assert any(layer.moved for layer in load_bundle(bundle).layers)
    less = "--no-permute", "--no-spare"
    assert compile_with(None, None, "--faults", faults, *less).code == 0
    compiled = load_bundle(bundle)
    assert not any(layer.moved for layer in compiled.layers)
    assert not (compiled.options.permute or compiled.options.spare)
    np.save(faults, stuck[:2])
    result = compile_with(None, None, "--faults", faults)
    assert result.code == 2 and "(8, 32, 32) is accepted" in result.sentence


def test_a_shape_that_is_none(compile_with: Any) -> None:
    result = compile_with(None, None, "--shape", "1,x")
    assert result.code == 2 and "--shape 1,x: whole numbers" in result.err
    result = compile_with(None, None, "--shape", "1,9,9")
    assert result.code == 2 and "[1, 9, 9] is not" in result.sentence


def test_knobs_of_one_layer(compile_with: Any, tmp_path: Path) -> None:
    assert compile_with(None, None, "--layer", "hidden:act_bits=5,tia_range=1").code == 0
    compiled = load_bundle(tmp_path / "d.ohm")
    assert [layer.output.bits for layer in compiled.layers][0] == 5
    assert compiled.matrix_ranges[0, 0] == 1
    for given in ("hidden", "hidden:act_bits", "hidden:act_bits=3", "hidden:volume=11", ":"):
        result = compile_with(None, None, "--layer", given)
        assert result.code == 2 and f"--layer {given}: NAME:act_bits=8" in result.err
    result = compile_with(None, None, "--layer", "other:act_bits=5")
    assert result.code == 2 and "no layer 'other', but" in result.sentence


def test_schemes_for_all_and_by_layer(compile_with: Any, tmp_path: Path) -> None:
    given = ("--scheme", "offset", "--layer", "readout:slices=2,scheme=twos-complement", "--json")
    data = compile_with(None, None, *given).data
    compiled = load_bundle(tmp_path / "d.ohm")
    assert [str(compiled.encodings[n]) for n in (0, 1)] == [
        "1 slice, offset",
        "2 slices, twos-complement",
    ]
    told = data["layers"]
    assert told[0].startswith("hidden: matrix in 1 slice, offset, 48 values, tiles ")
    assert told[1].startswith("readout: matrix in 2 slices, twos-complement, 10 values, tile")
    for given in ("hidden:scheme=unary", "hidden:slices=9", "hidden:slices=0", "hidden:scheme="):
        result = compile_with(None, None, "--layer", given)
        assert result.code == 2 and f"--layer {given}: NAME:act_bits=8" in result.err
    result = compile_with(None, None, "--scheme", "twos-complement")
    assert result.code == 2 and "need 2 slices of" in result.sentence
    result = compile_with(None, None, "--scheme", "offset", "--target", "icebreaker")
    assert result.code == 2 and "offset weights are in single columns" in result.sentence
    assert compile_with(None, None, "--scheme", "unary").code == 2


def test_which_layer_needs_what(compile_with: Any, digits: Path, tmp_path: Path) -> None:
    calib, labels = tmp_path / "calib.npy", tmp_path / "labels.npy"
    np.save(calib, np.load(digits / "calib_x.npy")[:32])
    np.save(labels, np.zeros(32, dtype=np.int64))
    given = ("--sensitivity", "--labels", labels, "--json")
    result = compile_with(None, calib, *given)
    first, *lines = result.data["sensitivity"]
    report = json.loads((tmp_path / "d.ohm" / "report.json").read_text())["sensitivity"]
    names = [layer["name"] for layer in report["layers"]]
    assert sorted(names) == ["hidden", "readout"] and report["labelled"]
    assert [line.partition(":")[0] for line in lines] == names
    assert report["verdict"].startswith(f"fixing {names[0]} ") and report["verdict"] in first
    assert report["real"]["accuracy"] < 0.5  # by these labels nearly all is wrong
    page = (tmp_path / "d.ohm" / "report.html").read_text()
    assert report["verdict"] in page and "by labels" in page
    np.save(labels, np.zeros(31, dtype=np.int64))
    result = compile_with(None, calib, *given[:-1])
    assert result.code == 2 and "whole numbers of shape (32,) are accepted" in result.sentence


def test_an_error_budget(compile_with: Any, tmp_path: Path) -> None:
    result = compile_with(None, None, "--budget", "--json")
    lines = result.data["error_budget"]
    assert len(lines) == 2 and all("read noise 0.00%" in line for line in lines)
    assert "Error budget" in (tmp_path / "d.ohm" / "report.html").read_text()


@pytest.mark.parametrize(
    "engines", [("numpy",), pytest.param(("numpy", "cxxrtl"), marks=pytest.mark.slow)]
)
def test_lines_with_resistance(
    engines: tuple[str, ...], compile_with: Any, command: Any, digits: Path, tmp_path: Path
) -> None:
    bundle, x = tmp_path / "d.ohm", tmp_path / "x.npy"
    np.save(x, np.load(digits / "test_x.npy")[:2])
    given = "--device", "ideal", "--one-shot"

    def output(engine: str) -> np.ndarray:
        found = tmp_path / "y.npy"
        command("run", bundle, "--input", x, "--engine", engine, "--output", found)
        return np.load(found)

    compile_with(None, None, *given, "--wire-ohms", 2, "--budget")
    report = json.loads((bundle / "report.json").read_text())
    assert report["options"]["wire_ohms"] == 2
    assert all(layer["costs"]["line resistance"] > 0.01 for layer in report["budget"])
    wired = [output(engine) for engine in engines]
    assert all(np.array_equal(each, wired[0]) for each in wired)
    compile_with(None, None, *given)
    assert not np.array_equal(output("numpy"), wired[0])
    for ohms in ("nan", "-1", "inf"):
        assert compile_with(None, None, "--wire-ohms", ohms).code == 2


def test_no_network_is_compiled_for_a_card_of_the_bench(
    command: Any, digits: Path, tmp_path: Path
) -> None:
    path = tmp_path / "d.ohm"
    asked = ("compile", digits / "digits.onnx", "--device", "cspbbr3_ogb", "-o", path)
    board = ("--target", "orangecrab-25f", "--afe", "pmod", "--calib", digits / "calib_x.npy")
    refused = command(*asked, *board)
    assert refused.code == 2 and not path.exists()
    assert refused.sentence.startswith(
        "no network is compiled for the front end pmod of board orangecrab-25f"
    )
