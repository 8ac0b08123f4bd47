"""A client on a socket of somebody else's: how an ICE agent relays through its host candidates' sockets."""

import pytest

from _turn_client_scene import CREDENTIALS, GRANT, LOCAL, OTHER, PEER, SERVER, TCP, UDP, Counting, Scene
from sansice.machine import (
    Address,
    CloseSocket,
    LocalProtocolError,
    OpenSocket,
    SendStream,
    SocketError,
    SocketErrorKind,
    SocketId,
)
from sansice.stun import ALTERNATE_SERVER, LIFETIME, Method, Path, ServerTarget
from sansice.turn import AllocationCreated, AllocationFailed, AllocationLost, Closed, TurnClient

HOST = SocketId(42)
THIRD = Address("192.0.2.3", 3478)
SHARED = {"local": LOCAL, "socket": HOST}


def scene_of(*targets, **settings):
    return Scene(targets or (ServerTarget(UDP, SERVER),), options=SHARED, **settings)


def relayed(**settings):
    scene = scene_of(**settings)
    scene.do("allocate")
    scene.challenge()
    scene.answer(*GRANT)
    return scene


def test_the_server_is_asked_at_once_through_the_socket_that_is_there():
    scene = scene_of()
    scene.do("allocate")
    assert [(time, sent.socket, sent.destination) for time, sent, _ in scene.sent] == [(0.0, HOST, SERVER)]
    assert scene.actions == []


def test_the_allocation_is_one_of_that_sockets_address():
    scene = relayed()
    (created,) = scene.told(AllocationCreated)
    assert (created.local, scene.client.local, scene.client.path) == (LOCAL, LOCAL, Path(HOST, SERVER, UDP))


def test_data_goes_through_the_socket_and_closing_leaves_it_open():
    scene = relayed()
    scene.permit()
    scene.do("send", PEER, b"data")
    assert (scene.data[-1][1].socket, scene.data[-1][1].destination) == (HOST, SERVER)
    scene.do("close")
    assert scene.find(Method.REFRESH)[1].get(LIFETIME) == 0
    scene.answer(to=Method.REFRESH)
    assert scene.told(Closed) == [Closed()]
    assert not [one for one in scene.actions if isinstance(one, CloseSocket)]


def test_servers_are_raced_through_one_socket_and_the_losers_silence_ends_nothing():
    scene = scene_of(ServerTarget(UDP, SERVER), ServerTarget(UDP, OTHER), ServerTarget(UDP, THIRD))
    scene.do("allocate")
    scene.run(0.3)
    assert [(time, sent.destination) for time, sent, _ in scene.sent] == [(0.0, SERVER), (0.25, OTHER)]
    scene.challenge(index=1)
    scene.answer(*GRANT)
    (created,) = scene.told(AllocationCreated)
    assert created.target.address == OTHER
    scene.run(60.0)
    assert scene.client.path == Path(HOST, OTHER, UDP)
    assert not scene.told(AllocationLost)


def test_the_next_server_is_asked_through_the_same_socket_when_one_has_refused():
    scene = scene_of(ServerTarget(UDP, SERVER), ServerTarget(UDP, OTHER))
    scene.do("allocate")
    scene.challenge()
    scene.refuse(486)
    scene.challenge()
    scene.answer(*GRANT)
    assert scene.client.path == Path(HOST, OTHER, UDP)


def test_streams_are_opened_from_the_same_host_with_a_port_of_their_own():
    scene = scene_of(ServerTarget(TCP, SERVER))
    scene.do("allocate")
    assert scene.actions == [OpenSocket(SocketId(1), TCP, LOCAL._replace(port=0), SERVER)]
    scene.open()
    scene.challenge()
    scene.answer(*GRANT)
    scene.permit()
    scene.do("send", PEER, b"data")
    assert isinstance(scene.data[-1][1], SendStream)


def test_a_tuple_that_the_server_has_in_use_is_left_for_a_socket_of_its_own():
    scene = scene_of()
    scene.do("allocate")
    scene.challenge()
    scene.refuse(437)
    assert scene.actions == [OpenSocket(SocketId(1), UDP, LOCAL._replace(port=0), SERVER)]
    scene.open(local=LOCAL._replace(port=40001))
    scene.answer(*GRANT)
    (created,) = scene.told(AllocationCreated)
    assert created.local == LOCAL._replace(port=40001)


def test_a_redirection_is_followed_through_the_socket():
    scene = scene_of()
    scene.do("allocate")
    scene.challenge()
    scene.refuse(300, (ALTERNATE_SERVER, OTHER))
    action, _ = scene.find()
    assert (action.socket, action.destination) == (HOST, OTHER)
    scene.challenge()
    scene.answer(*GRANT)
    assert scene.client.path == Path(HOST, OTHER, UDP)


def test_the_death_of_the_socket_is_the_end_of_the_allocation():
    scene = relayed()
    scene.do("handle_socket_failed", HOST, SocketError(SocketErrorKind.OTHER, "interface gone"))
    assert scene.told(AllocationLost) == [AllocationLost("interface gone")]


def test_a_server_of_the_other_family_is_a_failure_and_not_an_error():
    scene = scene_of(ServerTarget(UDP, Address("2001:db8::1", 3478)))
    scene.do("allocate")
    (failed,) = scene.told(AllocationFailed)
    assert "different families" in failed.reason


def test_several_targets_need_no_shared_socket():
    scene = Scene((ServerTarget(UDP, SERVER), ServerTarget(UDP, OTHER)))
    scene.do("allocate")
    scene.open()
    scene.run(0.3)
    assert len(scene.opened()) == 2
    assert scene.client.explain(now=0.3).startswith("192.0.2.1:3478")


def test_relayed_tcp_is_asked_of_the_targets_that_are_streams():
    scene = scene_of(ServerTarget(UDP, SERVER), ServerTarget(TCP, OTHER))
    scene.do("allocate", transport=TCP)
    assert [(one.transport, one.remote) for one in scene.actions] == [(TCP, OTHER)]
    with pytest.raises(LocalProtocolError, match="RFC 6062"):
        scene_of(ServerTarget(UDP, SERVER)).do("allocate", transport=TCP)


@pytest.mark.parametrize("wrong", [{"server": ()}, {"server": ServerTarget(UDP, SERVER), "socket": HOST}])
def test_nobody_to_ask_and_a_socket_without_an_address_are_refused(wrong):
    with pytest.raises(LocalProtocolError):
        TurnClient(wrong.pop("server"), credentials=CREDENTIALS, entropy=Counting(), **wrong)
