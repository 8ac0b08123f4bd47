"""The pytest plugin, in runs of pytest of its own."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

FAILS = """
from sansice.simulation import Packet
from sansice import Address

def test_it(network):
    a, b = network.host("a", "192.0.2.1"), network.host("b", "192.0.2.2")
    a.send(a.interface("192.0.2.1"), Packet(Address("192.0.2.1", 5), Address("192.0.2.2", 7), b"hello"))
    network.run(until=2.5)
    assert network.seed is None
"""


@pytest.fixture
def run(pytester):
    """Run a test file in another process, and give what it printed."""

    def run(source, *options):
        pytester.makepyfile(test_mine=source)
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:trio", "--basetemp=here", "-q", *options]
        return subprocess.run(command, cwd=pytester.path, capture_output=True, text=True, timeout=60).stdout

    return run


def test_a_network_is_fresh_and_its_seed_is_the_name_of_the_test(run):
    told = run("""
def test_one(network):
    network.host("a", "192.0.2.1")
    assert network.seed == "test_mine.py::test_one"
def test_other(network):
    network.host("a", "192.0.2.1")
    assert network.seed == "test_mine.py::test_other"
""")
    assert "2 passed" in told


def test_a_failure_tells_the_seed_what_was_lost_and_where_its_packets_are(run, pytester):
    told = run(FAILS)
    assert "simulated network" in told
    assert "seed 'test_mine.py::test_it': the same again with --network-seed='test_mine.py::test_it'" in told
    assert "2.500000 s have passed; packets that reached no socket: 2 no socket at this port" in told
    path = Path(re.search(r"packets: (.+)", told)[1])
    assert path.name == "test_mine.py-test_it.pcapng"
    assert b"hello" in path.read_bytes()
    assert path.is_relative_to(pytester.path / "here")


def test_a_failure_before_and_after_the_test_itself_is_told_as_well(run):
    told = run("""
import pytest
@pytest.fixture
def broken(network):
    raise KeyError
@pytest.fixture
def breaking(network):
    yield
    raise KeyError
def test_before(broken): pass
def test_after(breaking): pass
""")
    assert "1 passed, 2 errors" in told
    assert told.count("packets: ") == 2


def test_nothing_is_kept_of_a_test_that_passes_and_nothing_is_said_where_no_network_was(run, pytester):
    told = run("def test_it(network): pass\ndef test_fails(): assert 0")
    assert "1 failed, 1 passed" in told
    assert "simulated network" not in told
    assert [*pytester.path.rglob("*.pcapng")] == []


def test_captures_go_where_an_option_says(run, pytester):
    run(FAILS, "--network-captures=deep/captures")
    assert [path.name for path in (pytester.path / "deep" / "captures").iterdir()] == ["test_mine.py-test_it.pcapng"]


@pytest.mark.parametrize(("asked", "seed"), [("7", "7"), ("text", "'text'")])
def test_the_seed_can_be_said(run, asked, seed):
    assert f"seed {seed}: the same again with --network-seed={asked!r}" in run(FAILS, f"--network-seed={asked}")


def test_a_random_seed_is_drawn_once_a_run_and_told(run):
    source = FAILS + "\ndef test_again(network): assert network.seed is None"
    seeds = [set(re.findall(r"^seed (\d+): the same", run(source, "--network-seed=random"), re.MULTILINE)) for _ in range(2)]
    assert [len(one) for one in seeds] == [1, 1]
    assert seeds[0] != seeds[1]


def test_a_marker_gives_the_network_its_arguments(run):
    assert "1 passed" in run("""
import pytest
@pytest.mark.network(latency=0.5, seed=3, start=10.0, unix=5.0)
def test_it(network):
    assert (network.internet.link.latency, network.seed, network.now) == (0.5, 3, 10.0)
""", "--strict-markers")  # fmt: skip


def test_a_test_runs_in_every_scene_that_is_named_each_once(run):
    told = run("""
import pytest
from sansice.simulation import scene as named
import attrs
@pytest.mark.scenes(attrs.evolve(named("two-homes"), name="mine"))
@pytest.mark.scenes("two-homes", "same-home", "two-homes")
def test_it(scene, network):
    assert network is scene.network
    assert not scene.programs
    assert "stun" in scene.servers
    assert scene.hosts["alice"].addresses
    assert scene.scene.agents
    assert network.seed.endswith(f"test_it[{scene.scene.name}]")
""", "-vv", "--strict-markers")  # fmt: skip
    assert re.findall(r"test_it\[([\w-]+)\] PASSED", told) == ["mine", "two-homes", "same-home"]


def test_a_marker_for_a_whole_module_leaves_tests_alone_that_ask_for_no_scene(run):
    told = run("""
import pytest
pytestmark = pytest.mark.scenes("two-homes", "same-home")
def test_with(scene): pass
def test_without(network): assert network.seed.endswith("test_without")
""")
    assert "3 passed" in told


def test_all_and_the_matrix_are_more_than_forty_networks(run):
    told = run("""
import pytest
@pytest.mark.scenes("all", "matrix")
def test_it(scene):
    scene.network.run(until=0.1)
""")
    assert int(re.search(r"(\d+) passed", told)[1]) >= 40


def test_a_scene_that_does_not_exist_is_an_error_that_names_those_that_do(run):
    told = run("import pytest\n@pytest.mark.scenes('two-hommes')\ndef test_it(scene): pass")
    assert "pytest.mark.scenes: there is no scene 'two-hommes'; there are two-homes," in told


def test_a_scene_that_nobody_named_is_an_error_that_says_how(run):
    assert "@pytest.mark.scenes('two-homes', ...)" in run("def test_it(scene): pass")


def test_a_fixture_of_the_users_own_that_is_called_scene_is_left_alone(run):
    source = "import pytest\n@pytest.fixture\ndef scene(): return 3\ndef test_it(scene): assert scene == 3"
    assert "1 passed" in run(source)


def test_a_failure_in_a_scene_tells_the_same(run):
    told = run("import pytest\n@pytest.mark.scenes('two-homes')\ndef test_it(scene): assert 0")
    assert "seed 'test_mine.py::test_it[two-homes]'" in told
    assert "test_mine.py-test_it-two-homes.pcapng" in told


def test_loading_the_plugin_loads_nothing_of_the_core(pytester):
    program = "import sys, sansice_pytest._plugin; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert {"sansice", "trio"} & set(run.stdout.split()) == set()
