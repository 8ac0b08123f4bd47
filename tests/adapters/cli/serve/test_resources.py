"""What the system lets a server have."""

import resource
import sys
from pathlib import Path

import pytest

from sansice_cli.serve import _resources
from sansice_cli.serve._resources import descriptor_limit, raise_descriptor_limit


@pytest.fixture
def limits(monkeypatch):
    """The limits of a process that may or may not change them."""
    state = {"now": (1024, 4096), "fails": False}

    def change(what, wanted):
        if state["fails"]:
            raise ValueError("not allowed to raise maximum limit")
        state["now"] = wanted

    monkeypatch.setattr(_resources.resource, "getrlimit", lambda what: state["now"])
    monkeypatch.setattr(_resources.resource, "setrlimit", change)
    return state


def test_descriptors_are_as_many_as_the_system_permits(limits):
    assert descriptor_limit() == 4096
    raise_descriptor_limit()
    assert limits["now"] == (4096, 4096)


def test_a_limit_that_cannot_be_raised_is_lived_with(limits):
    limits["fails"] = True
    raise_descriptor_limit()
    assert limits["now"] == (1024, 4096)
    limits["now"] = (1024, resource.RLIM_INFINITY)
    assert descriptor_limit() == 2**31


@pytest.mark.skipif(sys.platform != "linux", reason="the limits of another process are in /proc")
@pytest.mark.parametrize("workers", [1, 2])
def test_a_server_and_its_workers_have_raised_theirs(relaying, workers):
    def lower():
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, hard), hard))

    with relaying("--workers", workers, preexec_fn=lower) as server:
        pid = server.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for one in [pid, *children]:
            [line] = [line for line in Path(f"/proc/{one}/limits").read_text().splitlines() if line.startswith("Max open files")]
            soft, hard = line.split()[3:5]
            assert soft == hard
