"""Loading device entries: the catalogue beside this file, or a user's own TOML file."""

from __future__ import annotations

import copy
import tomllib
from pathlib import Path
from typing import Any

from .datasheet import sheets
from .device import Device
from .entry import parse
from .errors import DeviceError

_FOLDER = Path(__file__).parent
_SIZE_LIMIT = 1 << 20
_MAX_CHOSEN_LEVELS = 256  # the gate DAC tells more of them apart no longer


def catalogue() -> list[str]:
    """Names of the devices that come with the project, sorted."""
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


def load(name_or_path: str | Path) -> Device:
    """A device by its catalogue name, or by the path of a ``.toml`` file.

    ``NAME:N`` chooses the number of levels of a device with exact ones
    (``ideal:64``).

    Raises
    ------
    DeviceError
        If there is no such device, or its entry cannot be used; the sentence
        names file and field.
    """
    text = str(name_or_path)
    if isinstance(name_or_path, Path) or text.endswith(".toml"):
        return build(_read(Path(text)), text)
    name, colon, count = text.partition(":")
    if text in sheets():
        raise DeviceError(f"{text!r} is known by its data sheet only: it has no model to run")
    if name not in catalogue():
        raise DeviceError(
            f"{name!r} is not a device; accepted are {', '.join(catalogue())}, or a .toml file"
        )
    path = _FOLDER / f"{name}.toml"
    raw = _read(path)
    if not colon:
        return build(raw, str(path))
    if not (count.isascii() and count.isdigit() and 2 <= int(count[:9]) <= _MAX_CHOSEN_LEVELS):
        raise DeviceError(
            f"{text!r} asks for {count!r} levels; accepted are 2..{_MAX_CHOSEN_LEVELS}"
        )
    exact = [mode for mode in raw["modes"].values() if mode.get("exact_levels")]
    if not exact:
        raise DeviceError(f"{path}: levels.count of {name!r} cannot be chosen")
    raw["name"] = text
    exact[0]["levels"]["count"]["value"] = int(count)
    return build(raw, str(path))


def build(document: object, where: str) -> Device:
    """The device of a parsed TOML or JSON document.

    Raises
    ------
    DeviceError
        If it is none; the sentence begins with ``where`` and names the field.
    """
    entry = parse(document, where)
    try:
        return Device(entry)
    except DeviceError as error:
        raise DeviceError(f"{where}: {error}") from error


def changed(device: Device, **values: float) -> Device:
    """The same device with other numbers, by dotted name; their origin stays as it was.

    ``changed(device, **{"modes.nonvolatile.hrs.spread": 0.4})``

    Raises
    ------
    DeviceError
        If it has no such number, or may not have that value.
    """
    document = copy.deepcopy(device.document())
    for name, value in values.items():
        device.number(name)
        node: Any = document
        for part in name.split("."):
            node = node[int(part) if isinstance(node, list) else part]
        node["value"] = value
    return build(document, device.name)


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _SIZE_LIMIT:
            raise DeviceError(f"{path} is larger than {_SIZE_LIMIT} bytes: not a device entry")
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DeviceError(f"{path} cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DeviceError(f"{path} is not a TOML file: {error}") from error
