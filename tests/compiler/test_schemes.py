"""Networks whose weights are in pairs of columns, beside an offset, or in two's complement."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from ohmloom.compiler.bundle import load_bundle, write_bundle
from ohmloom.compiler.compiled import Compiled
from ohmloom.compiler.errors import BundleError, TargetError
from ohmloom.compiler.frontend import load_model
from ohmloom.compiler.layers import Matrix
from ohmloom.compiler.options import LayerOptions, Options
from ohmloom.compiler.pipeline import compile_model
from ohmloom.compiler.quantise import quantise_weight
from ohmloom.compiler.report import summarise
from ohmloom.compiler.report_page import render_html
from ohmloom.compiler.runner import build_engine
from ohmloom.hw.geometry import Geometry
from ohmloom.hw.isa import Op, Reg, Scheme, instruction, unpack_requant
from ohmloom.sim.devices import load
from ohmloom.sim.engine import EngineError

from .test_encoding import held
from .test_packing import EXACT, WHOLE

SAMPLES = np.random.default_rng(5).normal(size=(32, 70)).astype(np.float32)
TILES = Geometry(rows=16, columns=16, tiles=256, param_depth=4096, act_width=16)
CHOICES = {
    "differential": {"slices": 2},
    "offset": {"scheme": "offset"},
    "offset in slices": {"slices": 3, "scheme": "offset"},
    "twos-complement": {"slices": 2, "scheme": "twos-complement"},
    "twos-complement in slices": {"slices": 3, "scheme": "twos-complement"},
}
MIXED = {
    "MatMul_m0": LayerOptions(slices=2, scheme="twos-complement"),
    "MatMul_m1": LayerOptions(slices=1, scheme="offset"),
}


@pytest.fixture(scope="module")
def path(zoo, tmp_path_factory):
    """70-40-20-3: several row tiles and several column tiles."""
    return zoo.save(zoo.mlp((70, 40, 20, 3)), tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def cnn(zoo, tmp_path_factory):
    return zoo.save(zoo.cnn(), tmp_path_factory.mktemp("cnn"))


X = np.random.default_rng(0).normal(size=(16, 1, 6, 6)).astype(np.float32)


def exact(path, geometry=TILES, **choices) -> Compiled:
    """On cells and converters that round nothing."""
    return compile_model(path, EXACT, SAMPLES, geometry, Options(**choices), WHOLE)


def weights_of(compiled, number):
    """Weights (outputs, inputs) of the only matrix of a layer, read back from its cells."""
    own = [p for p in compiled.placements if p.layer == number]
    encoding = compiled.encodings[number]
    shape = max(p.first_output + p.outputs for p in own), max(p.rows.stop for p in own)
    shape = shape[0], max(p.first_input + p.inputs for p in own)
    weight = np.zeros(shape)
    for part in {(p.first_input, p.first_output) for p in own}:
        here = [p for p in own if (p.first_input, p.first_output) == part]
        here.sort(key=lambda p: p.slice)
        cells = np.stack([p.cells(compiled.levels, encoding) for p in here])
        inputs, outputs = here[0].weights
        weight[outputs, inputs] = held(encoding, cells).T
    return weight.astype(np.int64)


def requantised(compiled, number, acc):
    """Words of a layer, of accumulators (n, outputs), in exact fractions."""
    code = compiled.image.code
    names = [layer.name for layer in compiled.image.layers]
    span = compiled.image.layers[names.index(compiled.layers[number].name)].span
    words, clamps = np.empty(acc.shape, np.int64), {}
    for instr in code[compiled.image.entries["infer"] :]:
        if instr.op is Op.SET:
            clamps[Reg(instr["reg"])] = instr["value"]
        first = instr["out"] - span.address if instr.op is Op.REQUANT else -1
        if 0 <= first < span.count:
            for k in range(instr["count"]):
                bias, mantissa, shift = unpack_requant(
                    int(compiled.image.params[instr["param"] + k])
                )
                for sample in range(len(acc)):
                    exact_word = Fraction((int(acc[sample, first + k]) + bias) * mantissa, 2**shift)
                    low, high = clamps[Reg.CLAMP_LO], clamps[Reg.CLAMP_HI]
                    words[sample, first + k] = min(max(round(exact_word), low), high)
    return words


def agrees(compiled, path):
    """Whether the engine's integers are those of an exact product with the float weights."""
    x = np.random.default_rng(0).integers(-100, 100, (3, 70))
    trace = build_engine(compiled, faults=compiled.device.levels[compiled.levels]).infer(x)
    network, drives = load_model(path), x.astype(np.int64)
    for number, layer in enumerate(network.layers):
        assert isinstance(layer, Matrix)
        (block,) = layer.blocks
        weight = quantise_weight(block.weight, compiled.encodings[number].top)[0]
        assert np.array_equal(weights_of(compiled, number), weight)
        acc = drives @ weight.astype(np.int64).T * 2  # two codes a level
        words = requantised(compiled, number, acc)
        if not np.array_equal(trace.layers[compiled.layers[number].name], words):
            return False
        drives = words
    return True


