"""The program: memory map, accumulation over tiles and row groups, refusals with numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ohmloom.compiler import pipeline
from ohmloom.compiler.analog import plan_analog
from ohmloom.compiler.errors import TargetError
from ohmloom.compiler.mapping import place
from ohmloom.compiler.options import Options
from ohmloom.compiler.pipeline import compile_model
from ohmloom.compiler.runner import build_engine, dequantise_output, quantise_input
from ohmloom.hw.banks import BANKS
from ohmloom.hw.geometry import Geometry
from ohmloom.hw.isa import LAYOUTS, Op, Reg, instruction
from ohmloom.sim.converters import Converters
from ohmloom.sim.devices import build, changed, load

SAMPLES = np.random.default_rng(5).normal(size=(32, 70)).astype(np.float32)


@pytest.fixture(scope="module")
def path(zoo, tmp_path_factory):
    """70-40-20-3: several row tiles and several column tiles."""
    return zoo.save(zoo.mlp((70, 40, 20, 3)), tmp_path_factory.mktemp("model"))


def compile_(path, device="ideal:32", geometry=None, **options):
    return compile_model(path, load(device), SAMPLES, geometry or Geometry(), Options(**options))


def inference(compiled):
    return compiled.image.code[compiled.image.entries["infer"] :]


def test_every_layer_has_words_of_its_own_where_there_are_enough(path):
    image = compile_(path).image
    assert [layer.name for layer in image.layers] == ["MatMul_m0", "MatMul_m1", "MatMul_m2"]
    spans = [image.input, *(layer.span for layer in image.layers)]
    for span, following in zip(spans, spans[1:], strict=False):
        assert span.address > 0 and span.address + span.count == following.address


def test_words_are_used_again_where_there_are_too_few(zoo, tmp_path):
    path = zoo.save(zoo.mlp((70, 40, 40, 40, 3)), tmp_path)
    roomy, tight = compile_(path), compile_(path, geometry=Geometry(act_depth=112))
    # The third layer takes the words of the first one, the last those of the second.
    assert [layer.name for layer in tight.image.layers] == ["MatMul_m2", "MatMul_m3"]
    x = np.random.default_rng(0).integers(-100, 100, (5, 70))
    one, two = (build_engine(each, read_noise=False).infer(x) for each in (roomy, tight))
    assert np.array_equal(one.output, two.output)
    assert np.array_equal(one.layers["MatMul_m2"], two.layers["MatMul_m2"])


@pytest.mark.parametrize("tia_range,groups", [(None, 1), (1, 6)])
def test_every_row_is_driven_once_per_output_block(path, tia_range, groups):
    compiled = compile_(path, tia_range=tia_range)
    limit = plan_analog(compiled.device, Converters(), 32, tia_range).row_limit
    driven: dict[int, list[int]] = {}
    for instr in inference(compiled):
        if instr.op is Op.MVM:
            driven.setdefault(instr["tile"], []).extend(
                range(instr["first"], instr["first"] + instr["rows"])
            )
            assert instr["rows"] <= limit
    placed: dict[int, list[int]] = {}
    for p in compiled.placements:
        placed.setdefault(p.tile, []).extend(p.rows)
    assert driven == placed and len(placed) < len(compiled.placements)
    mvms = [i for i in inference(compiled) if i.op is Op.MVM and i["tile"] == 0]
    assert len(mvms) == (1 if groups == 1 else -(-32 // limit))


@pytest.mark.parametrize("slices", [1, 3])
def test_matrices_that_share_a_tile_give_what_they_give_alone(path, slices, monkeypatch):
    geometry = Geometry(tiles=256, param_depth=4096)
    shared = compile_(path, "ideal:32", geometry, slices=slices, tia_range=0)

    def apart(*args, **kwargs):
        parts = enumerate(place(*args, **kwargs))
        return tuple(replace(p, tile=number, first_row=0) for number, p in parts)

    monkeypatch.setattr(pipeline, "place", apart)
    alone = compile_(path, "ideal:32", geometry, slices=slices, tia_range=0)
    assert shared.image.tiles < alone.image.tiles == len(alone.placements)
    x = np.random.default_rng(0).integers(-100, 100, (5, 70))
    one, two = (build_engine(each).infer(x) for each in (shared, alone))
    for name, drives in two.layers.items():
        np.testing.assert_array_equal(one.layers[name], drives)
    # A cell that is wrong is so for the matrix in its row, not for another on the tile.
    held = next(p for p in shared.placements if p.layer == 2)
    assert any(p.layer == 1 and p.tile == held.tile for p in shared.placements)
    engine = build_engine(shared)
    cell = held.tile, held.first_row, 0
    engine.array.set_codes(cell, engine.array.g_code[cell] + 4000)
    wrong = engine.infer(x).layers
    np.testing.assert_array_equal(wrong["MatMul_m1"], two.layers["MatMul_m1"])
    assert not np.array_equal(wrong["MatMul_m2"], two.layers["MatMul_m2"])


def test_accumulators_are_cleared_once_per_output_block(path):
    clear_since_requant = 0
    mvms_since_requant = 0
    for instr in inference(compile_(path)):
        if instr.op is Op.MVM:
            assert instr["clear"] == (mvms_since_requant == 0)
            clear_since_requant += instr["clear"]
            mvms_since_requant += 1
        elif instr.op is Op.REQUANT:
            assert clear_since_requant == 1
            clear_since_requant = mvms_since_requant = 0


def test_only_real_outputs_are_requantised(path):
    compiled = compile_(path)
    written = [
        address
        for instr in inference(compiled)
        if instr.op is Op.REQUANT
        for address in range(instr["out"], instr["out"] + instr["count"])
    ]
    words = [
        address
        for layer in compiled.image.layers
        for address in range(layer.span.address, layer.span.address + layer.span.count)
    ]
    assert written == words


def test_registers_are_set_only_when_they_change(path):
    compiled = compile_(path)
    sets = [(Reg(i["reg"]), i["value"]) for i in inference(compiled) if i.op is Op.SET]
    # Two hidden ReLU layers share their clamps.
    assert sets == [
        (Reg.CLAMP_LO, 0),
        (Reg.CLAMP_HI, 255),
        (Reg.TIA_RANGE, 0),
        (Reg.CLAMP_LO, -32768),
        (Reg.CLAMP_HI, 32767),
    ]


def test_setup_leaves_nothing_to_chance(compiled):
    code = compiled.image.code[: compiled.image.entries["program/0"]]
    written = {Reg(i["reg"]) for i in code if i.op is Op.SET}
    assert written == set(Reg) - {Reg.CLAMP_LO, Reg.CLAMP_HI, Reg.ARM, Reg.SCHEME} - BANKS
    assert code[-1].op is Op.HALT


def test_row_groups_and_tiles_give_the_same_network(path):
    """Other geometries split the sums elsewhere; without noise only ADC rounding may differ."""
    whole = compile_(path, geometry=Geometry(rows=72, columns=80), tia_range=0)
    parts = compile_(path, geometry=Geometry(rows=16, columns=16), tia_range=0)
    x = np.random.default_rng(0).integers(-100, 100, (20, 70))
    outputs = [build_engine(c).infer(x).output for c in (whole, parts)]
    span = np.abs(outputs[0]).max()
    assert np.abs(outputs[0] - outputs[1]).max() < 0.02 * span


@pytest.mark.parametrize(
    "geometry,words",
    [
        ({"tiles": 9}, "needs 10 tiles of 32 x 32 cells, the target has 9"),
        ({"program_depth": 32}, "words of program memory, the target has 32"),
        ({"param_depth": 64}, "needs 95 words of parameter memory, the target has 64"),
        ({"act_depth": 110}, "needs 118 words of activation memory, the target has 110"),
        ({"acc_width": 27}, r"'MatMul_m0' needs accumulators of 28 bits .*the target has 27"),
    ],
)
def test_networks_that_do_not_fit(path, geometry, words):
    with pytest.raises(TargetError, match=words):
        compile_(path, geometry=Geometry(**geometry))


@pytest.mark.parametrize("act_bits", [8, 16])
def test_biases_that_dwarf_their_weights(zoo, tmp_path, act_bits):
    """A dead unit's bias must not overflow its word, nor cost the other outputs anything."""
    weight = np.full((70, 3), 1e-2, "f")
    weight[:, 1] = 1e-9
    bias = np.array([0.5, -3.0, 1e3], "f")
    proto = zoo.model([zoo.node("Gemm", ["x", "w", "b"], "y")], {"w": weight, "b": bias}, ("N", 70))
    compiled = compile_(zoo.save(proto, tmp_path), act_bits=act_bits)
    output = build_engine(compiled).infer(quantise_input(compiled, SAMPLES)).output
    found = dequantise_output(compiled, output)
    expected = SAMPLES @ weight + bias
    np.testing.assert_allclose(found, expected, rtol=3e-4, atol=0.05)


