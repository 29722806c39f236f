"""Runs every formal proof and lists what each one showed. See ``docs/guard.md``.

A property has a proof, a cover (what it speaks of can happen) and planted faults
(which it finds). A proof that fails, that the solver does not decide, or that was
not run is a failure of the whole.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FILES = (
    "tests/hw/proofs",
    "tests/hw/test_formal.py",
    "tests/hw/link/test_formal.py",
)
KINDS = {
    "test_it_holds_for_ever": "proof",
    "test_what_it_speaks_of_can_happen": "cover",
    "test_it_finds": "planted fault",
    "test_the_proof_finds": "planted fault",
    "test_the_loopback_finds": "planted fault",
}
"""How the test's name begins; any other one is a proof."""
NEEDED = ("proof", "cover", "planted fault")


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


def main() -> int:
    report, begun = Report(), time.monotonic()
    options = ["-p", "no:terminal", "-p", "no:cacheprovider", f"--rootdir={ROOT}"]
    code = pytest.main([*options, *(str(ROOT / file) for file in FILES)], plugins=[report])
    kinds: dict[str, set[str]] = defaultdict(set)
    lines, failed = [], int(code != pytest.ExitCode.OK)
    for node in report.selected:
        outcome, seconds = report.results.get(node, ("MISSING", 0.0))
        failed += outcome != "PASS"
        test = node.split("::")[-1]
        name, _, case = test.rstrip("]").partition("[")
        kind = kind_of(name)
        if "tests/hw/proofs" in node and case:
            kinds[case.split("-")[0]].add(kind)
        lines.append(f"{outcome:8} {kind:14} {case or name:60} {seconds:6.1f} s")
    for name, found in kinds.items():
        for kind in sorted(set(NEEDED) - found):
            failed += 1
            lines.append(f"{'MISSING':8} {kind:14} {name}")
    if not lines:
        failed += 1
    lines.append(f"{len(report.selected)} checks, {failed} bad, {time.monotonic() - begun:.0f} s")
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
