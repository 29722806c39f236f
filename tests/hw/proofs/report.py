"""Runs every formal proof and lists what each one showed. See ``docs/guard.md``.

A property has a proof, a cover (what it speaks of can happen) and planted faults
(which it finds). A proof that fails, that the solver does not decide, or that was
not run is a failure of the whole. What the properties say together is listed last.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ohmloom.hw.afe.array_card import STOP_CYCLES

ROOT = Path(__file__).parents[3]
OTHERS = ("tests/hw/test_formal.py", "tests/hw/link/test_formal.py")
"""Files with proofs that are not in this folder."""
KINDS = {
    "test_it_holds_for_ever": "proof",
    "test_what_it_speaks_of_can_happen": "cover",
    "test_it_finds": "planted fault",
    "test_the_proof_finds": "planted fault",
    "test_the_loopback_finds": "planted fault",
}
"""How the test's name begins; any other one is a proof."""
NEEDED = ("proof", "cover", "planted fault")
PROMISES = {
    "nothing is driven outside the limits": (
        "CodesAreWithinLimits",
        "WhatPassesIsWhatWasAsked",
        "TheDacShiftsOutWhatItAccepted",
    ),
    "the gates exclude each other": ("GatesExcludeEachOther", "WriteVerifyOpensOneGate"),
    "no pulse before I_cc, rails and switches have settled": (
        "OpenGatesHaveSettled",
        "WriteVerifyWaitsForTheLines",
    ),
    "nothing moves in a pulse": ("NothingMovesInAPulse", "WriteVerifyMovesNothingInAPulse"),
    "width, duty, energy and the voltage of a read are limited": (
        "PulsesAreShort",
        "PulsesAreRare",
        "PulsesHaveLittleEnergy",
        "ReadingIsGentle",
    ),
    "in a passive array no other cell gets more than half of the voltage": ("OthersGetHalf",),
    "a pulse is as long as was asked": ("WriteVerifyMakesExactPulses",),
    f"a stop, the interlock and a silent host: gates closed at once, the card in its safe "
    f"state within {STOP_CYCLES} cycles": ("StopsCloseAtOnce", "TheCardObeysSafe"),
    "the safe state is left by the host only, and no limit is raised": (
        "TheSafeStateIsLeftOnlyByTheHost",
        "LimitsGoDownOnce",
    ),
    "a tile is driven as its mode allows, and only under an adopted profile": (
        "DrivesAreWithinTheGrant",
        "OpeningsAreShort",
        "ThereIsOneOpening",
        "AGrantStands",
        "AGrantIsOfTheTilesMode",
        "NothingWithoutAProfile",
    ),
    "nothing is driven in FAULT": ("AfterAFaultNothingIsDriven",),
    "an irreversible way needs its key, a write-once cell is pulsed once": (
        "AnIrreversibleWayIsArmed",
        "AWriteOnceCellIsOpenedOnce",
        "AWriteOnceModeIsOnlyPulsed",
    ),
    "no sequence of bytes hangs the link or changes a byte": (
        "EveryDelimiterResynchronises",
        "WhatIsSentIsHeard",
    ),
}
"""What the gateware promises, and the properties that say it at gates, codes and switches."""


class Report:
    """Collects what pytest says of each proof."""

    def __init__(self) -> None:
        self.selected: list[str] = []
        self.results: dict[str, tuple[str, float]] = {}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.selected = [item.nodeid for item in session.items]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or not report.passed:
            outcome = "PASS" if report.passed else "FAIL" if report.failed else "NOT RUN"
            self.results[report.nodeid] = outcome, report.duration
            if report.failed:
                sys.stderr.write(f"{report.longreprtext[-3000:]}\n")


def kind_of(name: str) -> str:
    return next((kind for start, kind in KINDS.items() if name.startswith(start)), "proof")


def examine(file: str) -> int:
    """Run one file's proofs in this process; what pytest says of them, as JSON."""
    report = Report()
    options = ["-p", "no:terminal", "-p", "no:cacheprovider", f"--rootdir={ROOT}"]
    code = pytest.main([*options, str(ROOT / file)], plugins=[report])
    found = {node: report.results.get(node, ("MISSING", 0.0)) for node in report.selected}
    sys.stdout.write(json.dumps({"code": int(code), "found": found}))
    return 0


def examined(file: str) -> dict[str, Any]:
    """The same in a process of its own; one that says nothing has failed."""
    call = [sys.executable, __file__, file]
    said = subprocess.run(call, stdout=subprocess.PIPE, text=True, check=False).stdout
    try:
        return json.loads(said)
    except ValueError:
        return {"code": 1, "found": {f"{file}::{file}": ("MISSING", 0.0)}}


def main() -> int:
    begun = time.monotonic()
    folder = [str(path.relative_to(ROOT)) for path in sorted(Path(__file__).parent.glob("test_*"))]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        reports = list(pool.map(examined, [*reversed(folder), *OTHERS]))
    kinds: dict[str, set[str]] = defaultdict(set)
    bad: set[str] = set()
    lines, failed = [], 0
    for report in reports:
        failed += report["code"] != pytest.ExitCode.OK or not report["found"]
        for node, (outcome, seconds) in report["found"].items():
            failed += outcome != "PASS"
            test, _, case = node.split("::")[-1].rstrip("]").partition("[")
            kind = kind_of(test)
            if case:
                name = case.split("-")[0]
                kinds[name].add(kind)
                bad |= {name} if outcome != "PASS" else set()
            lines.append(f"{outcome:8} {kind:14} {case or test:60} {seconds:6.1f} s")
    checks = len(lines)
    for name, found in kinds.items():
        for kind in sorted(set(NEEDED) - found):
            failed += 1
            lines.append(f"{'MISSING':8} {kind:14} {name}")
    for promise, names in PROMISES.items():
        kept = all(kinds.get(name) == set(NEEDED) and name not in bad for name in names)
        failed += not kept
        lines.append(f"{'PROVEN' if kept else 'OPEN':8} {promise}: {', '.join(names)}")
    lines.append(f"{checks} checks, {failed} bad, {time.monotonic() - begun:.0f} s")
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(examine(sys.argv[1]) if sys.argv[1:] else main())
