"""Which tests execute a line of the modules that have mutants."""

from collections.abc import Collection, Mapping
from importlib import import_module
from pathlib import Path

import pytest
from coverage import Coverage, CoverageData

Covering = Mapping[tuple[str, int], frozenset[str]]
"""The tests that execute a line, by (module, line).

A file of tests is named for what it executes as it is imported or in its fixtures, which any of its
tests may depend on, and "" for what is executed as its module is imported.
"""

_FILE = ".coverage"


class Measurement:
    """A plugin of pytest that records the lines of modules of the working directory."""

    def __init__(self, modules: Collection[str]) -> None:
        self._modules = modules
        self._coverage = Coverage(_FILE, config_file=False, include=modules)
        # The other way to trace knows no contexts: https://coverage.readthedocs.io/en/latest/config.html#config-run-core
        self._coverage.set_option("run:core", "ctrace")
        self._coverage.start()

    def pytest_collection(self) -> None:
        """Import the modules, for no test."""
        for module in self._modules:
            import_module(module.removesuffix(".py").replace("/", "."))

    def pytest_collectstart(self, collector: pytest.Collector) -> None:
        """Record for a file what it executes as it is imported."""
        if isinstance(collector, pytest.Module):
            self._record_for(collector.nodeid)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Record for a file what its fixtures execute."""
        self._record_for(_file_of(item.nodeid))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> None:
        """Record what a test executes."""
        self._record_for(item.nodeid)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> None:
        """Record for a file what its fixtures execute."""
        self._record_for(_file_of(item.nodeid))

    def pytest_unconfigure(self) -> None:
        """Write what was recorded."""
        self._coverage.stop()
        self._coverage.save()

    def _record_for(self, name: str) -> None:
        self._coverage.switch_context(name)


def recorded(tree: Path, modules: Collection[str]) -> Covering:
    """Return what a measurement of modules recorded in a tree."""
    data = CoverageData(str(tree / _FILE))
    data.read()
    return {
        (module, line): frozenset(names)
        for module in modules
        for line, names in data.contexts_by_lineno(str(tree / module)).items()
    }


def _file_of(test: str) -> str:
    return test.partition("::")[0]