def test_a_device_that_the_card_cannot_drive(path):
    device = changed(load("ideal"), **{"modes.nonvolatile.pulses.v_set": 11.0})
    with pytest.raises(TargetError, match="ideal does not suit the converters: 11 V"):
        compile_model(path, device, SAMPLES)
    with pytest.raises(TargetError, match="ideal does not suit the converters: I_cc"):
        compile_model(path, load("ideal"), SAMPLES, converters=Converters(gate_k=1e-9))


def test_a_flipped_clear_changes_the_result(path):
    compiled = compile_(path)
    x = np.random.default_rng(0).integers(-100, 100, (3, 70))
    expected = build_engine(compiled).infer(x).output
    code = list(compiled.image.code)
    address = next(n for n, i in enumerate(code) if i.op is Op.MVM and not i["clear"])
    fields = {field.name: code[address][field.name] for field in LAYOUTS[Op.MVM]}
    code[address] = instruction(Op.MVM, **{**fields, "clear": 1})
    broken = replace(compiled, image=replace(compiled.image, code=tuple(code)))
    assert not np.array_equal(build_engine(broken).infer(x).output, expected)


def test_averaged_verify_reads_are_set_up_where_the_device_asks_for_them(path):
    def registers(device):
        code = compile_model(path, device, SAMPLES, Geometry(), Options()).image.code
        return {i["reg"]: i["value"] for i in code if i.op is Op.SET}

    ogb = load("cspbbr3_ogb")
    single = registers(ogb)
    assert single[Reg.AVERAGE] == single[Reg.STUCK] == 0
    document = ogb.document()
    conversions = {"value": 256, "unit": "1", "assumed": "test"}
    document["modes"]["nonvolatile"]["verify"]["conversions"] = conversions
    averaging = registers(build(document, "mine"))
    assert averaging[Reg.AVERAGE] == 8 and averaging[Reg.STUCK] > 0
