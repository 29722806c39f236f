"""A network with every kind of post-processing, in the Verilog simulator."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ohmloom.hw.image import LayerSpan, Span
from ohmloom.hw.isa import (
    ONCE,
    TABLE_WORDS,
    Grid,
    Loop,
    Op,
    Sum,
    instruction,
    pack_add,
    pack_pool,
    pack_requant,
    pack_table,
)
from ohmloom.sim.cosim.fault import Fault
from ohmloom.sim.cosim.locate import origin
from ohmloom.sim.cosim.runner import run_cosim


@pytest.fixture
def job(make_job):
    """The job of the conftest with a table, both pools, a sum and an argmax at its end."""
    base = make_job("ideal", cells=1, samples=2)
    image = base.image
    dense = image.layers[0].span
    table = -(-len(image.params) // TABLE_WORDS)
    params = [int(word) for word in image.params]
    params += [0] * (TABLE_WORDS * table - len(params))
    params += pack_table([n // 2 - 60 for n in range(256)])
    largest = len(params)
    params += pack_pool(Grid(1, 2, 0, 1, (Loop(dense.count // 2, 2, 1), ONCE, ONCE)))
    average = len(params)
    params += [*pack_pool(Grid(1, dense.count, 0, 1)), pack_requant(0, 1 << 23, 25)]
    add = len(params)
    names = ("dense", "table", "largest", "average", "sum", "argmax")
    spans = [dense]
    for count in (dense.count, dense.count // 2, 1, 2, 1):
        spans.append(Span(spans[-1].address + spans[-1].count, count))
    _, looked_up, largest_of, average_of, total, best = (span.address for span in spans)
    params += pack_add(Sum(largest_of, dense.address, 3 << 20, -5 << 19, 9999, 22))
    code = [
        *image.code[:-1],
        instruction(Op.LUT, act=dense.address, out=looked_up, table=table, count=dense.count),
        instruction(Op.POOL, act=looked_up, out=largest_of, param=largest, average=0),
        instruction(Op.POOL, act=dense.address, out=average_of, param=average, average=1),
        instruction(Op.ADD, out=total, param=add, count=2),
        instruction(Op.ARGMAX, act=dense.address, out=best, count=dense.count, last=0),
        instruction(Op.HALT),
    ]
    image = replace(
        image,
        geometry=replace(image.geometry, param_depth=256),
        code=tuple(code),
        params=np.array(params, np.uint64),
        layers=tuple(LayerSpan(name, span) for name, span in zip(names, spans, strict=True)),
    )
    return replace(base, image=image)


def test_every_layer_is_that_of_the_numpy_engine(job, tmp_path):
    report = run_cosim(job, folder=tmp_path).report
    assert report.mismatches == 0 and report.first_mismatch is None
    geometry = job.image.geometry
    values = sum(layer.span.count for layer in job.image.layers)
    assert values == 4 + 4 + 2 + 1 + 2 + 1
    assert report.values_compared == geometry.cells + len(job.samples) * values
    pools = (3 + 2 * (2 + 2) + 6) + (3 + (4 + 6) + 5)
    assert report.predicted_cycles == report.cycles_per_inference > 0
    assert report.overhead["tables, pools, sums"] == 3 * 4 + pools + (2 + 7 * 2) + (2 + 4)


@pytest.mark.slow
def test_a_difference_behind_post_processing_is_traced_to_its_tiles(job, tmp_path):
    report = run_cosim(replace(job, fault=Fault.ADC), folder=tmp_path).report
    assert report.mismatches == 1 and "tile 0, 1" in str(report.first_mismatch)
    spans = {layer.name: layer.span for layer in job.image.layers}
    assert origin(job.image, spans["table"].address + 1) == ((0, 1), (2, 3))
    assert origin(job.image, spans["largest"].address + 1) == ((0, 1), (4, 5))
    assert origin(job.image, spans["sum"].address) == ((0, 1), (0, 1))
    with pytest.raises(LookupError):
        origin(job.image, spans["argmax"].address + 1)
