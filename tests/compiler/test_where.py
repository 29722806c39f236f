"""What runs where: as the program says."""

from __future__ import annotations

import numpy as np
import pytest

from ohmloom.compiler import layers
from ohmloom.compiler.layers.base import Layer
from ohmloom.compiler.pipeline import compile_model
from ohmloom.compiler.report import summarise
from ohmloom.compiler.where import WHY, _ranges
from ohmloom.sim.devices import load


@pytest.fixture(scope="module")
def cnn(zoo, tmp_path_factory):
    x = np.random.default_rng(0).random((4, 1, 6, 6)).astype(np.float32)
    path = zoo.save(zoo.cnn(), tmp_path_factory.mktemp("cnn"))
    return compile_model(path, load("ideal"), x)


def test_matrices_are_on_tiles_and_the_rest_is_the_controllers(cnn):
    found = summarise(cnn)["where"]
    assert [(p["name"], p["kind"]) for p in found] == [
        (each.name, each.kind) for each in cnn.layers
    ]
    for place in found:
        on_tiles = place["where"].startswith("tile")
        assert on_tiles == ("MVM" in place["where"]) == (place["kind"] == "matrix")
        assert on_tiles or place["where"].startswith("controller: ")
        assert place["why"] == WHY[place["kind"]]
    kinds = {place["kind"]: place["where"] for place in found}
    assert kinds["max pool"] == "controller: POOL" and "ADD" in kinds["sum"]
    assert "LUT" in kinds["function"]


def test_the_host_says_why(zoo, tmp_path):
    proto = zoo.mlp((6, 5, 3))
    last = proto.graph.output[0].name
    proto.graph.node.append(zoo.node("Softmax", [last], "p"))
    proto.graph.output[0].name = "p"
    x = np.random.default_rng(0).random((4, 6)).astype(np.float32)
    made = compile_model(zoo.save(proto, tmp_path), load("ideal"), x)
    *others, found = summarise(made)["where"]
    assert (found["kind"], found["where"]) == ("host", "host")
    assert found["why"].startswith("no lowering: Softmax")
    assert all(place["where"] != "host" for place in others)


def test_every_kind_of_layer_has_a_reason():
    def kinds(of):
        return {getattr(of, "kind", None)} | {
            k for each in of.__subclasses__() for k in kinds(each)
        }

    assert layers and kinds(Layer) - {None} <= set(WHY)


def test_tiles_are_those_that_the_instructions_name(compiled):
    assert [place["where"] for place in summarise(compiled)["where"]] == [
        "tiles 0-5: MVM, REQUANT",
        "tiles 6-7: MVM, REQUANT",
    ]
    assert _ranges([7, 1, 2, 3, 9]) == "1-3, 7, 9" and _ranges([]) == ""