@pytest.mark.parametrize("choices", CHOICES.values(), ids=CHOICES.keys())
def test_integers_are_those_of_the_exact_product(path, choices):
    assert agrees(exact(path, **choices), path)


def test_so_they_are_with_a_scheme_for_each_layer(path):
    compiled = exact(path, layers=MIXED)
    found = [str(compiled.encodings[number]) for number in range(3)]
    assert found == ["2 slices, twos-complement", "1 slice, offset", "1 slice, differential"]
    assert agrees(compiled, path)


def test_a_reference_that_is_off_shows(path):
    """The planted fault: one cell of the reference column, on another level."""
    compiled = exact(path, scheme="offset")
    levels = compiled.levels.copy()
    levels[0, 3, 0] -= 1
    x = np.random.default_rng(0).integers(-100, 100, (3, 70))
    one, two = (build_engine(compiled, faults=EXACT.levels[each]).infer(x)
                for each in (compiled.levels, levels))  # fmt: skip
    off = (one.layers["MatMul_m0"] != two.layers["MatMul_m0"]).any(axis=0)
    # Outputs of the tile's part, as far as they are not below the ReLU, and no others.
    outputs = compiled.placements[0].outputs
    assert off[:outputs].mean() >= 0.5 and not off[outputs:].any() and outputs == 15


def executed(code, begin):
    """Addresses as a controller executes them, from an entry to its HALT."""
    at, loops = begin, []
    while code[at].op is not Op.HALT:
        yield at
        if code[at].op is Op.LOOP:
            loops.append([at, code[at]["count"]])
        elif code[at].op is Op.END:
            loops[-1][1] -= 1
            if loops[-1][1]:
                at = loops[-1][0]
            else:
                loops.pop()
        at += 1


def check_registers(compiled):
    """Every MVM that is executed has the scheme of its slice; how often it is set."""
    image, sets, mvms = compiled.image, 0, 0
    for name, begin in image.entries.items():
        scheme = None  # whatever was run before
        for at in executed(image.code, begin):
            instr = image.code[at]
            if instr.op is Op.SET and instr["reg"] == Reg.SCHEME:
                scheme, sets = instr["value"], sets + 1
            if instr.op is Op.MVM:
                p = compiled.placements[compiled.placement_at(instr["tile"], instr["first"])]
                assert scheme == compiled.encodings[p.layer].register(p.slice), (name, at)
                mvms += 1
    return sets, mvms


def mixed_cnn(cnn, **layers):
    own = {name: LayerOptions(**each) for name, each in layers.items()}
    return compile_model(cnn, load("ideal:32"), X, options=Options(layers=own))


CNN = {
    "Conv_c0": {"slices": 2, "scheme": "twos-complement"},
    "Conv_c1": {"scheme": "offset"},
}


def test_the_register_is_right_in_every_round_of_every_loop(cnn):
    compiled = mixed_cnn(cnn, **CNN)
    assert any(instr.op is Op.LOOP for instr in compiled.image.code)
    sets, mvms = check_registers(compiled)
    assert 0 < sets < mvms
    # The planted fault: what an END is preceded by is left out.
    code = list(compiled.image.code)
    at = next(n for n, i in enumerate(code[1:], 1) if i.op is Op.END and code[n - 1].op is Op.SET)
    code[at - 1] = instruction(Op.NOP)
    broken = replace(compiled, image=replace(compiled.image, code=tuple(code)))
    with pytest.raises(AssertionError):
        check_registers(broken)


