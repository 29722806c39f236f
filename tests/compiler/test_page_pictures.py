"""Histograms and maps: every layer, a scale in siemens, and a limit that is told."""

from __future__ import annotations

import base64
import re
import zlib

import numpy as np
import pytest

from ohmloom.compiler import page_pictures
from ohmloom.compiler.page_pictures import levels_section, maps_section
from ohmloom.compiler.report import summarise


@pytest.fixture(scope="module")
def report(compiled):
    return summarise(compiled)


def pixels(text):
    """Values of a picture, shape (height, width)."""
    uri = re.findall(r'src="data:image/png;base64,([^"]+)"', text)[0]
    data = base64.b64decode(uri)
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
    at = data.index(b"IDAT")
    body = data[at + 4 : at + 4 + int.from_bytes(data[at - 4 : at], "big")]
    lines = np.frombuffer(zlib.decompress(body), np.uint8).reshape(height, width + 1)
    return lines[:, 1:]


def test_the_maps_are_the_conductances(compiled):
    found = pixels(maps_section(compiled))
    assert found.shape == (64, 96)
    # Tile 1 is below tile 0, tile 2 beside it.
    siemens = compiled.device.levels[compiled.levels]
    span = siemens.max() - siemens.min()
    for tile, (down, across) in ((0, (0, 0)), (1, (32, 0)), (2, (0, 32))):
        wanted = (siemens[tile] - siemens.min()) / span * 255
        here = found[down : down + 32, across : across + 32]
        assert np.abs(here - wanted).max() <= 0.5


def test_the_scale_is_in_siemens(compiled):
    text = maps_section(compiled)
    assert "100 \u00b5S" in text and "350 \u00b5S" in text and "linear-gradient" in text


def test_what_is_not_drawn_is_told(compiled, monkeypatch):
    assert "not shown" not in maps_section(compiled)
    monkeypatch.setattr(page_pictures, "MAX_CELLS_SHOWN", 6000)
    text = maps_section(compiled)
    assert text.count("<img") == 1 and "1 of 2 matrices are not shown" in text
    assert 'alt="conductances of readout"' in text


def test_each_layer_has_its_levels(compiled, report, monkeypatch):
    for layer, tiles in zip(report["layers"], (range(6), range(6, 8)), strict=True):
        histogram = layer["level_histogram"]
        used = sum(2 * p.inputs * p.outputs for p in compiled.placements if p.tile in tiles)
        assert sum(histogram) == used and len(histogram) == 32
        held = np.count_nonzero(compiled.levels[list(tiles)] == 31)
        assert histogram[31] == held > 0
    text = levels_section(report)
    assert text.count("<svg") == 3 and "hidden: 6,144 cells" in text and "not shown" not in text
    monkeypatch.setattr(page_pictures, "MAX_HISTOGRAMS", 1)
    text = levels_section(report)
    assert text.count("<svg") == 2 and "1 layers more are not shown" in text


def test_a_layer_without_cells_has_no_levels(report):
    bare = {**report, "layers": [{**report["layers"][0], "level_histogram": []}]}
    assert levels_section(bare).count("<svg") == 1
