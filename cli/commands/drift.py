"""`ohmloom drift`: accuracy against time and temperature."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ..output import Json, Reporter, emit, plain_table, short_number, working


def drift(
    bundle: Annotated[Path, typer.Argument(help="Bundle directory.")],
    samples: Annotated[Path, typer.Option("--input", help="Samples, .npy (n, ...).")],
    labels: Annotated[Path, typer.Option(help="Class of each sample, .npy (n,).")],
    seconds: Annotated[str, typer.Option(help="Times since programming [s].")] = "0,1e3,1e4,1e5",
    kelvin: Annotated[
        str | None, typer.Option(help="Temperatures of the reads [K] [that of programming].")
    ] = None,
    as_json: Json = False,
) -> None:
    """Accuracy after some times at some temperatures, as is and with compensated factors."""
    with working(), Reporter() as reporter:
        from ...compiler.ageing import aged
        from ...compiler.bundle import load_bundle
        from ...compiler.runner import check_labels
        from ..arrays import blaming, load_array

        times = _numbers(seconds, "--seconds")
        kelvins = [] if kelvin is None else _numbers(kelvin, "--kelvin")
        compiled = load_bundle(bundle)
        x, classes = load_array(samples), load_array(labels)
        with blaming(labels):
            check_labels(classes, len(x), compiled.layers[-1].outputs)
        rows = []
        total = len(set(times)) * max(len(kelvins), 1)
        reporter.update("ageing the array", 0, total)
        for row in aged(compiled, x, classes, times, kelvins):
            rows.append(row)
            reporter.update("ageing the array", len(rows), total)
    table = plain_table(f"Drift of {bundle.name}", "s", "K", "weights", "accuracy", "compensated")
    for row in rows:
        table.add_row(
            short_number(row.seconds),
            f"{row.kelvin:.2f}",
            f"{row.gain:.4f}",
            f"{row.accuracy:.4f}",
            f"{row.compensated:.4f}",
        )
    emit(
        as_json,
        {"bundle": str(bundle), "samples": len(x), "rows": [asdict(r) for r in rows]},
        table,
    )


def _numbers(text: str, option: str) -> list[float]:
    """Those of an option, between commas."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise typer.BadParameter(
            f"{option} {text} is not numbers between commas, like 0,1e3,1e5"
        ) from None
