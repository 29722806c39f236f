"""What place-and-route says of a design, read from nextpnr's JSON report."""

from __future__ import annotations

from dataclasses import dataclass
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


class _Nextpnr(BaseModel):
    fmax: dict[str, Clock] = Field(min_length=1)
    utilization: dict[str, Used] = Field(min_length=1)


@dataclass(frozen=True)
class PlaceReport:
    """Clocks by net and cells by type; types of which none is used are left out."""

    clocks: dict[str, Clock]
    utilisation: dict[str, Used]

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
    return PlaceReport(clocks=parsed.fmax, utilisation=cells)
