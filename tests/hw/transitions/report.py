"""Runs every scenario and lists which states and transitions were taken.

Prints the table and what is missing, and writes both to the file that is named, if
any. Anything that has not been taken and has no reason for it is a failure of the whole.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


class Report:
    """Keeps what the tests record."""

    def __init__(self) -> None:
        self.recorded: dict[str, object] = {}
        self.passed = self.failed = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.recorded |= dict(report.user_properties)
        if report.when == "call" and report.passed:
            self.passed += 1
        elif not report.passed:
            self.failed += 1
            sys.stderr.write(f"{report.longreprtext[-5000:]}\n")


def main(into: str | None = None) -> int:
    report = Report()
    options = ["-p", "no:terminal", "-p", "no:cacheprovider", f"--rootdir={ROOT}"]
    code = pytest.main([*options, str(Path(__file__).parent)], plugins=[report])
    failed = code != pytest.ExitCode.OK or "table" not in report.recorded
    if into is not None:
        Path(into).parent.mkdir(parents=True, exist_ok=True)
        Path(into).write_text(json.dumps(report.recorded.get("record", {}), indent=1) + "\n")
    sys.stdout.write(f"{report.recorded.get('table', 'nothing was measured')}\n")
    sys.stdout.write(f"{report.passed} checks passed, {report.failed} failed\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
