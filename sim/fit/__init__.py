"""A device entry from a user's own measurements."""

from .errors import FitError
from .estimate import Estimate
from .found import Found, Given
from .history import History, Kind, read_csv
from .run import FITTERS, Fitted, check_output, fit, write

__all__ = [
    "FITTERS",
    "Estimate",
    "FitError",
    "Fitted",
    "Found",
    "Given",
    "History",
    "Kind",
    "check_output",
    "fit",
    "read_csv",
    "write",
]
