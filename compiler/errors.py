"""Errors of the compiler: each message is one sentence that a user can act on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import OhmloomError


class CompileError(OhmloomError, ValueError):
    """A model, calibration set or option that cannot be compiled."""


class ModelError(CompileError):
    """An ONNX file that is missing, broken, hostile or not a network we can take."""


class CalibrationError(CompileError):
    """Calibration samples that do not fit the model."""


class TargetError(CompileError):
    """A network that does not fit the device, the converters or the controller."""


@dataclass(frozen=True)
class UnsupportedNode:
    """One node that has no lowering, and why."""

    node: str
    operator: str
    reason: str

    def __str__(self) -> str:
        return f"{self.operator} {self.node} ({self.reason})"


class UnsupportedOperatorsError(ModelError):
    """Every node of a model that has no lowering, listed at once in ``nodes``."""

    def __init__(self, source: str, nodes: Sequence[UnsupportedNode]) -> None:
        self.nodes = tuple(nodes)
        count = f"{len(nodes)} unsupported operator{'s' if len(nodes) > 1 else ''}"
        super().__init__(f"{source} has {count}: {'; '.join(map(str, nodes))}")


class HostError(CompileError):
    """A part of a network that the host cannot run."""


class InputError(OhmloomError, ValueError):
    """Samples or labels that the compiled network does not take."""


class BundleError(OhmloomError, ValueError):
    """A bundle that is missing, truncated, altered or of another version."""


class DatasetError(OhmloomError, ValueError):
    """A data set file that is not what its name says."""
