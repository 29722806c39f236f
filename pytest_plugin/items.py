"""What pytest collects from an ``ohmloom.toml``: an item for each check of each network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..errors import OhmloomError
from .network import Network, networks


class NetworksFile(pytest.File):
    """The file."""

    def collect(self) -> Iterator[NetworkNode]:
        try:
            found = networks(self.config, self.path)
        except OhmloomError as error:
            raise self.CollectError(str(error)) from error
        for network in found.all.values():
            yield NetworkNode.of(self, network)


class NetworkNode(pytest.Collector):
    """One network."""

    network: Network

    @classmethod
    def of(cls, parent: NetworksFile, network: Network) -> NetworkNode:
        """The node of a network in a file."""
        node = cls.from_parent(parent, name=network.name)
        node.network = network
        return node

    def collect(self) -> Iterator[Check]:
        for name in self.network.checks:
            yield Check.from_parent(self, name=name)


class Check(pytest.Item):
    """One check; its figures are properties in JUnit's file."""

    def runtest(self) -> None:
        assert isinstance(self.parent, NetworkNode)

        def record(name: str, value: object) -> None:
            self.user_properties.append(
                (name, value if isinstance(value, int | float) else str(value))
            )

        self.parent.network.checks[self.name](record)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """One sentence for what the user can mend, a traceback for what is our fault."""
        if excinfo.errisinstance((OhmloomError, OSError)):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        assert self.parent is not None
        return self.path, None, f"{self.parent.name}: {self.name}"
