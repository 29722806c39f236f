"""``ohmloom.toml``: the networks of a repository, and what is asked of them."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ..compiler.options import Options
from ..errors import OhmloomError
from ..sim.cosim.simulator import Simulator
from . import FILE

NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
"""Of a network: it names a folder too."""


class SettingsError(OhmloomError):
    """An ``ohmloom.toml`` that cannot be used."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Limits(_Table):
    """What a network has to keep to; None: it is not asked."""

    accuracy: Annotated[float, Field(ge=0, le=1)] | None = None
    """Fraction of right classes, at least, in the numpy engine with the device's noise."""
    cycles: Annotated[int, Field(ge=1)] | None = None
    """Clock cycles of an inference, at most: of the first one, as predicted and as counted."""
    tiles: Annotated[int, Field(ge=1)] | None = None
    """Tiles, at most."""
    fmax_mhz: Annotated[float, Field(gt=0)] | None = None
    """What the slowest clock of the bitstream has to reach, beyond the board's own."""


class Settings(_Table):
    """One network. Paths are from the folder of the file."""

    model: Path
    device: str
    """Catalogue name, ``NAME:LEVELS``, or a .toml file."""
    calibration: Path
    target: str = "ulx3s-85f"
    """A board, or ``simulated``."""
    rows: int | None = None
    columns: int | None = None
    """Lines of a tile; None: the target's."""
    adc_bits: Annotated[int, Field(ge=8, le=16)] = 16
    input_bits: Annotated[int, Field(ge=1, le=8)] = 1
    sensing: Literal["columns", "differential"] = "columns"
    """Of the converters; the last two with the target ``simulated`` alone."""
    inputs: Path | None = None
    """Samples of the accuracy and the co-simulation; without them, the bundle's own."""
    labels: Path | None = None
    cosim: Annotated[int, Field(ge=0)] = 4
    """Samples that are co-simulated."""
    simulator: Simulator = Simulator.CXXRTL
    bitstream: bool = False
    """Whether the bitstream is built."""
    options: dict[str, Any] = Field(default_factory=dict)
    """The compiler's (:class:`~ohmloom.compiler.options.Options`), but not its clock."""
    limits: Limits = Limits()

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        if "clk_hz" in self.options:
            raise ValueError("options.clk_hz is the target's and cannot be chosen")
        Options.model_validate(self.options)
        if (self.labels is None) != (self.limits.accuracy is None):
            raise ValueError("labels and limits.accuracy need each other")
        if self.labels is not None and self.inputs is None:
            raise ValueError("labels need inputs")
        if self.limits.fmax_mhz is not None and not self.bitstream:
            raise ValueError("limits.fmax_mhz needs bitstream = true")
        return self


class _Document(_Table):
    networks: Annotated[dict[Annotated[str, Field(pattern=NAME)], Settings], Field(min_length=1)]


def read_settings(path: Path) -> dict[str, Settings]:
    """The networks of an ``ohmloom.toml`` by name, with paths made whole.

    Raises
    ------
    SettingsError
        If it cannot be read, has a field that is unknown or wrong, or names a file that is
        not there.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        # As JSON a path is a string and nothing else is taken for something else.
        found = _Document.model_validate_json(json.dumps(document, default=str)).networks
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not TOML: {error}") from error
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in detail["loc"])
        message = detail["msg"].removeprefix("Value error, ")
        raise SettingsError(f"{path}: {where}: {' '.join(message.split())}") from error
    return {name: _whole(path, name, settings) for name, settings in found.items()}


def _whole(path: Path, name: str, settings: Settings) -> Settings:
    folder, paths = path.parent, {}
    for field in ("model", "calibration", "inputs", "labels"):
        given = getattr(settings, field)
        if given is not None:
            paths[field] = folder / given
            if not paths[field].is_file():
                raise SettingsError(f"{path}: networks.{name}.{field}: no file {paths[field]}")
    if settings.device.endswith(".toml"):
        paths["device"] = str(folder / settings.device)
    return settings.model_copy(update=paths)


def nearest(test: Path, root: Path) -> Path:
    """The ``ohmloom.toml`` that is nearest above a test, not above the root folder.

    Raises
    ------
    SettingsError
        If there is none.
    """
    for folder in test.parents:
        if (folder / FILE).is_file():
            return folder / FILE
        if folder == root:
            break
    raise SettingsError(f"there is no {FILE} between {test.parent} and {root}")
