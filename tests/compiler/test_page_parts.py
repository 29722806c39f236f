"""Pieces of the page."""

from __future__ import annotations

import pytest

from ohmloom.compiler.page_parts import note, row, si, table


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (12.2, "12.2 s"),
        (0.002002, "2 ms"),
        (6.896e-4, "690 \u00b5s"),
        (0.99996, "1 s"),
        (9.996e-4, "1 ms"),
        (3.1e-13, "0.31 ps"),
        (-4.2e-9, "-4.2 ns"),
        (0.0, "0 s"),
        (228.4, "228 s"),
        (54321.0, "54.3 ks"),
    ],
)
def test_three_digits_and_a_prefix(value, text):
    assert si(value, "s") == text


def test_what_a_name_holds_is_text():
    assert row("<b>", 3) == "<tr><td>&lt;b&gt;</td><td>3</td></tr>"
    assert "<i>" not in note("<i>") and "<i>" not in table(["<i>"], [])
    assert 'class="text"' in table(["a"], [], text=True)
