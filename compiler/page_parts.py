"""Pieces that the sections of ``report.html`` are put together from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

PREFIXES = ((1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "\u00b5"), (1e-9, "n"))


def row(*cells: object) -> str:
    """A row of a table."""
    return "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in cells) + "</tr>"


def table(head: Sequence[str], rows: Iterable[str], *, text: bool = False) -> str:
    """A table that is scrolled where it is wide; ``text``: its cells are words, not numbers."""
    cells = "".join(f"<th>{escape(name)}</th>" for name in head)
    kind = ' class="text"' if text else ""
    return (
        f'<div class="wide"><table{kind}><thead><tr>{cells}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def note(text: str) -> str:
    """A sentence or two about what follows."""
    return f'<p class="sub">{escape(text)}</p>'


def si(value: float, unit: str) -> str:
    """With three digits, in the multiple of a unit that they need."""
    for scale, prefix in PREFIXES:
        if abs(value) >= 0.9995 * scale:
            return f"{float(f'{value:.3g}') / scale:.3g} {prefix}{unit}"
    return f"{value / 1e-12:.3g} p{unit}" if value else f"0 {unit}"
