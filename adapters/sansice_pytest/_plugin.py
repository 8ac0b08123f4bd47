"""The plugin: fixtures, markers and options."""

from __future__ import annotations

import secrets
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from ._scenes import chosen, stage
from ._witness import WITNESS, witness

if TYPE_CHECKING:
    from sansice.simulation import Network, Scene, SceneWorld

_DRAWN = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options."""
    group = parser.getgroup("sansice", "simulated networks")
    group.addoption(
        "--network-seed",
        metavar="SEED",
        help="seed of the fixtures `network` and `scene`: a number, a text, or `random` for another in every run; "
        "the name of each test if left out",
    )
    group.addoption(
        "--network-captures",
        metavar="DIR",
        help="where the packets of tests that failed are kept, as pcapng; the temporary folder of the run if left out",
    )


def pytest_configure(config: pytest.Config) -> None:
    """The markers."""
    config.addinivalue_line("markers", "network(**arguments): what `sansice.simulation.Network` is made with for `network`")
    config.addinivalue_line(
        "markers", "scenes(*which): run with each of these as `scene`: names of scenes, 'all', 'matrix', or `Scene` values"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test for each scene that a marker names."""
    marks = [*metafunc.definition.iter_markers("scenes")]
    if marks and "scene" in metafunc.fixturenames:
        scenes = chosen([one for mark in reversed(marks) for one in mark.args])
        metafunc.parametrize("scene", scenes.values(), ids=list(scenes), indirect=True)


@pytest.fixture
def network(request: pytest.FixtureRequest) -> Iterator[Network]:
    """A fresh `sansice.simulation.Network`; that of ``scene`` where the test has one.

    Its seed is the name of the test, so that every run is the same, unless ``--network-seed`` says otherwise. The marker
    ``network(...)`` gives it arguments. Where the test fails, the report names the seed and a file with all packets.
    """
    from sansice.simulation import Network

    if request.node.get_closest_marker("scenes") is not None and "scene" in request.fixturenames:
        yield request.getfixturevalue("scene").network
        return
    mark = request.node.get_closest_marker("network")
    arguments: dict[str, Any] = {} if mark is None else mark.kwargs
    made = Network(**{"seed": _seed(request), **arguments})
    with witness(request, made, unix=arguments.get("unix")):
        yield made


@pytest.fixture
def scene(request: pytest.FixtureRequest) -> Iterator[SceneWorld]:
    """A scene that has been built, without its agents: the places, hosts and servers, for programs of the test's own.

    Which, the marker ``scenes`` says: ``@pytest.mark.scenes("two-homes", "office-udp-blocked")``, or ``"all"`` of the library,
    or ``"matrix"`` for every kind of NAT against every kind. `SceneWorld.scene` is the value, which says in ``agents`` who would
    connect and in ``expect`` how that ends.
    """
    given: Scene | None = getattr(request, "param", None)
    if given is None:
        raise pytest.UsageError("the fixture `scene` wants to know which: @pytest.mark.scenes('two-homes', ...), or 'all'")
    world = stage(given, _seed(request))
    with witness(request, world.network):
        yield world


def _seed(request: pytest.FixtureRequest) -> int | str:
    asked: str | None = request.config.getoption("network_seed")
    if asked is None:
        name: str = request.node.nodeid
        return name
    if asked == "random":
        return request.config.stash.setdefault(_DRAWN, secrets.randbelow(2**32))
    return int(asked) if asked.isdecimal() else asked


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say in the report of a failure how to have it again, and where its packets are."""
    report = yield
    seen = item.stash.get(WITNESS, None)
    if seen is not None and report.failed:
        report.sections.append(("simulated network", seen.tell()))
    return report
