"""The files that tell other programs about this package agree with what is there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
OUTSIDE = {"tests", "examples", "bench", "docs", "build"}


def test_every_package_is_listed() -> None:
    found = {"ohmloom"}
    for init in ROOT.glob("[!.]*/**/__init__.py"):
        parts = init.parent.relative_to(ROOT).parts
        if parts[0] not in OUTSIDE:
            found.add(".".join(("ohmloom", *parts)))
    assert found == set(PROJECT["tool"]["setuptools"]["packages"])


def test_every_dependency_is_pinned_once() -> None:
    lines = (ROOT / "constraints.txt").read_text().split()
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line) for line in lines)
    pinned = [re.sub(r"[-_.]+", "-", line.partition("==")[0]).lower() for line in lines]
    assert len(set(pinned)) == len(pinned)
    project = PROJECT["project"]
    wanted = [*project["dependencies"], *sum(project["optional-dependencies"].values(), [])]
    assert {re.split(r"[^a-z0-9-]", entry, maxsplit=1)[0] for entry in wanted} <= set(pinned)


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    linked = set(re.findall(r"\]\(([a-z0-9-]+\.md)\)", index))
    assert linked == {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}
