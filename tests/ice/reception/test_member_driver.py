"""A connection on a shared port asks the driver of all of them."""

import pytest

from ice._connections import HandDriver
from ice._mux import ALICE, client, credentials
from ice._service import PLACE, Service
from sansice.ice import IceReception, IceState, MemberDriver
from sansice.machine import LocalProtocolError, SocketId


def test_commands_go_to_the_agent_and_what_comes_of_them_to_the_driver():
    service = Service(admit=None)
    ice = service.open()
    member = ice._driver
    assert isinstance(member, MemberDriver)
    assert member.call(lambda text, *, now: (text, now), "done") == ("done", 0.0)
    ice.close()
    assert member.call(lambda *, now: now) == 0.0


def test_a_command_of_the_agents_goes_by_its_name_so_that_a_recording_can_have_it():
    service = Service(admit=None)
    ice = service.open(credentials=credentials(1))
    asked = []
    called = service._driver.call
    service._driver.call = lambda command, *args, **kwargs: (asked.append((command, *args)), called(command, *args, **kwargs))[1]
    ice._driver.call(ice._agent.set_remote, client(1))
    assert asked == [(service.reception.command, ice._driver.name, "set_remote", client(1))]
    assert ice._agent.state is IceState.CHECKING


def test_what_an_agent_wants_after_any_other_function_is_done_at_once():
    service = Service(admit=None)
    ice = service.open(credentials=credentials(1))
    ice.set_remote(client(1))
    service.check(1)
    agent = ice._agent
    ice._driver.call(lambda *, now: agent.send(b"\x80 said", now=now))
    assert service._driver.sent[-1] == (1, ALICE, b"\x80 said")


def test_a_driver_is_looked_at_and_locked_only_where_it_can_be():
    reception = IceReception()
    asked = HandDriver(reception, lambda event: None, None)
    asked.arriving = ["something"]
    delivered = []
    asked.deliver = delivered.append
    MemberDriver(asked, reception, 1).look()
    assert delivered == ["something"]

    class Threaded:
        lock = "the lock"
        lost = {}

    member = MemberDriver(Threaded(), reception, 1)
    member.look()
    assert (member.lock, member.lost) == ("the lock", {})
    with pytest.raises(LocalProtocolError, match="shared"):
        member.lend(SocketId(1))
    assert PLACE
