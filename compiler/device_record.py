"""A device as JSON in the manifest, so that a bundle runs on the very device it was made for."""

from __future__ import annotations

from dataclasses import asdict, fields
from functools import cache
from typing import Any, get_type_hints

import numpy as np
from pydantic import BaseModel, ConfigDict, create_model

from ..sim.devices import Device
from ..sim.numerics import FloatArray, IntArray

ARRAYS: dict[Any, Any] = {IntArray: list[int], FloatArray: list[float]}
DTYPES: dict[Any, type[np.generic]] = {IntArray: np.int64, FloatArray: np.float64}


@cache
def record_model() -> type[BaseModel]:
    """The strict schema of a device record: one field per attribute, arrays as lists."""
    hints = get_type_hints(Device)
    definitions: dict[str, Any] = {
        field.name: (ARRAYS.get(hints[field.name], hints[field.name]), ...)
        for field in fields(Device)
    }
    config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
    return create_model("DeviceRecord", __config__=config, **definitions)


def to_record(device: Device) -> dict[str, Any]:
    """Every attribute as plain Python; floats keep their bits through JSON."""
    return {
        name: value.tolist() if isinstance(value, np.ndarray) else value
        for name, value in asdict(device).items()
    }


def from_record(record: BaseModel) -> Device:
    """The device of a validated record, its arrays read-only.

    Raises
    ------
    ValueError
        If the level tables do not agree in length.
    """
    hints = get_type_hints(Device)
    values = {field.name: getattr(record, field.name) for field in fields(Device)}
    for name, value in values.items():
        if hints[name] in DTYPES:
            array = np.array(value, DTYPES[hints[name]])
            array.setflags(write=False)
            values[name] = array
    lengths = {len(values[name]) for name in ("level_codes", "levels", "level_i_cc")}
    if len(lengths) != 1 or min(lengths) < 2:
        raise ValueError(f"device level tables have {sorted(lengths)} entries")
    return Device(**values)
