"""Bundles: the same network comes back, and nothing damaged gets in."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from ohmloom.compiler import bundle
from ohmloom.compiler.bundle import FILES, MANIFEST, load_bundle, write_bundle
from ohmloom.compiler.errors import BundleError
from ohmloom.compiler.frontend import load_model
from ohmloom.compiler.npz import write_npz
from ohmloom.compiler.options import Options
from ohmloom.compiler.pipeline import calibrated, compile_model, compile_network
from ohmloom.compiler.profile import make_profile
from ohmloom.compiler.runner import build_engine, dequantise_output, quantise_input
from ohmloom.hw.geometry import Geometry
from ohmloom.hw.isa import Op
from ohmloom.hw.profile import Profile, pack_profile, unpack_profile
from ohmloom.sim.converters import Converters
from ohmloom.sim.devices import load
from ohmloom.sim.devices.record import to_record


@pytest.fixture(scope="module")
def written(compiled, tmp_path_factory):
    return write_bundle(compiled, tmp_path_factory.mktemp("bundles") / "digits.ohm")


@pytest.fixture
def copy(written, tmp_path):
    """A bundle to damage."""
    return Path(shutil.copytree(written, tmp_path / "copy.ohm"))


def refused(path, words):
    with pytest.raises(BundleError, match=words) as caught:
        load_bundle(path)
    assert "\n" not in str(caught.value)


def edit(path, change, rehash=()):
    """Change the manifest's JSON in place; hash again the files in ``rehash``."""
    manifest = json.loads((path / MANIFEST).read_text())
    change(manifest)
    for name in rehash:
        body = (path / name).read_bytes()
        manifest["files"][name] = {"sha256": hashlib.sha256(body).hexdigest(), "size": len(body)}
    (path / MANIFEST).write_text(json.dumps(manifest))


def nothing(manifest):
    """No change."""


def test_a_network_without_matrices_has_one_tile(zoo, tmp_path):
    proto = zoo.model([zoo.node("Relu", ["x"], "y")], {})
    x = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
    made = compile_model(zoo.save(proto, tmp_path), load("ideal:16"), x)
    found = load_bundle(write_bundle(made, tmp_path / "relu.ohm"))
    assert (found.image.tiles, found.placements, found.levels.any()) == (1, (), False)
    scores = build_engine(found).infer(quantise_input(found, x)).output
    expected = np.maximum(x, 0)
    assert np.abs(dequantise_output(found, scores) - expected).max() <= found.input.scale


def test_the_same_network_comes_back(compiled, written):
    found = load_bundle(written)
    for field in fields(compiled):
        expected, value = getattr(compiled, field.name), getattr(found, field.name)
        if field.name == "levels":
            np.testing.assert_array_equal(value, expected, strict=True)
        elif field.name == "device":
            assert to_record(value) == to_record(expected)
        elif field.name not in {"image", "golden"}:
            assert value == expected
    for field in fields(compiled.image):
        expected, value = getattr(compiled.image, field.name), getattr(found.image, field.name)
        assert np.array_equal(value, expected) if field.name == "params" else value == expected


def test_golden_vectors_reproduce(written):
    found = load_bundle(written)
    trace = build_engine(found).infer(found.golden.inputs)
    assert len(found.golden.inputs) == found.options.golden_samples
    for span, expected in zip(found.image.layers, found.golden.layers, strict=True):
        assert expected.any()
        np.testing.assert_array_equal(trace.layers[span.name], expected)


def test_golden_vectors_notice_a_flipped_level(written):
    found = load_bundle(written)
    levels = found.levels.copy()
    levels[0, 3, 0] ^= 16
    engine = build_engine(found, program=False)
    engine.program(levels)
    first = found.image.layers[0].name
    trace = engine.infer(found.golden.inputs)
    assert not np.array_equal(trace.layers[first], found.golden.layers[0])


def test_batch_of_one_and_of_a_thousand_through_the_bundle(written, digits):
    found = load_bundle(written)
    x = np.resize(quantise_input(found, digits.x), (1000, found.image.input.count))
    engine = build_engine(found)
    whole = engine.infer(x).layers
    for sample in (0, 1, 449, 999):
        single = engine.infer(x[sample : sample + 1], epoch0=sample).layers
        for name, expected in whole.items():
            np.testing.assert_array_equal(single[name][0], expected[sample])


def test_threads_of_the_matrix_product_change_nothing(written, digits):
    found = load_bundle(written)
    x = quantise_input(found, digits.x)
    outputs = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            outputs.append(build_engine(found).infer(x).output)
    np.testing.assert_array_equal(*outputs)


