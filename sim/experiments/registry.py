"""Every experiment, and how one is run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ...errors import OhmloomError
from ..devices import Device
from ..figure import draw
from . import (
    s000,
    s001,
    s002_bipolar,
    s002_endurance,
    s002_nonvolatile,
    s002_reconfigure,
    s002_retention,
    s002_volatile,
    s003,
    s004_analog,
    s004_entering,
    s004_lasting,
    s004_logic,
    s004_nonvolatile,
    s004_paths,
    s004_power,
    s004_volatile,
)
from .bench import Bench
from .record import Assumed, Definition, Experiment, Result

EXPERIMENTS: tuple[Definition, ...] = (
    *s000.EXPERIMENTS,
    *s001.EXPERIMENTS,
    *s002_volatile.EXPERIMENTS,
    *s002_nonvolatile.EXPERIMENTS,
    *s002_bipolar.EXPERIMENTS,
    *s002_endurance.EXPERIMENTS,
    *s002_retention.EXPERIMENTS,
    *s002_reconfigure.EXPERIMENTS,
    *s003.EXPERIMENTS,
    *s004_analog.EXPERIMENTS,
    *s004_entering.EXPERIMENTS,
    *s004_power.EXPERIMENTS,
    *s004_lasting.EXPERIMENTS,
    *s004_paths.EXPERIMENTS,
    *s004_volatile.EXPERIMENTS,
    *s004_nonvolatile.EXPERIMENTS,
    *s004_logic.EXPERIMENTS,
)


class UnknownExperiment(OhmloomError, ValueError):
    """A name that no experiment has."""


def select(name: str) -> tuple[Definition, ...]:
    """The experiments of a seed (``001``), or the one called ``001/temperature``.

    Raises
    ------
    UnknownExperiment
        If there is none.
    """
    found = tuple(item for item in EXPERIMENTS if name in (item.path, item.seed))
    if not found:
        seeds = sorted({item.seed for item in EXPERIMENTS})
        known = [item.path for item in EXPERIMENTS if item.seed == name.partition("/")[0]] or seeds
        raise UnknownExperiment(f"{name!r} is not an experiment; accepted are {', '.join(known)}")
    return found


def run(definition: Definition, bench: Bench, folder: Path) -> Experiment:
    """Run one experiment and draw its figure into ``folder``."""
    result = definition.run(bench)
    figures = draw(
        result.plot,
        f"{definition.title}  (seed {definition.seed}, {definition.stands_for})",
        folder,
        definition.path.replace("/", "_"),
    )
    return Experiment(
        seed=definition.seed,
        name=definition.name,
        title=definition.title,
        stands_for=definition.stands_for,
        rows=result.rows,
        assumed=assumptions(tuple(bench.used.values()), result),
        devices=tuple(bench.used),
        figures=figures,
    )


def assumptions(devices: Sequence[Device], result: Result) -> tuple[Assumed, ...]:
    """Every assumed parameter of the devices, with what the result says it changes."""
    return tuple(
        Assumed(
            device=device.name,
            parameter=parameter.name,
            value=parameter.value,
            unit=parameter.unit,
            reason=parameter.assumed,
            influences=_influence(parameter.name, result.influences.get(device.name, {})),
        )
        for device in devices
        for parameter in device.parameters
        if parameter.assumed is not None
    )


def _influence(name: str, texts: Mapping[str, str]) -> str:
    """The text of the longest front of a dotted name; empty if there is none."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        front = ".".join(parts[:length])
        if front in texts:
            return texts[front]
    return ""
