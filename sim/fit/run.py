"""From a file of measurements to a device entry and a figure."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from ..devices import Device, Mode, load
from ..figure import draw
from . import diffusive, filament, icc_line, ionic
from .entry import assemble, name_of, to_toml
from .errors import FitError
from .found import Found
from .history import History, read_csv
from .replay import Replay


@dataclass(frozen=True)
class Fitter:
    """How a family is fitted, and the catalogue device that lends what data do not tell."""

    base: str
    fit: Callable[[History, Mode], Found]


FITTERS: Final[dict[str, Fitter]] = {
    "icc_line": Fitter(icc_line.BASE, icc_line.fit),
    "filament": Fitter(filament.BASE, filament.fit),
    "ionic": Fitter(ionic.BASE, ionic.fit),
    "diffusive": Fitter(diffusive.BASE, diffusive.fit),
}
"""The families that can be fitted."""


@dataclass(frozen=True)
class Fitted:
    """A fitted device.

    Attributes
    ----------
    device, mode:
        The device, and the name of its mode.
    base:
        Name of the entry that lent the rest.
    found:
        What the data told.
    rows, cells:
        Size of the data.
    """

    device: Device
    mode: str
    base: str
    found: Found
    rows: int
    cells: int


def fit(
    path: Path,
    family: str,
    *,
    base: str | None = None,
    mode: str | None = None,
    name: str | None = None,
    stack: str | None = None,
) -> Fitted:
    """Fit a device of a family to a file of measurements.

    Parameters
    ----------
    path:
        The CSV file (``docs/fit.md``).
    family:
        One of :data:`FITTERS`.
    base, mode:
        Catalogue name or ``.toml`` file that lends what the data do not tell, and
        which of its modes; without them the family's own base, and its first mode
        of this family.
    name, stack:
        Of the device; without them from the file and the base.

    Raises
    ------
    FitError
        If the data do not tell enough, or nothing that fits together.
    DeviceError
        If there is no such base.
    """
    fitter = FITTERS.get(family)
    if fitter is None:
        raise FitError(f"{family!r} cannot be fitted; accepted are {', '.join(FITTERS)}")
    lender = load(base or fitter.base)
    chosen = _mode(lender, family, mode)
    history = read_csv(path)
    found = fitter.fit(history, chosen)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    device = assemble(
        lender, chosen, found,
        name=name_of(path.stem if name is None else name),
        stack="not given" if stack is None else stack,
        file=history.name,
        about=f"{history.name}, {history.size} rows, SHA-256 {digest}",
    )  # fmt: skip
    found = replace(found, notes=(*found.notes, *_refused(history, device.modes[0])))
    return Fitted(device, chosen.name, lender.name, found, history.size, len(history.cells))


def _refused(history: History, mode: Mode) -> list[str]:
    """A note if the entry would not let an array do what was done."""
    window = mode.family.window(mode.p)
    complaint = Replay(history, window.set_sign).complaint(mode.family, mode.p)
    return [f"an array refuses a part of what was done: {complaint}"] if complaint else []


def _mode(device: Device, family: str, wanted: str | None) -> Mode:
    modes = [mode for mode in device.modes if mode.p.family == family]
    if not modes:
        own = ", ".join(f"{mode.name} ({mode.p.family})" for mode in device.modes)
        raise FitError(f"the base {device.name} has no mode of the family {family}, only {own}")
    if wanted is None:
        return modes[0]
    for mode in modes:
        if mode.name == wanted:
            return mode
    names = ", ".join(mode.name for mode in modes)
    raise FitError(f"{device.name} has no {family} mode {wanted!r}; accepted are {names}")


def write(fitted: Fitted, path: Path, *, force: bool = False) -> tuple[Path, Path, Path]:
    """Write the entry to ``path``, and the figure beside it; returns all three paths.

    Raises
    ------
    FitError
        If ``path`` is no ``.toml`` file, or one of the files is there and ``force`` is not given.
    """
    files = check_output(path, force)
    path.parent.mkdir(parents=True, exist_ok=True)
    name = fitted.device.name
    with tempfile.TemporaryDirectory(prefix=".ohmloom-", dir=path.parent) as folder:
        made = [Path(folder) / "device.toml"]
        made[0].write_text(to_toml(fitted.device), encoding="utf-8")
        made += draw(fitted.found.plot, f"{name}: data and model", Path(folder), "device")
        load(made[0])  # what is delivered can be used
        for temporary, final in zip(made, files, strict=True):
            temporary.replace(final)
    return files


def check_output(path: Path, force: bool) -> tuple[Path, Path, Path]:
    """The three files that are written; :class:`FitError` if that cannot or may not be done."""
    if path.suffix != ".toml":
        raise FitError(f"{path} is not the name of a .toml file")
    files = (path, path.with_suffix(".png"), path.with_suffix(".svg"))
    for file in files:
        if file.exists() and not force:
            raise FitError(f"{file} is there already; --force replaces it")
    return files
