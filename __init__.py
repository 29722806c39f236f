"""Ohmloom: trained networks onto memristor crossbars, down to the gateware that drives them.

The public face; everything in it is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .compiler.bundle import load_bundle, write_bundle
    from .compiler.options import Options
    from .compiler.pipeline import compile_model
    from .compiler.runner import build_engine, dequantise_output, quantise_input
    from .compiler.weight_noise import weight_noise
    from .hw.geometry import Geometry
    from .sim.devices import load as load_device

__version__ = "0.1.0"

__all__ = [
    "Geometry",
    "Options",
    "build_engine",
    "compile_model",
    "dequantise_output",
    "load_bundle",
    "load_device",
    "quantise_input",
    "weight_noise",
    "write_bundle",
]

_HOMES = {
    "Geometry": (".hw.geometry", "Geometry"),
    "Options": (".compiler.options", "Options"),
    "build_engine": (".compiler.runner", "build_engine"),
    "compile_model": (".compiler.pipeline", "compile_model"),
    "dequantise_output": (".compiler.runner", "dequantise_output"),
    "load_bundle": (".compiler.bundle", "load_bundle"),
    "load_device": (".sim.devices", "load"),
    "quantise_input": (".compiler.runner", "quantise_input"),
    "weight_noise": (".compiler.weight_noise", "weight_noise"),
    "write_bundle": (".compiler.bundle", "write_bundle"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(import_module(module, __name__), attribute)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
