"""What place-and-route says of a design, read from nextpnr's JSON report."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import OhmloomError


class ReportError(OhmloomError):
    """A report that is missing or not what nextpnr writes."""


class Clock(BaseModel):
    """Timing of one clock net, in MHz."""

    model_config = ConfigDict(frozen=True)

    achieved: float = Field(gt=0, allow_inf_nan=False)
    constraint: float = Field(gt=0, allow_inf_nan=False)

    @property
    def slack_ns(self) -> float:
        """Time left in a period; negative when the clock is too fast for the design."""
        return 1e3 / self.constraint - 1e3 / self.achieved


class Used(BaseModel):
    """Cells of one type."""

    model_config = ConfigDict(frozen=True)

    used: int = Field(ge=0)
    available: int = Field(ge=0)


class _End(BaseModel):
    cell: str
    port: str


class _Segment(BaseModel):
    delay: float
    type: str
    start: _End = Field(alias="from")
    end: _End = Field(alias="to")
    net: str | None = None


class _Path(BaseModel):
    start: str = Field(alias="from")
    end: str = Field(alias="to")
    path: list[_Segment] = Field(min_length=1)


class _Nextpnr(BaseModel):
    fmax: dict[str, Clock] = Field(min_length=1)
    utilization: dict[str, Used] = Field(min_length=1)
    critical_paths: list[_Path] = []


class Step(BaseModel):
    """One part of a path: through a cell (``logic``, ``clk-to-q``, ``setup``) or a net
    (``routing``), to a port."""

    model_config = ConfigDict(frozen=True)

    kind: str
    ns: float
    to: str


class CriticalPath(BaseModel):
    """The path of a clock that has the least time left.

    Attributes
    ----------
    source, sink:
        Signals of the design that it is from and to, as far as synthesis has kept their names.
    logic_ns, routing_ns:
        Time in cells, clock to output and set-up included, and on the way between them.
    steps:
        The way, step by step.
    """

    model_config = ConfigDict(frozen=True)

    source: str
    sink: str
    logic_ns: float
    routing_ns: float
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        return (
            f"from {self.source} to {self.sink}, {self.logic_ns:.2f} ns of logic and "
            f"{self.routing_ns:.2f} ns of routing"
        )


MADE_BY_SYNTHESIS = re.compile(
    r"_(TRELLIS_FF|SB_DFF\w*?|DFF[A-Z]*|LUT\d|SB_LUT4|CCU2C|PFUMX|L6MUX21|MUX2_LUT\d|ALU"
    r"|SB_CARRY|DP16KD|PDPW16KD|MULT\w*?)_.*"
)
"""What yosys puts behind the name of a signal to name the cells around it."""


def signal_name(cell: str) -> str:
    """The design's signal in a cell's name, without what synthesis has put behind it."""
    return MADE_BY_SYNTHESIS.sub("", cell)


def _critical(paths: list[_Path], clock: str) -> CriticalPath | None:
    """The path from an edge of a clock to the same clock's."""
    for found in paths:
        if found.start.split()[-1] == found.end.split()[-1] == clock:
            steps = tuple(
                Step(kind=part.type, ns=part.delay, to=f"{part.end.cell}.{part.end.port}")
                for part in found.path
            )
            routing = sum(step.ns for step in steps if step.kind == "routing")
            return CriticalPath(
                source=signal_name(found.path[0].start.cell),
                sink=signal_name(found.path[-1].end.cell),
                logic_ns=round(sum(step.ns for step in steps) - routing, 3),
                routing_ns=round(routing, 3),
                steps=steps,
            )
    return None


@dataclass(frozen=True)
class PlaceReport:
    """Clocks by net and cells by type; types of which none is used are left out.

    ``critical`` is the critical path of the slowest clock, where the tool has told it.
    """

    clocks: dict[str, Clock]
    utilisation: dict[str, Used]
    critical: CriticalPath | None = None

    @property
    def slowest(self) -> tuple[str, Clock]:
        """The clock with the least room: what the design's speed is judged by."""
        return min(self.clocks.items(), key=lambda item: item[1].achieved / item[1].constraint)


def read_report(path: Path) -> PlaceReport:
    """Read nextpnr's ``--report`` file.

    Raises
    ------
    ReportError
        If it is missing, not JSON, or lacks clocks or utilisation.
    """
    try:
        parsed = _Nextpnr.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ReportError(f"{path}: no place-and-route report ({error.strerror})") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "file"
        raise ReportError(
            f"{path} is not a place-and-route report: {where}: {first['msg']}"
        ) from error
    cells = {name: cell for name, cell in parsed.utilization.items() if cell.used}
    found = PlaceReport(clocks=parsed.fmax, utilisation=cells)
    return replace(found, critical=_critical(parsed.critical_paths, found.slowest[0]))
