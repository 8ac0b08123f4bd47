"""What a running server makes of orders and files that are wrong: it goes on."""

import io
import json
import os
import types

import pytest
import trio

from sansice_cli.serve._logs import Log
from sansice_cli.serve._service import Service


class World:
    """A `Service` with a backend that notes what it is told."""

    def __init__(self, reread=None):
        self.said = io.StringIO()
        self.reloaded = []
        self.drained = []
        settings = types.SimpleNamespace(limits="old", drain_timeout=60.0)
        self.service = Service(settings, reread, Log("json", self.said), None)
        self.service._backend = self

    async def reload(self, material, limits):
        await trio.lowlevel.checkpoint()
        self.reloaded.append((material, limits))

    async def drain(self, seconds):
        await trio.lowlevel.checkpoint()
        self.drained.append(seconds)

    def logged(self):
        return [json.loads(line) for line in self.said.getvalue().splitlines()]


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), 1e300, "-0.5"])
async def test_a_drain_of_no_sensible_time_is_refused_and_begins_nothing(seconds):
    world = World()
    with pytest.raises(ValueError, match="is not a number from 0 to"):
        await world.service._ask_drain({"command": "drain", "seconds": seconds})
    assert not world.service._is_draining


@pytest.mark.parametrize(
    ("request_", "seconds"), [({}, 60.0), ({"seconds": None}, 60.0), ({"seconds": 0}, 0.0), ({"seconds": 5}, 5.0)]
)
async def test_a_drain_takes_the_time_that_is_asked_for(request_, seconds):
    world = World()
    async with trio.open_nursery() as nursery:
        world.service._nursery = nursery
        assert await world.service._ask_drain(request_) == {"draining": True}
    assert world.drained == [seconds]


async def test_a_file_without_an_end_holds_up_no_server_for_ever(tmp_path, autojump_clock):
    pipe = tmp_path / "users"
    os.mkfifo(pipe)
    world = World(reread=pipe.read_text)
    await world.service._reload()
    assert world.reloaded == []
    assert world.logged()[-1]["error"] == "a file takes too long to read"
    # The thread that reads may end.
    os.close(os.open(pipe, os.O_RDWR | os.O_NONBLOCK))
