"""Jobs survive their trip through files; differences are located."""

from dataclasses import replace

import numpy as np
import pytest

from ohmloom.hw.afe import ad7606
from ohmloom.hw.afe.array_card import plane_period_cycles
from ohmloom.hw.isa import Op
from ohmloom.sim.array.lines import Wires
from ohmloom.sim.cosim.fault import Fault
from ohmloom.sim.cosim.job import Job, Mismatch
from ohmloom.sim.cosim.locate import conversions, origin
from ohmloom.sim.cosim.overhead import inference, overhead


def test_a_job_is_the_same_after_saving(make_job, tmp_path):
    wires = Wires(1.5, 2.0, drive_both=True)
    job = replace(make_job(fault=Fault.ADC), adc=ad7606.PART, wires=wires)
    job.save(tmp_path)
    back = Job.load(tmp_path)
    for name in (
        "seed",
        "clk_hz",
        "bit_cycles",
        "tile",
        "fault",
        "jump",
        "converters",
        "adc",
        "wires",
    ):
        assert getattr(back, name) == getattr(job, name)
    for name in ("levels", "samples"):
        assert np.array_equal(getattr(back, name), getattr(job, name))
    assert np.array_equal(back.image.params, job.image.params)
    assert replace(back.image, params=job.image.params) == job.image
    assert np.array_equal(back.device.levels, job.device.levels)
    assert back.device.document() == job.device.document()


def test_an_output_comes_from_all_tiles_of_its_accumulation(make_job):
    image = make_job().image
    span = image.layers[0].span
    assert origin(image, span.address) == ((0, 1), (0, 1))
    assert origin(image, span.address + 3) == ((0, 1), (6, 7))
    with pytest.raises(LookupError, match="activation word 0"):
        origin(image, 0)


def test_a_mismatch_names_tile_and_column():
    text = str(Mismatch(2, "dense", 3, (0, 1), (6, 7), -5, 9))
    assert text == (
        "sample 2, layer dense, output 3 (tile 0, 1, columns 6/7): expected -5, found 9"
    )
    assert "output 3 (of no tile): expected" in str(Mismatch(2, "pad", 3, (), (0, 0), -5, 9))


def test_overhead_adds_up(make_job):
    image = make_job(planes=5).image
    assert conversions(image) == 10
    assert [instr.op for instr in inference(image)] == [Op.MVM, Op.MVM, Op.REQUANT]
    period = plane_period_cycles(image.geometry, 48_000_000)
    causes = overhead(image, period, 1000)
    assert sum(causes.values()) == 1000
    assert causes["requantise"] == 6 * image.geometry.pairs
