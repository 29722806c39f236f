"""`ohmloom modes`: a device through all its modes on the RTL, with the waveform."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.table import Table

from ..output import Json, Reporter, emit, plain_table, short_number, working

if TYPE_CHECKING:
    from ...compiler.tour import Tour
    from ...sim.converters import Converters
    from ...sim.cosim.session import Done


def modes(
    device: Annotated[str, typer.Argument(help="Name in the catalogue, or a TOML file.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the waveforms.", metavar="FOLDER")
    ] = Path("build/modes"),
    seed: Annotated[int, typer.Option(min=0, max=(1 << 32) - 1, help="Seed of the draws.")] = 1,
    as_json: Json = False,
) -> None:
    """Take a device through its modes on the RTL and draw V, I_cc and G.

    Every step is compared with the numpy engine, refusals included; exit code 1 at the
    first difference.
    """
    with working(), Reporter() as reporter:
        import numpy as np

        from ...compiler.options import Options
        from ...compiler.tour import make_tour
        from ...sim.converters import Converters
        from ...sim.cosim.comparison import Verdict
        from ...sim.cosim.job import Job
        from ...sim.cosim.session import run_tour
        from ...sim.cosim.waveform import draw_waveform
        from ...sim.devices import load
        from ..steps.cosimulation import DisagreementError

        entry, converters, clk_hz = load(device), Converters(), Options().clk_hz
        tour = make_tour(entry, converters, clk_hz)
        image = tour.image
        job = Job(
            image=image,
            device=entry,
            levels=np.zeros((image.tiles, image.geometry.rows, image.geometry.columns), np.int64),
            samples=np.zeros((0, image.input.count), np.int64),
            converters=converters,
            seed=seed,
            clk_hz=clk_hz,
        )
        try:
            done = run_tour(
                job,
                (tour.steps, tour.after_reset),
                lambda stage, at, total: reporter.update(f"RTL: {stage}", at, total),
            )
        except Verdict as verdict:
            raise DisagreementError(f"RTL and numpy engine differ: {verdict}") from verdict
        reporter.update("drawing")
        files = [
            path
            for tile in range(image.tiles)
            for path in draw_waveform(
                done, tile, clk_hz, _gap(tour, converters), _title(entry.name, done, tile),
                output, f"{entry.name}-{tile}",
            )
        ]  # fmt: skip
        data = _data(entry.name, tour, done, files)
        report = _report(data)
    emit(as_json, data, report)


def _gap(tour: Tour, converters: Converters) -> tuple[float, float] | None:
    """The currents between which the device has no mode [A]."""
    drive = tour.profile.profile.modes[0].drive
    if drive.gap_low == drive.gap_high:
        return None
    low, high = converters.i_cc([drive.gap_low, drive.gap_high])
    return float(low), float(high)


def _title(name: str, done: Sequence[Done], tile: int) -> str:
    """The modes that a tile went through."""
    here = [one.mode for one in done if one.step.tile == tile and one.mode != "unknown"]
    path = [mode for n, mode in enumerate(here) if n == 0 or mode != here[n - 1]]
    return f"{name}, tile {tile}: {' to '.join(path)}"


def _data(name: str, tour: Tour, done: Sequence[Done], files: Sequence[Path]) -> dict[str, Any]:
    steps = [
        {
            "step": one.step.name,
            "tile": one.step.tile,
            "said": "STOPPED" if one.step.stopped else one.status.name,
            "mode": one.mode,
            "cycles": one.cycles,
            "samples": len(one.samples),
            "openings": len(one.intervals),
            "g_siemens": one.intervals[-1].after if one.intervals else None,
        }
        for one in done
    ]
    return {
        "device": name,
        "steps": steps,
        "refused": sum(one.step.refused is not None or one.step.stopped for one in done),
        "values_compared": sum(one.compared for one in done),
        "mismatches": 0,
        "ways": [
            {
                "from": way.start, "to": way.to, "volts": way.volts, "rate_v_s": way.rate_v_s,
                "i_cc": way.i_cc, "irreversible": way.irreversible,
            }
            for way in tour.profile.ways
        ],
        "left_out": list(tour.profile.left_out),
        "assumed": list(tour.profile.assumed),
        "figures": [str(path) for path in files],
    }  # fmt: skip


def _report(data: dict[str, Any]) -> RenderableType:
    table: Table = plain_table(
        f"Modes of {data['device']} on the RTL", "tile", "mode", "said", "G [S]", "step"
    )
    for step in data["steps"]:
        g = step["g_siemens"]
        shown = "" if g is None else short_number(g)
        table.add_row(str(step["tile"]), step["mode"], step["said"], shown, step["step"])
    lines = [
        f"{data['values_compared']} values and cells compared with the numpy engine, all equal; "
        f"{data['refused']} steps refused as they have to be",
        *(f"assumed: {text}" for text in data["assumed"]),
        *data["left_out"],
        *(f"drawn: {path}" for path in data["figures"]),
    ]
    return Group(table, *lines)
