"""Sections of ``report.html`` on what a network costs: where it runs, writing, energy, knobs."""

from __future__ import annotations

from typing import Any

from .page_parts import note, row, si, table


def where_section(places: list[dict[str, str]]) -> str:
    """What runs where, and why there."""
    rows = [row(*(place[key] for key in ("name", "kind", "where", "why"))) for place in places]
    return "<h2>What runs where</h2>" + table(("layer", "kind", "where", "why"), rows, text=True)


def host_section(calls: list[dict[str, Any]]) -> str:
    """What runs on the host; nothing if nothing does."""
    if not calls:
        return ""
    rows = [
        row(
            call["name"],
            "; ".join(f"{n['operator']} {n['name']}: {n['reason']}" for n in call["nodes"]),
            f"{call['words_in']:,}",
            f"{call['words_out']:,}",
            "" if call["link_seconds"] is None else si(call["link_seconds"], "s"),
        )
        for call in calls
    ]
    return (
        "<h2>On the host</h2>"
        + note(
            "What has no lowering runs on the host between two runs of the controller. The words "
            "that go over the link are counted, the time is estimated by its rate."
        )
        + table(("segment", "nodes", "words in", "words out", "link"), rows)
    )


def programming_section(found: dict[str, Any]) -> str:
    """Pulses, time and energy of writing the cells."""
    tag = found["tag"]
    rows = [
        row(
            each["name"],
            f"{each['cells']:,}",
            f"{each['tries_per_cell']:.3f}",
            f"{each['pulses']:,}",
            f"{each['conversions']:,}",
            f"{each['not_converged']:,}",
            "" if each["seconds"] is None else si(each["seconds"], "s"),
            si(each["pulse_j"], "J"),
            "" if each["supplies_j"] is None else si(each["supplies_j"], "J"),
        )
        for each in (*found["layers"], {"name": "all", **found["total"]})
    ]
    head = (
        *("layer", "cells", "tries per cell", "pulses", "conversions", "not converged", "time"),
        *("in pulses, at most", "supplies"),
    )
    return (
        "<h2>Writing the cells</h2>"
        + note(
            f"All figures but the cells are {tag}: some cells of each level, without faults, "
            "were write-verified on the numpy engine and stand for the others. A try is a RESET, "
            "a SET and a read, or pulses that a host chooses and a read; the time is that of the "
            "controller, pulses and settling included, or of a host's pulses and pauses alone; "
            "the energy of a pulse counts the larger one of the currents before and after it. "
            "What the supplies give meanwhile is the power of card and controller."
        )
        + table(head, rows)
    )


def energy_section(energy: dict[str, Any] | None) -> str:
    """Energy of an inference by part and by layer; nothing where it is not known."""
    if energy is None:
        return ""
    total = energy["joules"]
    parts = [
        row(
            part["name"],
            si(part["joules"], "J"),
            f"{part['joules'] / total:.2%}",
            part["tag"],
            part["origin"],
        )
        for part in energy["parts"]
    ]
    names = [part["name"] for part in energy["parts"]]
    rows = []
    for layer in energy["layers"]:
        own = sum(layer["joules"].values())
        figures = (si(layer["joules"][name], "J") for name in names)
        rows.append(row(layer["name"], *figures, si(own, "J"), f"{own / total:.1%}"))
    return (
        "<h2>Energy of an inference</h2>"
        + note(
            f"{si(total, 'J')}, {si(energy['watts'], 'W')} on average, at the supplies of card "
            "and FPGA, for the time that is predicted; regulators are left out."
        )
        + table(("part", "energy", "share", "", "from"), parts, text=True)
        + note("By layer, for the time that each one takes:")
        + table(("layer", *names, "together", "share"), rows)
    )


def sensitivity_section(found: dict[str, Any] | None) -> str:
    """Which layer needs what; nothing if that was not asked for."""
    if found is None:
        return ""

    def of(result: dict[str, float] | None) -> tuple[str, str]:
        if result is None:
            return "", ""
        return f"{result['accuracy']:.2%}", f"{result['output_error']:.2%}"

    rows = [row("none", *of(found["real"]), *[""] * 5)]
    rows += [
        row(
            layer["name"],
            *of(layer["ideal"]),
            f"{layer['regained']:+.2%}",
            f"{layer['error']:.2%}",
            layer["bits"],
            *of(layer["fewer"]),
        )
        for layer in found["layers"]
    ]
    head = (
        *("cells ideal in", "accuracy", "output error", "regained", "standard error"),
        *("bits of its values", "accuracy with one less", "output error"),
    )
    right = "labels" if found["labelled"] else "the float network"
    return (
        "<h2>Sensitivity</h2>"
        + note(
            f"The verdict: {found['verdict']}. Each layer alone with ideal cells, exactly on their "
            "levels, none stuck and read without noise, and alone with one bit less of its "
            f"values; all else as it is, on arrays of {found['seeds']} seeds and "
            f"{found['samples']:,} calibration samples. What is right is by {right}; the output "
            "error is what scores are off against floats, root mean square over that of the "
            "floats."
        )
        + table(head, rows)
    )


def search_section(search: dict[str, Any] | None) -> str:
    """Settings that were tried; nothing where none were."""
    if search is None:
        return ""
    rows = []
    for trial in search["trials"]:
        setting = (trial["slices"], trial["act_bits"], trial["adc_bits"])
        if trial["drop"] is None:
            rows.append(row(*setting, "", "", "", "", "", f"does not fit: {trial['why_not']}"))
            continue
        verdict = "chosen" if trial["chosen"] else ("enough" if trial["keeps"] else "too much")
        cycles = "" if trial["cycles"] is None else f"{trial['cycles']:,}"
        rows.append(
            row(
                *setting,
                f"{trial['drop']:.2%}",
                f"{trial['error']:.2%}",
                trial["tiles"],
                cycles,
                f"{trial['pulses']:.3g}",
                verdict,
            )
        )
    head = (
        *("slices", "activation bits", "ADC bits", "accuracy lost", "standard error"),
        *("tiles", "cycles", "pulses per cell", ""),
    )
    return (
        "<h2>Knobs</h2>"
        + note(
            f"At most {search['target_drop']:.2%} of accuracy was to be lost against floats, two "
            "standard errors included: slices upwards until that is met, then bits downwards."
        )
        + table(head, rows)
    )
