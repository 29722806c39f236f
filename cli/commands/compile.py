"""`ohmloom compile`: an ONNX network becomes a bundle."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..output import Json, Reporter, emit, key_table, working

if TYPE_CHECKING:
    from ...compiler.options import LayerOptions

SEED_MAX = (1 << 32) - 1


class SchemeName(StrEnum):
    """Which columns weights are in."""

    DIFFERENTIAL = "differential"
    OFFSET = "offset"
    TWOS_COMPLEMENT = "twos-complement"


class Sensing(StrEnum):
    """What is converted."""

    COLUMNS = "columns"
    DIFFERENTIAL = "differential"


def _finite(ohms: float) -> float:
    """Neither bound refuses what is no number."""
    if ohms != ohms:
        raise typer.BadParameter("nan is no resistance")
    return ohms


def compile_model(
    model: Annotated[Path, typer.Argument(help="ONNX file.")],
    device: Annotated[str, typer.Option(help="Catalogue name, NAME:LEVELS, or a .toml file.")],
    calib: Annotated[Path, typer.Option(help="Calibration samples, .npy (n, ...).")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Bundle to write [MODEL's name .ohm].")
    ] = None,
    target: Annotated[
        str, typer.Option(help="Board, a Python file with one, or 'simulated': no limit.")
    ] = "ulx3s-85f",
    afe: Annotated[str | None, typer.Option(help="Front end [the board's first].")] = None,
    shape: Annotated[
        str | None, typer.Option(help="Of the input, like 3,224,224, where it is open.")
    ] = None,
    rows: Annotated[int | None, typer.Option(help="Rows of a tile [the target's].")] = None,
    columns: Annotated[
        int | None,
        typer.Option(help="Columns of a tile, one or two an output [the target's]."),
    ] = None,
    act_bits: Annotated[int, typer.Option(min=4, max=16, help="Bits of activations.")] = 8,
    slices: Annotated[
        int, typer.Option(min=1, max=8, help="Cells, or pairs of them, of a weight.")
    ] = 1,
    scheme: Annotated[
        SchemeName,
        typer.Option(
            help="Columns of an output: a pair; one, less an offset column; one in two's "
            "complement, of two slices or more."
        ),
    ] = SchemeName.DIFFERENTIAL,
    pack: Annotated[
        int, typer.Option(min=1, help="Small matrices of a layer that are joined to one, at most.")
    ] = 4,
    adc_bits: Annotated[int, typer.Option(min=8, max=16, help="Bits of the ADC.")] = 16,
    input_bits: Annotated[
        int,
        typer.Option(min=1, max=8, help="Bits of a DAC at each row; 1: bit planes. Simulated."),
    ] = 1,
    sensing: Annotated[
        Sensing,
        typer.Option(help="Every column is converted, or the difference of a pair. Simulated."),
    ] = Sensing.COLUMNS,
    faults: Annotated[
        Path | None,
        typer.Option(help="Stuck cells, .npy (tiles, rows, columns) of siemens, else NaN."),
    ] = None,
    no_spare: Annotated[
        bool, typer.Option("--no-spare", help="No rows to spare for stuck cells.")
    ] = False,
    no_permute: Annotated[
        bool, typer.Option("--no-permute", help="Channels in their order, stuck cells or not.")
    ] = False,
    one_shot: Annotated[
        bool, typer.Option("--one-shot", help="Write cells once, without verify.")
    ] = False,
    calibrated: Annotated[
        bool,
        typer.Option(
            "--calibrated",
            help="With a calibration table in the controller: gain and offset of each channel.",
        ),
    ] = False,
    wire_ohms: Annotated[
        float,
        typer.Option(
            min=0, max=1e6, callback=_finite, help="Resistance of a line from cell to cell [ohm]."
        ),
    ] = 0.0,
    target_drop: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Accuracy that may be lost: slices, act and ADC bits are chosen."
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="Classes of the calibration samples, .npy [what floats say]."),
    ] = None,
    budget: Annotated[
        bool, typer.Option("--budget", help="Take the error of every layer apart by its causes.")
    ] = False,
    sensitivity: Annotated[
        bool,
        typer.Option("--sensitivity", help="Find which layer needs what: better cells or bits."),
    ] = False,
    no_host: Annotated[
        bool,
        typer.Option("--no-host", help="Refuse operators that would have to run on the host."),
    ] = False,
    layer: Annotated[
        list[str] | None,
        typer.Option(
            help="Knobs of one layer or of the input, like "
            "conv1:act_bits=6,tia_range=1,slices=2,scheme=offset; as often as needed."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=SEED_MAX, help="Seed of every draw.")] = 1,
    as_json: Json = False,
) -> None:
    """Compile an ONNX network for a device into a bundle."""
    sizes, own = _sizes(shape), _layers(layer or [])
    with working(), Reporter() as reporter:
        from ...compiler.options import Options
        from ..arrays import blaming, load_array
        from ..steps.compiling import choose_knobs, compile_bundle
        from ..steps.targets import afe_of, converters_of, link_baud
        from ..steps.targets import target as geometry_of

        geometry, clk_hz = geometry_of(target, rows, columns, afe, calibrated)
        converters = converters_of(target, adc_bits, input_bits, sensing.value)
        kind = afe_of(target, afe)
        options = Options(
            act_bits=act_bits,
            slices=slices,
            scheme=scheme.value,
            pack=pack,
            spare=not no_spare,
            permute=not no_permute,
            verify=not one_shot,
            wire_ohms=wire_ohms,
            seed=seed,
            clk_hz=clk_hz,
            afe=kind,
            host=not no_host,
            layers=own,
        )
        bundle = output or Path(f"{model.stem}.ohm")
        samples, search = load_array(calib), None
        classes = None if labels is None else load_array(labels)
        if target_drop is not None:
            with blaming(calib):
                options, converters, search = choose_knobs(
                    model, device, samples, classes, geometry, options, target_drop, reporter,
                    converters, sizes,
                )  # fmt: skip
        stuck = None if faults is None else load_array(faults)
        with blaming(calib):
            _, data = compile_bundle(
                model,
                device,
                samples,
                bundle,
                reporter,
                geometry,
                options,
                converters,
                stuck,
                budget=budget,
                needs=sensitivity,
                labels=classes,
                shape=sizes,
                search=search,
                baud=link_baud(target),
            )
    emit(as_json, data, key_table(f"Compiled {model.name}", data))


def _sizes(text: str | None) -> list[int] | None:
    """Dimensions with commas between them."""
    try:
        return None if text is None else [int(part) for part in text.split(",")]
    except ValueError as error:
        raise typer.BadParameter(
            f"--shape {text}: whole numbers with commas between them are accepted"
        ) from error


def _layers(given: list[str]) -> dict[str, LayerOptions]:
    """Knobs of layers by their names, which may have colons in them."""
    from ...compiler.options import LayerOptions

    found: dict[str, LayerOptions] = {}
    for text in given:
        name, _, knobs = text.rpartition(":")
        try:
            values = dict(knob.split("=") for knob in knobs.split(","))
            own = {key: value if key == "scheme" else int(value) for key, value in values.items()}
            found[name] = LayerOptions.model_validate(own)
        except ValueError as error:
            raise typer.BadParameter(
                f"--layer {text}: NAME:act_bits=8,tia_range=1,slices=2,scheme=offset, or some of "
                f"these, is accepted, 4 to 16 bits, 1 to 8 slices, {', '.join(SchemeName)}"
            ) from error
    return found
