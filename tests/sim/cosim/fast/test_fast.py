"""The compiled engine against Icarus Verilog and against itself: the same report, every time."""

from __future__ import annotations

import re
from dataclasses import asdict

import numpy as np
import pytest

from ohmloom.errors import OhmloomError
from ohmloom.sim.cosim import runner
from ohmloom.sim.cosim.bench import Bench, watched
from ohmloom.sim.cosim.card import CardFault
from ohmloom.sim.cosim.chips.ad7606c import AdcBankModel
from ohmloom.sim.cosim.chips.array_card import FAULTS, ArrayCardChips
from ohmloom.sim.cosim.fast import run as fast_run
from ohmloom.sim.cosim.fast.build import ports
from ohmloom.sim.cosim.fast.engine import Engine, Reason
from ohmloom.sim.cosim.fast.harness import LOOK_CYCLES, FastHarness, complete
from ohmloom.sim.cosim.fault import Fault
from ohmloom.sim.cosim.runner import CosimError, run_cosim
from ohmloom.sim.cosim.simulator import Simulator


def run_fast(job, progress=None):
    return run_cosim(job, progress, simulator=Simulator.CXXRTL)


@pytest.fixture
def engine(compiled, bench):
    with Engine(compiled, ports(bench), 4) as made:
        yield made


def test_the_report_is_that_of_icarus(make_fast_job, tmp_path):
    job = make_fast_job()
    stages = []
    fast = run_fast(job, lambda stage, done, total: stages.append(stage))
    slow = run_cosim(job, folder=tmp_path)
    assert asdict(fast.report) == asdict(slow.report)
    assert np.array_equal(fast.output, slow.output)
    assert fast.report.mismatches == 0 and fast.report.values_compared == 64 + 2 * 4
    assert fast.report.skipped_cycles > 10_000
    assert {"elaborate", "program", "infer"} <= set(stages)
    for times in (fast.times, slow.times):
        assert min(times.simulator, times.card, times.rest) > 0
    assert fast.times.total < slow.times.total


def test_time_jumps_change_nothing(make_fast_job, at_hand):
    stepped, jumped = (run_fast(make_fast_job(jump=jump)) for jump in (False, True))
    found, wanted = asdict(jumped.report), asdict(stepped.report)
    assert found.pop("skipped_cycles") > 10_000 and wanted.pop("skipped_cycles") == 0
    assert found.pop("simulated_cycles") < wanted.pop("simulated_cycles")
    assert found == wanted
    assert np.array_equal(jumped.output, stepped.output)


@pytest.mark.parametrize("fault", list(Fault))
def test_a_planted_fault_is_found(make_fast_job, at_hand, fault):
    report = run_fast(make_fast_job(samples=1, cells=1, fault=fault)).report
    assert report.mismatches == 1
    for word in ("tile", "column", "expected", "found"):
        assert word in report.first_mismatch


def test_python_is_woken_once_for_a_conversion(make_fast_job, engine):
    """Switches, DACs and pulses come with the conversion that follows; bytes come on top."""
    job = make_fast_job(planes=8)

    class Counting(FastHarness):
        asked = 0

        async def begin(self, pins):
            assert pins is not None
            self.card = pins.card
            await super().begin(pins)

        def run(self, until):
            reason = super().run(until)
            self.asked += Reason.AT_ONCE in reason
            return reason

    harness = Counting(engine, job)
    received = count_bytes(engine)
    complete(fast_run.Comparison(job, harness, lambda *_: None).compare())
    conversions = harness.card.conversions
    # The rest: the ends of sent requests, and looks at the progress.
    looks = engine.edges // LOOK_CYCLES
    assert conversions > 30 and harness.asked == conversions
    assert engine.wakes <= conversions + sum(received) + looks + 1


def count_bytes(engine):
    """[bytes received, requests sent] so far, kept up to date."""
    counts = [0, 0]
    received, send = engine.received, engine.send

    def count_received():
        found = received()
        counts[0] += len(found)
        return found

    def count_sent(data):
        counts[1] += 1
        send(data)

    engine.received, engine.send = count_received, count_sent
    return counts


def test_the_model_has_the_shortest_conversion_that_it_takes(bench):
    """So that every run here shows that codes come within the chip's window."""
    assert AdcBankModel(1, bench.chips.clk_hz).convert_cycles == 2


def test_ports_are_little_endian_and_masked(engine):
    value = int.from_bytes(bytes(range(1, 17)), "little")
    engine.set("codes", value)
    assert engine.get("codes") == value
    engine.set("jump", 0xFF)
    assert engine.get("jump") == 1


def test_a_library_of_another_bench_is_refused(compiled, bench):
    with pytest.raises(ValueError, match="ports, expected"):
        Engine(compiled, ports(bench)[:-1], 4)


def test_a_change_comes_with_its_time_and_only_once(engine):
    engine.set("rst", 1)
    engine.run(4)
    engine.watch("now", False)
    engine.set("rst", 0)
    assert engine.run(7) == Reason.LIMIT and engine.edges == 7
    assert [(change.name, change.now, change.value) for change in engine.changes()] == [
        ("now", n, n) for n in (1, 2, 3)
    ]
    assert not list(engine.changes())


def test_a_change_that_cannot_wait_ends_the_run(engine):
    engine.watch("now", True)
    assert engine.run(1000) == Reason.AT_ONCE and engine.edges == 1


def test_a_coroutine_that_waits_is_an_error():
    class Never:
        def __await__(self):
            yield

    async def wait():
        await Never()

    with pytest.raises(RuntimeError, match="waited"):
        complete(wait())


@pytest.mark.parametrize("part", list(FAULTS.members))
def test_a_complaint_of_a_chip_is_a_fault_of_the_card(bench, part):
    fault = {output.name: output for output in watched(bench.geometry)}["fault"]
    assert fault.at_once
    fault.tell(None, 7, 0)
    with pytest.raises(CardFault, match=f"cycle 7.*{part} 1"):
        fault.tell(None, 7, 1 << FAULTS[part].offset)


@pytest.mark.slow
def test_a_broken_rule_of_a_chip_stops_the_run(make_fast_job, monkeypatch, tmp_path):
    """Chips that believe in a faster clock see everything as too early, in the same cycle."""

    class Hasty(Bench):
        def __init__(self, geometry, clk_hz, baud, adc):
            super().__init__(geometry, clk_hz, baud, adc=adc)
            self.chips = ArrayCardChips(geometry, 100 * clk_hz)

    monkeypatch.setattr("ohmloom.sim.cosim.bench.Bench", Hasty)
    monkeypatch.setattr(fast_run, "Bench", Hasty)
    sentences = set()
    for simulator in (Simulator.ICARUS, Simulator.CXXRTL):
        with pytest.raises(CosimError) as caught:
            run_cosim(make_fast_job(), folder=tmp_path, simulator=simulator)
        found = re.search(r"cycle \d+: the chips complain: rows \d", str(caught.value))
        assert found is not None, caught.value
        sentences.add(found.group())
    assert len(sentences) == 1


def test_what_goes_wrong_in_the_run_is_one_sentence(make_fast_job, monkeypatch):
    def fail(job, progress, host, netlist):
        raise CardFault("a switch moved while rail B was driving a pulse")

    monkeypatch.setattr(fast_run, "run_fast", fail)
    with pytest.raises(CosimError, match="a switch moved") as caught:
        run_fast(make_fast_job())
    assert isinstance(caught.value, OhmloomError) and runner.CosimError is CosimError