def test_entries_behind_the_host_set_it_again(host_model, host_samples):
    options = Options(act_bits=12, scheme="offset")
    compiled = compile_model(
        host_model, load("ideal:256"), host_samples, replace(TILES, rows=32, columns=32), options
    )
    assert sum(name.startswith("infer") for name in compiled.image.entries) > 1
    check_registers(compiled)


def test_it_is_set_as_rarely_as_can_be(path):
    code = exact(path, scheme="offset").image.code
    assert sum(i.op is Op.SET and i["reg"] == Reg.SCHEME for i in code) == 1
    compiled = exact(path, layers=MIXED)
    sets = [i["value"] for i in compiled.image.code if i.op is Op.SET and i["reg"] == Reg.SCHEME]
    # Blocks of outputs of the first layer: single columns, then their signs; then one, then pairs.
    blocks = len({p.first_output for p in compiled.placements if p.layer == 0})
    signs = [Scheme.SINGLE, Scheme.SUBTRACTED]
    assert sets == signs * blocks + [Scheme.SINGLE, Scheme.DIFFERENTIAL]


def test_pairs_alone_need_nothing_of_the_controller(path, cnn):
    for compiled in (exact(path, slices=2), mixed_cnn(cnn)):
        assert not compiled.image.geometry.single
        assert not any(i.op is Op.SET and i["reg"] == Reg.SCHEME for i in compiled.image.code)
    asked = exact(path, geometry=replace(TILES, single=True))
    assert not asked.image.geometry.single
    assert exact(path, scheme="offset").image.geometry.single


def test_outputs_of_a_tile_are_columns_but_one(path):
    compiled = exact(path, scheme="offset")
    counts = {i["count"] for i in compiled.image.code if i.op is Op.REQUANT}
    assert max(counts) == 15
    plain = exact(path)
    assert compiled.image.tiles < 0.7 * plain.image.tiles


def test_the_widest_tile_is_requantised_at_once(zoo, tmp_path):
    wide = zoo.save(zoo.mlp((70, 300)), tmp_path)
    compiled = exact(wide, geometry=replace(TILES, columns=248), scheme="offset")
    assert [i["count"] for i in compiled.image.code if i.op is Op.REQUANT] == [247, 53]
    assert agrees(compiled, wide)


def test_the_engine_notices_a_missing_register(path):
    """The planted fault: a program that never says which columns are single."""
    compiled = exact(path, scheme="offset")
    code = tuple(
        instruction(Op.NOP) if i.op is Op.SET and i["reg"] == Reg.SCHEME else i
        for i in compiled.image.code
    )
    broken = replace(compiled, image=replace(compiled.image, code=code))
    assert not agrees(broken, path)
    lacking = replace(compiled.image, geometry=replace(compiled.image.geometry, single=False))
    with pytest.raises(EngineError, match="no single columns"):
        build_engine(replace(compiled, image=lacking)).infer(np.ones((1, 70), np.int64))


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        (
            {"scheme": "twos-complement"},
            "twos-complement integer weights need 2 slices of 16 levels, there are 1",
        ),
        ({"slices": 6, "scheme": "offset"}, "6 slices of 4 bits"),
        ({"layers": {"x": LayerOptions(scheme="offset")}}, "'x' has no matrix"),
    ],
)
def test_schemes_that_do_not_fit(path, choices, words):
    with pytest.raises(TargetError, match=words):
        exact(path, **choices)


def test_two_levels_hold_no_offset_in_one_slice(path):
    with pytest.raises(TargetError, match="offset integer weights need 2 slices of 2 levels"):
        compile_model(path, load("ideal:2"), SAMPLES, options=Options(scheme="offset"))


def test_a_compact_controller_is_refused(path):
    compact = replace(TILES, compact=True, loop=False, slices=False)
    with pytest.raises(TargetError, match="offset weights are in single columns, which the target"):
        exact(path, geometry=compact, scheme="offset")


