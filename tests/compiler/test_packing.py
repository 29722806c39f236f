"""Small matrices joined: the same integers with fewer products."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmloom.compiler.encoding import Encoding
from ohmloom.compiler.frontend import load_model
from ohmloom.compiler.graph import Network
from ohmloom.compiler.layers import Block, Matrix, Patches
from ohmloom.compiler.options import Options
from ohmloom.compiler.packing import packed
from ohmloom.compiler.pipeline import calibrated, compile_network
from ohmloom.compiler.quantise import quantise
from ohmloom.compiler.runner import build_engine
from ohmloom.compiler.scales import Scale
from ohmloom.hw.geometry import Geometry
from ohmloom.hw.isa import Op
from ohmloom.sim.converters import Converters
from ohmloom.sim.devices import changed, load

from .conftest import Zoo

SCALE = Scale(1.0, 0, 8)
GEOMETRY = Geometry(rows=16, columns=16)
ENCODINGS = dict.fromkeys(range(9), Encoding(16))
ROOMY = Geometry(
    rows=16, columns=16, tiles=4096, act_depth=1 << 15, param_depth=1 << 14, program_depth=1 << 14
)
G_LSB = 2.0**-17
# A conductance code is an ADC code: sums of cells are exact, whatever is beside them.
EXACT = changed(
    load("ideal:16"),
    **{
        "modes.nonvolatile.codes.g_lsb": G_LSB,
        "modes.nonvolatile.levels.g_min": 16 * G_LSB,
        "modes.nonvolatile.levels.g_max": 46 * G_LSB,
    },
)
CARD = Converters()
V_READ = CARD.dac_volts(CARD.read_code(EXACT.v_read))
WHOLE = replace(CARD, tia_ohms=(CARD.adc_lsb / (V_READ * G_LSB),) * 6)


def grouped(groups, inputs, outputs, positions, seed=0, scale=None, zeros=()):
    """A layer of matrices side by side, as a grouped Conv makes them, and its network."""
    rng = np.random.default_rng(seed)
    count = groups * inputs * positions
    values = np.arange(count).reshape(positions, groups, inputs)
    target = count + groups * outputs * np.arange(positions)
    blocks = tuple(
        Block.of(
            Patches.rows(values[:, group]),
            rng.integers(-9, 10, (outputs, inputs)) * (0.0 if group in zeros else 1.0),
            rng.integers(-9, 10, outputs).astype(float),
            target + group * outputs,
            None if scale is None else np.full(outputs, scale),
        )
        for group in range(groups)
    )
    layer = Matrix(name="m", first=count, blocks=blocks)
    return Network("x", (count,), (layer,), (layer.count,))


def joined(network, geometry=GEOMETRY, most=99, scales=None):
    (layer,) = packed(network, scales or [SCALE, SCALE], geometry, ENCODINGS, most).layers
    assert isinstance(layer, Matrix)
    return layer


SIZES = st.integers(1, 6)


@settings(deadline=None)
@given(st.integers(1, 9), SIZES, SIZES, st.integers(1, 4), st.integers(1, 9), st.booleans())
def test_every_output_has_its_integers(groups, inputs, outputs, positions, most, own):
    network = grouped(groups, inputs, outputs, positions, scale=0.5 if own else None, zeros=(1, 2))
    together = packed(network, [SCALE, SCALE], GEOMETRY, ENCODINGS, most)
    x = np.random.default_rng(1).integers(-9, 10, (3, network.inputs)).astype(float)
    np.testing.assert_array_equal(together.forward(x), network.forward(x))
    alone, found = (
        quantise(each, [SCALE, SCALE], ENCODINGS, 100.0) for each in (network, together)
    )
    # Row after row of the outputs: weights but for the zeros beside them, scales and biases.
    rows = [row[row != 0].tolist() for block in alone for row in block.weight]
    assert [row[row != 0].tolist() for block in found for row in block.weight] == rows
    for name in ("weight_scale", "bias"):
        wanted = np.concatenate([getattr(block, name) for block in alone])
        np.testing.assert_array_equal(np.concatenate([getattr(b, name) for b in found]), wanted)
    assert {block.own for block in found} == {own}
    most = max(min(most, 16 // inputs, 8 // outputs), 1)
    assert len(found) == -(-groups // most)


def compiled(path, x, geometry, most):
    source = calibrated(load_model(path), x)
    options = Options(pack=most, tia_range=0, golden_samples=0)
    return compile_network("grouped", source, EXACT, geometry, options, WHOLE)


def test_single_columns_hold_more_of_them():
    """Seven matrices of two outputs, where pairs hold four of them."""
    network = grouped(7, 2, 2, 1)
    offset = dict.fromkeys(range(9), Encoding(16, 1, "offset"))
    for encodings, outputs in ((ENCODINGS, [8, 6]), (offset, [14])):
        (layer,) = packed(network, [SCALE, SCALE], GEOMETRY, encodings, 99).layers
        assert isinstance(layer, Matrix)
        assert [block.outputs for block in layer.blocks] == outputs


@settings(deadline=None, max_examples=30)
@given(
    st.sampled_from(["Conv", "ConvTranspose"]),
    st.integers(1, 5),
    st.integers(1, 2),
    st.integers(1, 2),
    st.integers(1, 3),
    st.integers(1, 2),
    st.integers(0, 99),
)
def test_on_an_array_without_errors_the_integers_are_the_same(
    operator, groups, inputs, outputs, kernel, stride, seed
):
    rng = np.random.default_rng(seed)
    shapes = {"Conv": (groups * outputs, inputs), "ConvTranspose": (groups * inputs, outputs)}
    weight = rng.normal(size=(*shapes[operator], kernel, kernel))
    bias = rng.normal(size=groups * outputs)
    node = Zoo.node(operator, ["x", "w", "b"], "y", group=groups, strides=[stride] * 2)
    weights = {"w": weight.astype(np.float32), "b": bias.astype(np.float32)}
    proto = Zoo.model([node], weights, (1, groups * inputs, 4, 4), rank=4)
    x = rng.normal(size=(6, groups * inputs, 4, 4)).astype(np.float32)
    traces, mvms = [], []
    with TemporaryDirectory() as folder:
        path = Zoo.save(proto, Path(folder))
        for most in (1, 99):
            made = compiled(path, x, ROOMY, most)
            traces.append(build_engine(made).infer(made.input.quantise(x.reshape(len(x), -1))))
            mvms.append(sum(each.op is Op.MVM for each in made.image.code))
    for name, drives in traces[0].layers.items():
        np.testing.assert_array_equal(traces[1].layers[name], drives)
    assert np.ptp(traces[0].output) > 0 and mvms[1] <= mvms[0]


def test_a_wrong_row_would_be_noticed():
    network = grouped(3, 2, 1, 2)
    layer = joined(network)
    (block,) = layer.blocks
    wrong = replace(block, weight=block.weight[:, ::-1])
    x = np.arange(network.inputs, dtype=float)[np.newaxis]
    broken = replace(network, layers=(replace(layer, blocks=(wrong,)),))
    assert not np.array_equal(broken.forward(x), network.forward(x))


@pytest.mark.parametrize(
    "lines,most,groups", [(32, 99, 11), (248, 99, 2), (248, 4, 8), (32, 1, 32)]
)
def test_channels_of_a_depthwise_convolution_share_a_tile(zoo, tmp_path, lines, most, groups):
    weights = {"w": np.ones((32, 1, 3, 3), np.float32)}
    node = zoo.node("Conv", ["x", "w"], "y", group=32, pads=[1, 1, 1, 1])
    model = zoo.model([node], weights, (1, 32, 5, 5), rank=4)
    network = load_model(zoo.save(model, tmp_path))
    geometry = Geometry(rows=lines, columns=lines)
    scales = [SCALE] * len(network.tensors)
    layer = packed(network, scales, geometry, ENCODINGS, most).layers[1]
    assert isinstance(layer, Matrix) and len(layer.blocks) == groups
    # Channels lie together: a window is nine runs of them.
    first = layer.blocks[0]
    runs = 1 + np.count_nonzero(np.diff(first.source.at(slice(1))[0]) != 1)
    assert runs == min(9, first.inputs)


def test_phases_that_read_the_same_share_their_rows(zoo, tmp_path):
    weights = {"w": np.ones((3, 2, 2, 2), np.float32)}
    node = zoo.node("ConvTranspose", ["x", "w"], "y", strides=[2, 2])
    network = load_model(zoo.save(zoo.model([node], weights, (1, 3, 4, 4), rank=4), tmp_path))
    layer = packed(network, [SCALE] * len(network.tensors), GEOMETRY, ENCODINGS, 4).layers[0]
    assert isinstance(layer, Matrix)
    # Two phases are side by side in a row of the output, and read one value of each channel.
    assert [block.weight.shape for block in layer.blocks] == [(4, 3), (4, 3)]
    assert all((block.weight == 1).all() for block in layer.blocks)


def test_what_is_not_alike_is_left_apart():
    network = grouped(2, 3, 2, 4)
    (layer,) = network.layers
    assert isinstance(layer, Matrix)
    a, b = layer.blocks
    assert len(joined(network).blocks) == 1
    assert len(joined(network, most=1).blocks) == 2
    begin = b.source.begin * np.array([1, 1, 2, 1])
    others = {
        "positions": replace(b, source=replace(b.source, begin=begin)),
        "outputs": replace(b, target=b.target[::-1]),
        "scale": replace(b, scale=np.ones(2)),
    }
    for other in others.values():
        apart = replace(network, layers=(replace(layer, blocks=(a, other)),))
        assert len(joined(apart).blocks) == 2
    # Layers that are one step of a network that is repeated keep the same matrices.
    repeated = replace(network, layers=(replace(layer, alike="step"),))
    assert len(joined(repeated).blocks) == 2


def test_inputs_of_two_scales_are_left_apart():
    one = grouped(2, 3, 2, 4)
    (layer,) = one.layers
    assert isinstance(layer, Matrix)
    (a, b), made = layer.blocks, layer.first + layer.count
    other = replace(b, source=Patches.rows(layer.first + np.arange(12).reshape(4, 3)))
    blocks = tuple(replace(each, target=each.target + layer.count) for each in (a, other))
    second = replace(layer, name="second", first=made, blocks=blocks)
    network = replace(one, layers=(layer, second))
    for scale, matrices in ((SCALE, 1), (Scale(2.0, 0, 8), 2)):
        found = packed(network, [SCALE, scale, SCALE], GEOMETRY, ENCODINGS, 99).layers[1]
        assert isinstance(found, Matrix) and len(found.blocks) == matrices
