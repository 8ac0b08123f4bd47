"""A connection on a shared port asks the driver of all of them."""

import pytest

from ice._connections import HandDriver
from ice._service import PLACE, Service
from sansice.ice import IceReception, MemberDriver
from sansice.machine import LocalProtocolError, SocketId


def test_commands_go_to_the_agent_and_what_comes_of_them_to_the_driver():
    service = Service(admit=None)
    ice = service.open()
    member = ice._driver
    assert isinstance(member, MemberDriver)
    assert member.call(lambda text, *, now: (text, now), "done") == ("done", 0.0)
    ice.close()
    assert member.call(lambda *, now: now) == 0.0


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
