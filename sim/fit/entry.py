"""A device entry from what was found and from a base entry, and its text."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..devices import Device, DeviceError, Mode, build
from .errors import FitError
from .found import Found

UNTOLD = "the data do not tell"
_ADDED = {
    "drift.time": "s",
    "drift.lrs_exponent": "1",
    "drift.hrs_exponent": "1",
    "temperature.low": "K",
    "temperature.high": "K",
}
"""Units of the numbers that a base may lack and data may tell."""
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def name_of(stem: str) -> str:
    """A device name from that of a file: lower case, digits and underscores."""
    name = re.sub(r"[^a-z0-9]+", "_", stem.lower()).strip("_")[:64]
    return name if name[:1].isalpha() else f"device_{name}"[:64].rstrip("_")


def assemble(
    base: Device, mode: Mode, found: Found, *, name: str, stack: str, file: str, about: str
) -> Device:
    """The device: fitted numbers, numbers of the measurement, and the rest from the base.

    Parameters
    ----------
    base, mode:
        The base entry, and its mode that was fitted.
    name, stack:
        Of the new device.
    file, about:
        The measured file, and what it is.

    Raises
    ------
    FitError
        If the numbers together are no valid entry.
    """
    section = copy.deepcopy(base.document()["modes"][mode.name])
    for dropped in ("wears_with", *found.dropped):  # the other mode is not in this entry
        section.pop(dropped, None)
    for quantity in _quantities(section):
        _assume(quantity, f"from {base.name}: {UNTOLD}")
    for given in found.derived:
        quantity = _at(section, given.name)
        quantity["value"] = float(given.value)
        _assume(quantity, given.why)
    for given in found.applied:
        quantity = _at(section, given.name)
        quantity["value"] = float(given.value)
        _measure(quantity, f"measured: {file}, as applied", given.why)
    for estimate in found.estimates:
        quantity = _at(section, estimate.name)
        quantity["value"] = float(estimate.value)
        interval = f"95 % interval {estimate.low:.6g} to {estimate.high:.6g}"
        note = f"{interval}, {estimate.points} points; {estimate.how}"
        _measure(quantity, f"measured: {file}", note)
    document = {
        "schema": 2,
        "name": name,
        "title": f"{name}, fitted to {file}"[:200],
        "stack": stack,
        "references": {"measured": about},
        "modes": {mode.name: section},
    }
    try:
        return build(document, file)
    except DeviceError as error:
        raise FitError(f"the numbers fitted to {error}") from error


def _quantities(node: object) -> Iterator[dict[str, Any]]:
    """Every number of a section."""
    if isinstance(node, dict):
        if "value" in node:
            yield node
        else:
            for item in node.values():
                yield from _quantities(item)
    elif isinstance(node, list):
        for item in node:
            yield from _quantities(item)


def _at(section: dict[str, Any], name: str) -> dict[str, Any]:
    """A number by its dotted name; of a section that the base lacks, one to be filled."""
    node: Any = section
    for part in name.split("."):
        node = node.setdefault(part, {}) if isinstance(node, dict) else node[int(part)]
    if "value" not in node:
        node |= {"value": 0.0, "unit": _ADDED[name]}
    return node


def _assume(quantity: dict[str, Any], reason: str) -> None:
    for key in ("source", "note"):
        quantity.pop(key, None)
    quantity["assumed"] = reason


def _measure(quantity: dict[str, Any], source: str, note: str) -> None:
    quantity.pop("assumed", None)
    quantity["source"], quantity["note"] = source, note


# -- TOML -----------------------------------------------------------------------------


def to_toml(device: Device) -> str:
    """The text of an entry, a number on each line, as in the catalogue."""
    lines: list[str] = []
    _table(device.document(), "", lines)
    return "\n".join(lines).lstrip("\n") + "\n"


def _table(table: Mapping[str, Any], prefix: str, lines: list[str]) -> None:
    """Values first: what follows the header of a table inside belongs to that one."""
    inner = {key: value for key, value in table.items() if _is_table(value)}
    for key, value in table.items():
        if key not in inner and value != []:
            lines.append(f"{_key(key)} = {_value(value)}")
    for key, value in inner.items():
        path = f"{prefix}{_key(key)}"
        for member in value if isinstance(value, list) else [value]:
            header = f"[[{path}]]" if isinstance(value, list) else f"[{path}]"
            if isinstance(value, list) or not all(map(_is_table, member.values())):
                lines += ["", header]
            _table(member, f"{path}.", lines)


def _is_table(value: object) -> bool:
    """A table of its own, or a list of them; a number is written on one line."""
    if isinstance(value, list):
        return bool(value) and all(isinstance(item, dict) for item in value)
    return isinstance(value, dict) and "value" not in value and bool(value)


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _string(key)


def _string(text: str) -> str:
    """A basic string: JSON has the same escapes, and leaves out one that TOML wants."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        text = repr(value)  # the same float when it is read
        return text if re.search(r"[.e]", text) else f"{text}.0"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    assert isinstance(value, dict)
    inside = ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items())
    return f"{{ {inside} }}" if inside else "{}"
