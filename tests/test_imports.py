"""What importing the core drags in."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sansice import ice, stun, turn

# Runtimes, the network, processes, logging, and what the adapters and the command stand on.
UNWANTED = frozenset(
    {"aioice", "asyncio", "click", "concurrent", "http", "hypothesis", "ifaddr", "logging", "multiprocessing", "outcome"}
    | {"random", "rich", "secrets", "select", "selectors", "socket", "ssl", "subprocess", "tempfile", "threading", "trio"}
    | {"unittest", "urllib", "uuid"}
)
PROGRAM = "import sys, {}; print(*sys.modules)"


def loaded_by(module: str) -> set[str]:
    """The top-level names of all modules that an interpreter has loaded after importing `module`."""
    command = [sys.executable, "-I", "-c", PROGRAM.format(module)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in run.stdout.split()}


@pytest.mark.parametrize("module", ["sansice", "sansice.driver", "sansice.stun", "sansice.ice", "sansice.simulation"])
def test_core_imports_no_runtime_and_no_network(module):
    loaded = loaded_by(module)
    assert "sansice" in loaded
    # What attrs loads (and the interpreter's own start-up, in some installations) is not of the core's choosing.
    found = loaded & UNWANTED - loaded_by("attrs")
    if module == "sansice.simulation":
        found -= loaded_by("random")  # seeded, and the one place that has it
    assert found == set()


def test_unwanted_import_would_be_noticed():
    assert {"socket", "selectors"} <= loaded_by("socket, attrs") & UNWANTED


def test_attrs_itself_stays_clear_of_runtimes():
    assert loaded_by("attrs") & {"asyncio", "socket", "ssl", "trio"} == set()


def test_agent_does_not_load_the_machines_of_stun():
    run = subprocess.run([sys.executable, "-I", "-c", PROGRAM.format("sansice.ice")], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    assert {"sansice.stun", "sansice.stun._transaction"} <= loaded
    assert not loaded & {f"sansice.stun.{module}" for module in stun._LAZY}


def test_every_lazy_name_of_stun_is_what_its_module_has_and_is_told_to_checkers():
    source = Path(stun.__file__).read_text(encoding="utf-8")
    told = source.partition("if TYPE_CHECKING:")[2].partition("_LAZY")[0]
    for module, names in stun._LAZY.items():
        for name in names:
            assert getattr(stun, name) is getattr(importlib.import_module(f"sansice.stun.{module}"), name)
            assert name in dir(stun)
    assert sorted(re.findall(r"(\w+) as \1\b", told)) == sorted(name for names in stun._LAZY.values() for name in names)


def test_agent_does_not_load_what_reads_and_writes_offers():
    run = subprocess.run([sys.executable, "-I", "-c", PROGRAM.format("sansice.ice")], capture_output=True, text=True, check=True)
    assert not set(run.stdout.split()) & {f"sansice.ice.{module}" for module in ice._LAZY}


def test_every_lazy_name_of_ice_is_what_its_module_has_and_is_told_to_checkers():
    source = Path(ice.__file__).read_text(encoding="utf-8")
    told = source.partition("if TYPE_CHECKING:")[2].partition("_LAZY")[0]
    for module, names in ice._LAZY.items():
        for name in names:
            assert getattr(ice, name) is getattr(importlib.import_module(f"sansice.ice.{module}"), name)
            assert name in dir(ice)
    assert sorted(re.findall(r"(\w+) as \1\b", told)) == sorted(name for names in ice._LAZY.values() for name in names)
    with pytest.raises(AttributeError, match="no attribute 'IceAgnet'"):
        ice.IceAgnet  # noqa: B018


def test_turn_has_the_names_that_it_lists_and_no_others():
    assert {"TurnClient", "TurnServer"} <= set(dir(turn))
    assert turn.TurnServer is importlib.import_module("sansice.turn._server._server").TurnServer
    with pytest.raises(AttributeError, match="no attribute 'TurnSever'"):
        turn.TurnSever  # noqa: B018


def test_name_that_stun_does_not_have_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'StunSever'"):
        stun.StunSever  # noqa: B018
