"""One module per kind of ONNX operator, each with its ``HANDLERS``; a new one is one new file."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType

from ..lowering import Handler


@cache
def handlers() -> Mapping[str, Handler]:
    """Handlers of this folder's modules by operator name."""
    modules = (import_module(f"{__name__}.{info.name}") for info in iter_modules(__path__))
    found: list[Handler] = [handler for module in modules for handler in module.HANDLERS]
    return MappingProxyType({name: handler for handler in found for name in handler.operators})
