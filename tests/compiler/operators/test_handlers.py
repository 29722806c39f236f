"""The list of operators: found by their files, and as the documentation has them."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

from ohmloom.compiler import operators
from ohmloom.compiler.operators import handlers

ROOT = Path(__file__).parents[3]


def documented(text: str) -> list[str]:
    """Operators of the table in the documentation."""
    rows = re.findall(r"^\| (?:tiles|controller|nothing|host)[^|]*\| (.*) \|$", text, re.MULTILINE)
    return [name for row in rows for name in re.findall(r"`(\w+)`", row)]


def test_the_documentation_has_each_operator_once():
    text = (ROOT / "docs" / "compiler.md").read_text(encoding="utf-8")
    assert sorted(documented(text)) == sorted(handlers())
    assert sorted(documented(text.replace("`Mish`", "`Mash`"))) != sorted(handlers())


def test_every_file_has_handlers_of_its_own():
    files = [path.stem for path in Path(operators.__file__).parent.glob("*.py")]
    names = [
        name
        for stem in files
        if stem != "__init__"
        for handler in import_module(f"{operators.__name__}.{stem}").HANDLERS
        for name in handler.operators
    ]
    assert sorted(names) == sorted(handlers())
