"""Host segments in a bundle: the same come back, and nothing hostile gets in."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from ohmloom.compiler.bundle import MANIFEST, load_bundle, write_bundle
from ohmloom.compiler.compiled import Compiled
from ohmloom.compiler.errors import BundleError
from ohmloom.compiler.runner import build_engine

from .test_host import foreign, outside


@pytest.fixture
def bundle(on_host: Compiled, tmp_path: Path) -> Path:
    return write_bundle(on_host, tmp_path / "host.ohm", baud=500_000)


def test_the_same_network_comes_back(on_host, bundle):
    found = load_bundle(bundle)
    assert found.host == on_host.host and found.image.host == on_host.image.host
    trace = build_engine(found).infer(found.golden.inputs)
    assert len(found.golden.layers) == 3
    for span, golden in zip(found.image.layers, found.golden.layers, strict=True):
        np.testing.assert_array_equal(trace.layers[span.name], golden)
    report = json.loads((bundle / "report.json").read_text())
    assert [call["name"] for call in report["host"]] == ["host/0", "host/1"]
    assert "On the host" in (bundle / "report.html").read_text()


def damage(bundle: Path, change) -> None:
    """Change the manifest, and hash the models again."""
    manifest = json.loads((bundle / MANIFEST).read_text())
    change(manifest)
    for file in (bundle / "host").glob("*.onnx"):
        body = file.read_bytes()
        record = {"sha256": hashlib.sha256(body).hexdigest(), "size": len(body)}
        manifest["files"][f"host/{file.name}"] = record
    (bundle / MANIFEST).write_text(json.dumps(manifest))


def test_a_hostile_model_in_a_bundle(bundle):
    file = bundle / "host" / "0.onnx"
    sound = file.read_bytes()
    for change, words in ((outside, "outside of its file"), (foreign, "domain com.example")):
        proto = onnx.load_from_string(sound)
        change(proto)
        file.write_bytes(proto.SerializeToString())
        with pytest.raises(BundleError, match="was altered|bytes"):
            load_bundle(bundle)
        damage(bundle, lambda manifest: None)
        with pytest.raises(BundleError, match=words):
            load_bundle(bundle)


def test_a_model_of_other_inputs(bundle):
    files = [bundle / "host" / f"{n}.onnx" for n in range(2)]
    bodies = [file.read_bytes() for file in files]
    for file, body in zip(files, reversed(bodies), strict=True):
        file.write_bytes(body)
    damage(bundle, lambda manifest: None)
    with pytest.raises(BundleError, match="takes .* values, the manifest says"):
        load_bundle(bundle)


def swap_entries(manifest) -> None:
    manifest["host"][0]["entry"], manifest["host"][1]["entry"] = "", "infer/1"


@pytest.mark.parametrize(
    "change,words",
    [
        (swap_entries, "entry 'infer/1' behind call 1"),
        (lambda m: m["host"][1].update(entry="infer/2"), "has entries"),
        (lambda m: m["host"][0].update(gives=[]), "entry 'infer/1' behind call 0"),
        (lambda m: m["host"].append(m["host"][0]), "lists .*host/1.onnx"),
        (lambda m: m["host"][0]["gives"][0].update(output=7), "0 values in output 7"),
        (lambda m: m["host"][0]["takes"][0]["span"].update(address=1 << 20), "for the host"),
        (lambda m: m["layers"][-1].update(outputs=5), "network's result of 5 values"),
        (lambda m: m.update(host=[]), "lists .*host/0.onnx"),
    ],
)
def test_manifests_that_contradict_the_models(bundle, change, words):
    damage(bundle, change)
    with pytest.raises(BundleError, match=words):
        load_bundle(bundle)


def test_a_call_that_gives_nothing_in_the_middle(bundle):
    def change(manifest):
        manifest["host"][0].update(gives=[], entry="")
        manifest["entries"].pop("infer/1")

    damage(bundle, change)
    with pytest.raises(BundleError, match="gives the controller nothing"):
        load_bundle(bundle)


def test_unknown_files_among_the_models(bundle):
    (bundle / "host" / "lib.so").touch()
    with pytest.raises(BundleError, match="host/lib.so"):
        load_bundle(bundle)
