"""One file of the catalogue: its header, its modes, and the ways between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, ValidationError

from .errors import DeviceError
from .families import FAMILIES, WEIGHT_FAMILIES
from .modes import Transition
from .schema import ModeSection, Quantity, Section, quantities


class Header(Section):
    """Everything but the inside of the modes, which depends on their family."""

    version: Literal[2] = Field(alias="schema")
    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,63}(:[0-9]{1,3})?$")
    title: str = Field(min_length=1, max_length=200)
    stack: str = Field(min_length=1, max_length=200)
    references: dict[str, str]
    modes: dict[str, dict[str, Any]] = Field(min_length=1, max_length=16)
    transitions: list[Transition] = Field(default_factory=list)


@dataclass(frozen=True)
class Entry:
    """A validated device entry.

    Attributes
    ----------
    header:
        Name, references and transitions.
    modes:
        The family's ``Parameters`` of each mode, by name; cells are made in the
        first one.
    """

    header: Header
    modes: Mapping[str, ModeSection]

    def quantities(self) -> Iterator[tuple[str, Quantity]]:
        """Every number of the entry with the dotted name that it has in the file."""
        for name, mode in self.modes.items():
            yield from quantities(mode, f"modes.{name}.")
        for n, way in enumerate(self.header.transitions):
            yield from quantities(way, f"transitions.{n}.")

    def document(self) -> dict[str, Any]:
        """The entry as it is in a file, as plain Python; floats keep their bits."""
        plain = self.header.model_dump(by_alias=True, exclude_none=True)
        modes = {name: m.model_dump(by_alias=True, exclude_none=True)
                 for name, m in self.modes.items()}  # fmt: skip
        return {**plain, "modes": modes}


def parse(raw: object, where: str) -> Entry:
    """The entry of a parsed TOML or JSON document.

    Raises
    ------
    DeviceError
        If it is none; the sentence begins with ``where`` and names the field.
    """
    try:
        header = Header.model_validate(raw)
    except ValidationError as error:
        raise DeviceError(f"{where}: {first_complaint(error)}") from error
    entry = Entry(header, {name: _mode(name, m, where) for name, m in header.modes.items()})
    try:
        _check(entry)
    except ValueError as error:
        raise DeviceError(f"{where}: {error}") from error
    return entry


def _mode(name: str, raw: dict[str, Any], where: str) -> ModeSection:
    family = raw.get("family")
    if not isinstance(family, str) or family not in FAMILIES:
        raise DeviceError(
            f"{where}: modes.{name}.family: {family!r} is no family of models, "
            f"accepted are {', '.join(FAMILIES)}"
        )
    try:
        return FAMILIES[family].Parameters.model_validate(raw)
    except ValidationError as error:
        raise DeviceError(f"{where}: {first_complaint(error, f'modes.{name}')}") from error


def _check(entry: Entry) -> None:
    """What no section can know by itself."""
    references = entry.header.references
    origins = [(f"{name}.source", q.source) for name, q in entry.quantities()]
    for n, way in enumerate(entry.header.transitions):
        origins.append((f"transitions.{n}.source", way.source))
        for end in (way.start, way.to):
            if end not in entry.modes:
                raise ValueError(f"transitions.{n}: {end!r} is not a mode of this entry")
        if way.irreversible and any(
            (back.start, back.to) == (way.to, way.start) for back in entry.header.transitions
        ):
            raise ValueError(f"transitions.{n} is irreversible, and yet there is a way back")
    for name, source in origins:
        if source is not None and not any(source.startswith(key) for key in references):
            raise ValueError(
                f"{name} {source!r} begins with none of the references {sorted(references)}"
            )
    for name, mode in entry.modes.items():
        other = mode.wears_with
        if other is not None and other not in entry.modes:
            raise ValueError(f"modes.{name}.wears_with: {other!r} is not a mode of this entry")
        if other is not None and entry.modes[other].wears_with is not None:
            raise ValueError(f"modes.{name}.wears_with: {other!r} counts no cycles of its own")
        if mode.drift is not None and mode.family not in WEIGHT_FAMILIES:
            raise ValueError(f"modes.{name}.drift: {mode.family} cells relax by laws of their own")
    grids = {m.codes.g_lsb.value for m in entry.modes.values() if m.codes is not None}
    if len(grids) > 1:
        raise ValueError("modes that hold weights share one codes.g_lsb")


def first_complaint(error: ValidationError, prefix: str = "") -> str:
    """The first complaint as ``field: what was found and what is accepted``."""
    complaint = error.errors(include_url=False)[0]
    field = ".".join([*([prefix] if prefix else []), *(str(part) for part in complaint["loc"])])
    kind, found = complaint["type"], complaint["input"]
    if kind == "missing":
        text = "is missing"
    elif kind == "extra_forbidden":
        text = "is not a field of a device entry"
    elif kind == "value_error":
        text = complaint["msg"].removeprefix("Value error, ")
    else:
        shown = repr(found)
        text = f"{complaint['msg']}, found {shown if len(shown) <= 40 else shown[:40] + '...'}"
    return f"{field}: {text}" if field else text
