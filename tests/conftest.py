"""What every test shares: the markers and the Hypothesis profiles."""

import os
from collections.abc import Generator

import pytest
from coverage import Coverage
from hypothesis import HealthCheck, settings

pytest_plugins = ["requirements._marker"]

# No deadlines: two shared cores make any single example slow now and then, and no test judges wall-clock time.
settings.register_profile("dev", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("dev"), derandomize=True, print_blob=True)
settings.register_profile("thorough", settings.get_profile("dev"), max_examples=5000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev"))


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker of what the other Pythons leave out (`python3 tests`)."""
    config.addinivalue_line("markers", "long: takes long; run on one Python only, and untraced, for others reach what it reaches")


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Name what fails when it fails, too: a run that is ended from outside prints no summary."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        session.config.pluginmanager.register(_AtOnce(reporter))


class _AtOnce:
    def __init__(self, reporter: pytest.TerminalReporter) -> None:
        self._reporter = reporter

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._reporter.write_line(f" {report.when} of {report.nodeid} failed")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Measure no coverage of what takes long: tracing makes it three times as long."""
    measuring: list[Coverage] = []  # a worker may have two, one of them made when the process began
    while item.get_closest_marker("long") and (active := Coverage.current()) is not None:
        active.stop()
        measuring.append(active)
    try:
        return (yield)
    finally:
        for active in reversed(measuring):
            active.start()
