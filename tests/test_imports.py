"""What importing the core drags in."""

import subprocess
import sys

import pytest

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
