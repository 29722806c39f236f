"""One module per ONNX operator, each with its ``HANDLER``; a new operator is one new file."""

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
    found: list[Handler] = [module.HANDLER for module in modules]
    return MappingProxyType({handler.operator: handler for handler in found})
