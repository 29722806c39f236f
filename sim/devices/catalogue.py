"""Loading device entries: the catalogue beside this file, or a user's own TOML file."""

from __future__ import annotations

import math
import tomllib
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from ..numerics import G_CODE_MAX
from .device import Device, Parameter, variance_exponent
from .errors import DeviceError
from .schema import Entry

_FOLDER = Path(__file__).parent
_SIZE_LIMIT = 1 << 20
_MAX_SIGMA = 6.4  # the largest deviate of the normal table
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
        return _build(Path(text), None)
    name, colon, count = text.partition(":")
    if name not in catalogue():
        raise DeviceError(
            f"{name!r} is not a device; accepted are {', '.join(catalogue())}, or a .toml file"
        )
    if not colon:
        return _build(_FOLDER / f"{name}.toml", None)
    if not (count.isascii() and count.isdigit() and 2 <= int(count[:9]) <= _MAX_CHOSEN_LEVELS):
        raise DeviceError(
            f"{text!r} asks for {count!r} levels; accepted are 2..{_MAX_CHOSEN_LEVELS}"
        )
    return _build(_FOLDER / f"{name}.toml", int(count))


def _read(path: Path) -> Entry:
    try:
        if path.stat().st_size > _SIZE_LIMIT:
            raise DeviceError(f"{path} is larger than {_SIZE_LIMIT} bytes: not a device entry")
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DeviceError(f"{path} cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DeviceError(f"{path} is not a TOML file: {error}") from error
    try:
        return Entry.model_validate(raw)
    except ValidationError as error:
        raise DeviceError(f"{path}: {_first(error)}") from error


def _first(error: ValidationError) -> str:
    """The first complaint as ``field: what was found and what is accepted``."""
    complaint = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in complaint["loc"])
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


def _build(path: Path, count: int | None) -> Device:
    entry = _read(path)
    number = {name: quantity.value for name, quantity in entry.quantities()}
    if count is not None:
        if not entry.exact_levels:
            raise DeviceError(f"{path}: levels.count of {entry.name!r} cannot be chosen")
        number["levels.count"] = float(count)
    parameters = tuple(
        Parameter(name, number[name], quantity.unit, quantity.source, quantity.assumed,
                  quantity.note)
        for name, quantity in entry.quantities()
    )  # fmt: skip

    # Levels are whole codes in equal steps inside the window, so that a weight
    # is an exact number of codes.
    g_lsb = number["codes.g_lsb"]
    level_count = int(number["levels.count"])
    lowest = math.ceil(number["levels.g_min"] / g_lsb)
    step = (math.floor(number["levels.g_max"] / g_lsb) - lowest) // (level_count - 1)
    if step < 1:
        raise DeviceError(
            f"{path}: codes.g_lsb = {g_lsb:g} S is too coarse for {level_count} levels "
            "between levels.g_min and levels.g_max"
        )
    level_codes = lowest + step * np.arange(level_count, dtype=np.int64)
    levels = np.asarray(level_codes * g_lsb, dtype=np.float64)
    level_i_cc = np.asarray(
        (levels + number["line.offset"]) / number["line.slope"], dtype=np.float64
    )
    for array in (level_codes, levels, level_i_cc):
        array.setflags(write=False)

    device = Device(
        name=entry.name if count is None else f"{entry.name}:{count}",
        title=entry.title,
        stack=entry.stack,
        family=entry.family,
        mode=entry.mode,
        exact_levels=entry.exact_levels,
        slope=number["line.slope"],
        offset=number["line.offset"],
        inverse_offset=number["line.inverse_offset"],
        sigma_slope=number["line.sigma_slope"],
        sigma_offset=number["line.sigma_offset"],
        i_cc_min=number["line.i_cc_min"],
        i_cc_max=number["line.i_cc_max"],
        volatile_i_cc=number["line.volatile_i_cc"],
        g_hrs=number["hrs.conductance"],
        hrs_spread=number["hrs.spread"],
        v_set=number["pulses.v_set"],
        v_set_threshold=number["pulses.v_set_threshold"],
        v_reset=number["pulses.v_reset"],
        v_reset_threshold=number["pulses.v_reset_threshold"],
        set_width_s=number["pulses.set_width"],
        set_width_min_s=number["pulses.set_width_min"],
        reset_width_s=number["pulses.reset_width"],
        reset_width_min_s=number["pulses.reset_width_min"],
        v_read=number["read.v_read"],
        read_noise=number["read.noise"],
        g_lsb=g_lsb,
        var_exponent=variance_exponent(number["read.noise"]),
        level_codes=level_codes,
        levels=levels,
        level_i_cc=level_i_cc,
        verify_window=number["verify.half_window"],
        verify_tries=int(number["verify.tries"]),
        endurance=int(number["wear.endurance"]),
        retention_s=number["wear.retention"],
        parameters=parameters,
    )
    if not device.i_cc_min <= level_i_cc[0] <= level_i_cc[-1] <= device.i_cc_max:
        raise DeviceError(
            f"{path}: the levels need I_cc from {level_i_cc[0]:.4g} to {level_i_cc[-1]:.4g} A, "
            f"outside line.i_cc_min..i_cc_max = {device.i_cc_min:g}..{device.i_cc_max:g} A"
        )
    highest = device.mean(device.i_cc_max) + _MAX_SIGMA * device.sigma(device.i_cc_max)
    if highest > G_CODE_MAX * g_lsb:
        raise DeviceError(
            f"{path}: codes.g_lsb = {g_lsb:g} S covers {G_CODE_MAX * g_lsb:.4g} S, "
            f"the line reaches {float(highest):.4g} S"
        )
    return device
