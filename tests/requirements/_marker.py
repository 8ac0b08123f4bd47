"""The `req` marker as a pytest plugin: it checks the ids and records which of them passed.

A requirement is covered when a test that carries its id ran and passed, in setup, call and teardown. One without a statement
would always pass: there the marker is an error.
Under pytest-xdist the ids travel with the reports, so the record is written once, by the controller.
"""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from requirements._rows import load_rows

_PROPERTY = "req"


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--req-record=FILE` for `python tests/requirements --record FILE`."""
    parser.addoption("--req-record", metavar="FILE", help="write which requirement ids passed, as JSON")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker (`--strict-markers`); only the controller of a run keeps a record."""
    config.addinivalue_line("markers", "req(*ids): the requirement rows that this test would notice being broken")
    path = config.getoption("--req-record")
    if path and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Recorder(Path(path).absolute(), whole=_is_whole(config)), "req-recorder")


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Make unknown ids an error of the module's collection; let the known ones travel with the items' reports."""
    report = yield
    items = [one for one in report.result if isinstance(one, pytest.Item)] if report.passed else []
    complaints = [complaint for item in items for complaint in _attach(item)]
    if complaints:
        report.outcome, report.longrepr, report.result = "failed", "\n".join(complaints), []
    return report


def _attach(item: pytest.Item) -> Iterator[str]:
    for mark in item.iter_markers("req"):
        unknown = [str(one) for one in mark.args if not isinstance(one, str) or one not in _known()]
        if unknown:
            yield f"{item.nodeid}: @pytest.mark.req: no such requirement: {', '.join(unknown)}"
        elif mark.kwargs or not mark.args:
            yield f"{item.nodeid}: @pytest.mark.req takes ids as plain strings"
        elif isinstance(item, pytest.Function) and _is_empty(item.function):
            yield f"{item.nodeid}: @pytest.mark.req: the test is empty, so that it cannot fail"
        else:
            item.user_properties.extend((_PROPERTY, one) for one in mark.args)


def _is_empty(function: Callable[..., object]) -> bool:
    """Whether a function has no statement but a docstring, ``pass`` or ``...``."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return code is not None and code.co_code in _EMPTY


def _empty() -> None:
    pass


def _only_described() -> None:
    """It says what it would do."""


async def _empty_awaited() -> None:
    pass


async def _awaited_and_only_described() -> None:
    """It says what it would do."""


_EMPTY = tuple(one.__code__.co_code for one in (_empty, _only_described, _empty_awaited, _awaited_and_only_described))


@functools.cache
def _known() -> frozenset[str]:
    return frozenset(load_rows())


def _is_whole(config: pytest.Config) -> bool:
    """Whether nothing on the command line narrowed the run: a record of a part must not be taken for the whole."""
    narrowing = ("keyword", "markexpr", "lf", "last_failed", "stepwise", "maxfail")
    if any(config.getoption(name, default=None) for name in narrowing):
        return False
    asked = {Path(config.invocation_params.dir, arg.partition("::")[0]).resolve() for arg in config.args if "::" not in arg}
    return asked == {(config.rootpath / path).resolve() for path in config.getini("testpaths")}


class _Recorder:
    def __init__(self, path: Path, *, whole: bool) -> None:
        self._path = path
        self._whole = whole
        self._ids: dict[str, set[str]] = {}
        self._called: set[str] = set()
        self._failed: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._ids[report.nodeid] = {str(value) for name, value in report.user_properties if name == _PROPERTY}
        if not report.passed:
            self._failed.add(report.nodeid)
        elif report.when == "call":
            self._called.add(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._failed.add(report.nodeid)

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        passed = self._called - self._failed
        record = {
            "ids": sorted(set().union(*(self._ids[node] for node in passed))),
            "tests": len(passed),
            "failed": sorted(self._failed),
            "exit": int(exitstatus),
            "whole": self._whole,
        }
        self._path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
