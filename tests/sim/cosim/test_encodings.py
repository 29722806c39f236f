"""A small CNN with another scheme in each layer, in co-simulation."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ohmloom.compiler.compiled import Compiled
from ohmloom.compiler.options import LayerOptions, Options
from ohmloom.compiler.pipeline import compile_model
from ohmloom.hw.isa import Op, Reg, Scheme
from ohmloom.sim.cosim.locate import origin
from ohmloom.sim.devices import load
from ohmloom.sim.engine import NumpyEngine

from ...compiler.conftest import Zoo
from .test_cnn import GEOMETRY, X, job, run

LAYERS = {
    "Conv_c0": LayerOptions(slices=2, scheme="twos-complement"),
    "Conv_c1": LayerOptions(scheme="offset"),
    "MatMul_y": LayerOptions(slices=2),
}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    path = Zoo.save(Zoo.cnn(), tmp_path_factory.mktemp("cnn"))
    return compile_model(path, load("cspbbr3_ogb"), X, GEOMETRY, Options(layers=LAYERS))


def test_every_scheme_is_in_it(compiled: Compiled) -> None:
    found = {str(compiled.encodings[p.layer]) for p in compiled.placements}
    assert found == {
        "2 slices, twos-complement",
        "1 slice, offset",
        "2 slices, differential",
    }
    sets = {i["value"] for i in compiled.image.code if i.op is Op.SET and i["reg"] == Reg.SCHEME}
    assert sets == set(Scheme) and compiled.image.geometry.single


def test_bit_for_bit_and_in_the_cycles_that_were_predicted(compiled: Compiled) -> None:
    report = run(job(compiled, 1))
    assert report.mismatches == 0
    assert report.values_compared >= sum(layer.outputs for layer in compiled.layers)
    assert report.predicted_cycles == report.cycles_per_inference


def test_a_sign_that_one_side_adds_is_found(compiled: Compiled, monkeypatch) -> None:
    """The planted fault: an engine that takes no slice as subtracted."""
    right = NumpyEngine._product

    def deaf(self, address, instr):
        made = right(self, address, instr)
        return replace(made, scheme=min(made.scheme, Scheme.SINGLE))

    monkeypatch.setattr(NumpyEngine, "_product", deaf)
    assert run(job(compiled, 1)).mismatches


def test_words_come_from_the_columns_of_their_scheme(compiled: Compiled) -> None:
    image, schemes = compiled.image, set()
    for number, (layer, span) in enumerate(zip(compiled.layers, image.layers, strict=True)):
        if layer.kind != "matrix":
            continue
        scheme = compiled.encodings[number].scheme
        for output in range(min(span.span.count, 4)):
            tiles, columns = origin(image, span.span.address + output)
            assert {p.layer for p in compiled.placements if p.tile in tiles} >= {number}
            pair = (2 * output, 2 * output + 1)
            assert columns == (pair if scheme == "differential" else (output + 1, 0))
        schemes.add(scheme)
    assert len(schemes) == 3