def test_same_bytes_every_time(compiled, written, tmp_path):
    again = write_bundle(compiled, tmp_path / "again.ohm")
    for name in (*FILES, MANIFEST):
        assert (again / name).read_bytes() == (written / name).read_bytes()


def test_an_older_bundle_is_replaced(compiled, copy):
    (copy / "program.bin").write_bytes(b"")
    write_bundle(compiled, copy)
    load_bundle(copy)
    assert [entry.name for entry in copy.parent.iterdir()] == [copy.name]


def test_other_folders_are_never_replaced(compiled, tmp_path):
    (tmp_path / "precious").mkdir()
    for target in (tmp_path / "precious", tmp_path):
        with pytest.raises(BundleError, match="is not a bundle, another name"):
            write_bundle(compiled, target)


def test_nothing_half_written(compiled, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bundle, "render_html", fail)
    with pytest.raises(BundleError, match="cannot write bundle .*No space left"):
        write_bundle(compiled, tmp_path / "digits.ohm")
    assert not list(tmp_path.iterdir())


def test_folder_that_is_not_there(compiled, tmp_path):
    with pytest.raises(BundleError, match="cannot write bundle"):
        write_bundle(compiled, tmp_path / "none" / "digits.ohm")


@pytest.mark.parametrize("name", FILES)
def test_every_file_is_guarded(copy, name):
    file = copy / name
    body = file.read_bytes()
    flipped = bytearray(body)
    flipped[len(body) // 2] ^= 1
    file.write_bytes(flipped)
    refused(copy, f"{name} was altered")
    file.write_bytes(body[:-1])
    refused(copy, f"{name} has {len(body) - 1} bytes, {len(body)} were written")
    file.unlink()
    refused(copy, f"{name} is missing")
    file.symlink_to(os.devnull)
    refused(copy, f"{name} is missing or is not a plain file")


def test_manifest_cut_short_anywhere(copy):
    text = (copy / MANIFEST).read_text()
    for length in range(0, len(text) - 2, 97):
        (copy / MANIFEST).write_text(text[:length])
        refused(copy, "is not JSON or is cut short")


def test_missing_pieces(copy, tmp_path):
    refused(tmp_path / "none.ohm", "not a bundle directory")
    refused(copy / MANIFEST, "not a bundle directory")
    (copy / MANIFEST).unlink()
    refused(copy, "cannot read .*manifest.json: No such file")


def test_unknown_files_are_refused_and_a_bitstream_is_not(copy):
    (copy / "bitstream").mkdir()
    load_bundle(copy)
    (copy / "extra.bin").touch()
    refused(copy, "extra.bin")


def test_oversized_manifest(copy, monkeypatch):
    monkeypatch.setattr(bundle, "MAX_MANIFEST_BYTES", 99)
    refused(copy, "larger than the 99 bytes")


def setter(*keys, value):
    def change(manifest):
        for key in keys[:-1]:
            manifest = manifest[key]
        manifest[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    "keys,value,words",
    [
        (["format"], "other", "not the manifest of an Ohmloom bundle"),
        (["schema_version"], 4, "schema version 4, 5 is accepted"),
        (["surprise"], 1, "surprise"),
        (["tiles"], "8", "tiles: Input should be a valid integer"),
        (["tiles"], 7, "placements|entries"),
        (["tiles"], 65, "65 tiles, 1 to 64"),
        (["placements", 1, "tile"], 0, "32 rows and 16 outputs of slice 0 of layer 0"),
        (["placements", 1, "first_row"], 1, "outside it or in another's rows"),
        (["placements", 1, "first_row"], -1, "from row -1 of tile 1"),
        (["placements", 1, "outputs"], 17, "17 outputs"),
        (["placements", 1, "layer"], 2, "of layer 2"),
        (["placements", 1, "first_input"], -32, "which is outside it"),
        (["placements", 1, "slice"], 1, "outputs of slice 1 of layer 0"),
        (["options", "scheme"], "offset", "weights in 1 slice, offset, which its cells or"),
        (["options", "scheme"], "unary", "options.scheme"),
        (["options", "slices"], 5, "5 slices of 5 bits are 5 bits apart"),
        (["options", "layers"], {"hidden": {"scheme": "twos-complement", "slices": 2}}, "2 slices"),
        (["geometry", "rows"], 9, "geometry: .*rows = 9"),
        (["geometry", "program_depth"], 16, "program words, 1 to 16"),
        (["geometry", "act_depth"], 112, "span of 48 words at 65, 48 words below 112"),
        (["instructions"], 1, "1 instructions"),
        (["param_words"], 2000, "2000 parameter words"),
        (["param_words"], 91, "params.npz array 'params'"),
        (["golden_samples"], 9, "golden.npz array 'inputs'"),
        (["entries", "infer"], 4000, "4000 entry addresses"),
        (["entries", "extra"], 0, "has entries"),
        (["input", "span", "count"], 63, "span of 63 words"),
        (["input", "span", "address"], -1, "span of 64 words at -1"),
        (["layers", 0, "span", "address"], 1 << 40, "span of 48 words"),
        (["layers", 1, "outputs"], 47, "span of 10 words at 113, 47 words"),
        (["layers", 1, "span"], None, "no place for the output"),
        (["layers", 0, "kind"], "", "layers.0.kind"),
        (["layers", 1, "name"], "hidden", "two layers of the same name"),
        (["input", "scale", "bits"], 8.5, "input.scale.bits"),
        (["layers"], [], "layers"),
        (["device", "v_read"], "high", "device profile: .*v_read"),
        (["device", "modes"], {}, "device profile: .*modes"),
        (["files", "program.bin", "sha256"], "short", "files.program.bin.sha256"),
        (["files"], {}, r"lists \[\]"),
    ],
)
def test_manifests_that_contradict_themselves(copy, keys, value, words):
    edit(copy, setter(*keys, value=value))
    refused(copy, words)


def test_a_manifest_that_is_no_object(copy):
    (copy / MANIFEST).write_text("[]")
    refused(copy, "not the manifest")


def test_deeply_nested_manifest(copy):
    (copy / MANIFEST).write_text("[" * 100_000)
    refused(copy, "is not JSON")


def test_hashes_do_not_vouch_for_a_program(copy):
    for body, words in ((b"\xff" * 8, "is not an instruction"), (b"\0" * 9, "whole number")):
        (copy / "program.bin").write_bytes(body)
        edit(copy, nothing, rehash=["program.bin"])
        refused(copy, words)


def test_hashes_do_not_vouch_for_levels(copy, compiled):
    levels = np.full_like(compiled.levels, 32)
    write_npz(copy / "conductances.npz", {"levels": levels})
    edit(copy, nothing, rehash=["conductances.npz"])
    refused(copy, "a cell on level 32, cspbbr3_ogb has 32 levels")


def with_profile(copy, compiled, words):
    """The bundle with other words of the device profile, hashed again."""
    profile = np.array(words, np.uint64)
    write_npz(copy / "params.npz", {"params": compiled.image.params, "profile": profile})
    edit(copy, nothing, rehash=["params.npz"])


def test_hashes_do_not_vouch_for_a_device_profile(copy, compiled):
    words = [*compiled.image.profile]
    with_profile(copy, compiled, [words[0], words[1] ^ 1, *words[2:]])
    refused(copy, "params.npz device profile: its words do not add up to its checksum")
    with_profile(copy, compiled, [0] * len(words))
    refused(copy, "params.npz device profile: its header is none of version 1")
    with_profile(copy, compiled, words[:-1])
    refused(copy, "params.npz array 'profile'")


def test_a_profile_is_the_one_of_the_device(copy, compiled):
    profile = unpack_profile(compiled.image.profile)
    other = Profile(profile.modes[:1], ())
    with_profile(copy, compiled, pack_profile(other))
    refused(copy, "a profile of 1 modes, its device has 3")
    far = tuple(replace(way, param=60_000) for way in profile.ways)
    with_profile(copy, compiled, pack_profile(replace(profile, ways=far)))
    refused(copy, "recipe at 60000 is beyond the 126 parameter words")


def test_setup_adopts_the_profile_and_every_tile_says_its_mode(compiled):
    image, device = compiled.image, compiled.device
    assert image.code[image.entries["setup"]].op is Op.ADOPT
    for tile in range(image.tiles):
        first = image.code[image.entries[f"program/{tile}"]]
        assert first.op is Op.RESTORE
        assert (first["tile"], first["mode"]) == (tile, device.mode_index(device.weights.mode))
    recipes = make_profile(device, compiled.converters, compiled.options.clk_hz).records
    assert image.params[-len(recipes) :].tolist() == list(recipes)
    assert unpack_profile(image.profile).ways[0].param == len(image.params) - len(recipes)


def test_a_network_that_was_not_run_has_a_bundle_too(digits, tmp_path):
    source = calibrated(load_model(digits.model), digits.calib)
    compiled = compile_network("digits", source, load("ideal"), Geometry(), Options(), Converters())
    found = load_bundle(write_bundle(compiled, tmp_path / "d.ohm"))
    assert found.golden.inputs.shape == (0, 64)
    assert [layer.shape for layer in found.golden.layers] == [(0, 48), (0, 10)]