def test_stuck_cells_are_made_up_for(zoo, tmp_path):
    """A fault map takes back some of what stuck cells change, most of it where cells are pairs."""
    path, device, off = zoo.save(zoo.mlp((70, 20)), tmp_path), load("ideal:16"), {}
    x = np.random.default_rng(0).integers(-100, 100, (20, 70))
    for name, choices in CHOICES.items():
        plain = compile_model(path, device, SAMPLES, TILES, Options(**choices))
        faults = np.full((plain.image.tiles + 8, 16, 16), np.nan)
        at = np.random.default_rng(1).random(faults.shape) < 0.02
        faults[at] = device.levels[np.random.default_rng(2).integers(0, 16, at.sum())]
        known = compile_model(path, device, SAMPLES, TILES, Options(**choices), faults=faults)
        wanted = plain.layers[0].output.dequantise(build_engine(plain).infer(x).output)
        off[name] = []
        for compiled in (plain, known):
            engine = build_engine(compiled, faults=faults[: compiled.image.tiles])
            found = compiled.layers[0].output.dequantise(engine.infer(x).output)
            off[name].append(np.square(found - wanted).mean())
    for name, (ignored, known) in off.items():
        assert known < (0.2 if name == "differential" else 0.95) * ignored, name


def test_ranges_are_for_the_currents_of_the_columns(path):
    """Offsets conduct: all rows of their columns together need a coarser range than pairs do."""
    device, found = load("cspbbr3_ogb"), {}
    geometry = Geometry(rows=248, columns=16, tiles=256, param_depth=4096)
    for scheme in ("differential", "offset"):
        compiled = compile_model(path, device, SAMPLES, geometry, Options(scheme=scheme))
        found[scheme] = compiled
        trace = build_engine(compiled).infer(compiled.input.quantise(SAMPLES))
        assert trace.saturations == 0
    assert max(found["offset"].ranges) <= max(found["differential"].ranges)


def test_the_report_says_where_weights_are(path, tmp_path):
    compiled = exact(path, layers=MIXED)
    report = summarise(compiled)
    told = [(layer["slices"], layer["scheme"]) for layer in report["layers"]]
    assert told == [(2, "twos-complement"), (1, "offset"), (1, "differential")]
    used = sum(
        p.inputs * (p.outputs * 2 if p.layer == 2 else p.outputs + 1) for p in compiled.placements
    )
    assert report["totals"]["cell_utilisation"] == used / compiled.levels.size
    cells = [sum(layer["level_histogram"]) for layer in report["layers"]]
    assert sum(cells) == used
    # Signs are on level 0 or 1, digits of 4 bits on all of 16.
    own = [p for p in compiled.placements if p.layer == 0 and p.slice == 1]
    assert {int(p.cells(compiled.levels, compiled.encodings[0]).max()) for p in own} == {1}
    page = render_html(compiled, report)
    for words in ("2, twos-complement", "1, offset", "1, differential", "slice 1, twos-complement"):
        assert words in page


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        (["options", "layers", "MatMul_m0", "slices"], 1, "1 slice, twos-complement, which"),
        (["options", "layers", "MatMul_m1", "scheme"], "differential", "15 outputs of slice 0"),
        (["options", "layers", "MatMul_m0", "slices"], 8, "8 slices of 4 bits"),
        (["placements", 0, "outputs"], 16, "16 outputs of slice 0 of layer 0"),
        (["geometry", "single"], False, "2 slices, twos-complement, which its cells or its cont"),
        (["geometry", "compact"], True, "which the target's controller, a compact one, lacks"),
    ],
)
def test_bundles_whose_cells_do_not_fit_the_controller(path, tmp_path, key, value, words):
    bundle = write_bundle(exact(path, layers=MIXED), tmp_path / "hostile.ohm")
    manifest = json.loads((bundle / "manifest.json").read_text())
    part = manifest
    for name in key[:-1]:
        part = part[name]
    part[key[-1]] = value
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=words):
        load_bundle(bundle)


def test_a_bundle_of_schemes_comes_back(path, tmp_path):
    compiled = exact(path, layers=MIXED)
    again = load_bundle(write_bundle(compiled, tmp_path / "mixed.ohm"))
    assert again.options == compiled.options and again.encodings == compiled.encodings
    assert again.placements == compiled.placements and again.image.geometry.single
    trace = build_engine(again).infer(again.golden.inputs)
    for span, expected in zip(again.image.layers, again.golden.layers, strict=True):
        np.testing.assert_array_equal(trace.layers[span.name], expected)
