"""A client that takes its allocation along, against answers written by hand and at exact times (RFC 8016 3)."""

import pytest

from _turn_client_scene import (
    GRANT,
    LOCAL,
    MAPPED,
    OTHER,
    PEER,
    SERVER,
    TCP,
    Scene,
)
from sansice.machine import Address, LocalProtocolError, OpenSocket, SendDatagram
from sansice.stun import (
    CONNECTION_ID,
    DATA,
    LIFETIME,
    MOBILITY_TICKET,
    XOR_MAPPED_ADDRESS,
    XOR_PEER_ADDRESS,
    Attribute,
    MessageClass,
    Method,
    StunClientConfig,
    encode,
    shapes,
)
from sansice.turn import (
    AllocationCreated,
    AllocationFailed,
    AllocationLost,
    AllocationRebound,
    DataReceived,
    PermissionFailed,
    RebindFailed,
    TurnServerMemory,
)

FIRST, SECOND = b"first ticket", b"second ticket"
ROAD = Address("10.1.0.9", 40009)
OTHER_LOCAL = LOCAL._replace(port=40001)
BAD_MAPPED = Attribute(XOR_MAPPED_ADDRESS.code, "XOR-MAPPED-ADDRESS", shapes.OPAQUE)
BAD_LIFETIME = Attribute(LIFETIME.code, "LIFETIME", shapes.OPAQUE)


class MobileScene(Scene):
    def begin(self, **options):
        self.allocate((*GRANT, (MOBILITY_TICKET, FIRST)), mobility=True, **options)
        return self

    def of(self, kind):
        return [event for _, event in self.events if isinstance(event, kind)]

    def refreshes(self):
        return [(time, action, message) for time, action, message in self.sent if message.method is Method.REFRESH]

    def go(self):
        """Ask for the move, and have the new socket open."""
        self.do("rebind")
        return self.open(local=ROAD)

    def arrive(self, *attributes):
        self.answer((LIFETIME, 600), (MOBILITY_TICKET, SECOND), *attributes, to=Method.REFRESH)

    def nudges(self):
        return [action for _, action in self.data if action.data[:2] == b"\x00\x16" and len(action.data) == 20]


@pytest.fixture
def scene():
    return MobileScene().begin()


# ------------------------------------------------------------------- asking for it


@pytest.mark.req("RFC8016-001")
def test_mobility_is_asked_for_by_an_empty_ticket(scene):
    for _, request in scene.asked(Method.ALLOCATE):
        assert request.get(MOBILITY_TICKET) == b""
    (created,) = scene.of(AllocationCreated)
    assert created.mobile


@pytest.mark.req("RFC8016-001")
def test_who_does_not_ask_sends_no_ticket_and_takes_none():
    scene = Scene()
    created = scene.allocate((*GRANT, (MOBILITY_TICKET, FIRST)))
    assert not created.mobile
    assert not any(MOBILITY_TICKET in request for _, request in scene.asked(Method.ALLOCATE))
    with pytest.raises(LocalProtocolError, match="mobility=True"):
        scene.do("rebind")


@pytest.mark.req("RFC8016-003")
def test_a_405_is_answered_without_asking_for_mobility_and_never_again_on_that_server():
    memory = TurnServerMemory()
    for attempt in range(2):
        scene = Scene(options={"memory": memory})
        scene.do("allocate", mobility=True)
        scene.open()
        scene.challenge(to=Method.ALLOCATE)
        if not attempt:
            scene.refuse(405, to=Method.ALLOCATE, reason="Mobility Forbidden")
        scene.answer(*GRANT, to=Method.ALLOCATE)
        assert [event.mobile for event in scene.told(AllocationCreated)] == [False]
        asked = [MOBILITY_TICKET in request for _, request in scene.asked(Method.ALLOCATE)]
        assert asked == ([False, False] if attempt else [True, True, False])
    assert not memory.is_mobility_refused(OTHER, now=0.0)


@pytest.mark.req("RFC8016-003")
def test_who_wants_mobility_or_nothing_asks_once():
    memory = TurnServerMemory()
    scene = Scene(options={"memory": memory}, relax=False)
    scene.do("allocate", mobility=True)
    scene.open()
    scene.challenge(to=Method.ALLOCATE)
    scene.refuse(405, to=Method.ALLOCATE)
    scene.do("allocate", mobility=True)
    assert [event.code for event in scene.told(AllocationFailed)] == [405, 405]
    assert len(scene.asked(Method.ALLOCATE)) == 2


@pytest.mark.req("RFC8016-004")
def test_a_refresh_from_the_same_address_has_no_ticket(scene):
    scene.run(540.0)
    ((time, _, request),) = scene.refreshes()
    assert time == 540.0
    assert MOBILITY_TICKET not in request


# ------------------------------------------------------------------- moving when told


@pytest.mark.req("RFC8016-004", "RFC8016-009")
def test_a_move_opens_a_socket_shows_the_ticket_and_sends_data_there_only_after_success(scene):
    scene.permit(PEER)
    old = scene.client.path
    new = scene.go()
    ((_, action, request),) = scene.refreshes()
    assert (action.socket, action.destination, request.get(MOBILITY_TICKET)) == (new, SERVER, FIRST)
    scene.do("send", PEER, b"early")
    scene.do("create_permission", PEER._replace(host="198.51.100.10"))
    assert scene.client.path == old
    assert {output.socket for _, output in scene.data} == {old.socket}
    scene.arrive()
    assert scene.of(AllocationRebound) == [AllocationRebound(ROAD, 600)]
    assert (scene.client.path.socket, scene.client.local) == (new, ROAD)
    scene.do("send", PEER, b"late")
    assert scene.data[-1][1].socket == new


def test_after_a_move_the_client_knows_how_the_server_sees_it_now(scene):
    moved = Address("203.0.113.99", 50001)
    scene.go()
    assert scene.client.mapped == MAPPED
    scene.arrive((XOR_MAPPED_ADDRESS, moved))
    assert scene.of(AllocationRebound) == [AllocationRebound(ROAD, 600, moved)]
    assert scene.client.mapped == moved
    assert f"from {ROAD}, which it sees as {moved}" in scene.client.explain(now=scene.now)


@pytest.mark.parametrize("told", [(), ((BAD_MAPPED, b"address"),)])
def test_after_a_move_that_the_server_answers_without_an_address_nobody_claims_to_know_one(scene, told):
    scene.go()
    scene.arrive(*told)
    assert scene.of(AllocationRebound) == [AllocationRebound(ROAD, 600, None)]
    assert scene.client.mapped is None
    assert f"from {ROAD}, and it has not said how it sees that since the move" in scene.client.explain(now=scene.now)
    scene.go()
    (_, _, request) = scene.refreshes()[-1]
    assert request.get(MOBILITY_TICKET) == SECOND


def test_after_the_move_the_server_hears_something_at_once_so_that_it_sends_data_there(scene):
    new = scene.go()
    assert scene.nudges() == []
    scene.arrive()
    (nudge,) = scene.nudges()
    assert isinstance(nudge, SendDatagram)
    assert (nudge.socket, nudge.destination) == (new, SERVER)


def test_a_nudge_that_is_lost_is_repeated_before_the_old_way_closes(scene):
    new = scene.go()
    scene.arrive()
    scene.run(4.9)
    assert [(nudge.socket, nudge.destination) for nudge in scene.nudges()] == [(new, SERVER)] * 2
    scene.run(20.0)
    assert len(scene.nudges()) == 2


def test_nobody_is_nudged_where_the_new_way_is_a_stream_or_lost():
    stream = MobileScene(transport=TCP).begin()
    stream.go()
    stream.arrive()
    stream.run(5.0)
    assert len(stream.nudges()) == 1
    lost = MobileScene().begin()
    lost.go()
    lost.arrive()
    lost.lose(1)
    lost.run(5.0)
    assert len(lost.nudges()) == 1


def test_a_data_connection_that_opens_during_a_move_is_not_taken_for_the_new_way():
    scene = MobileScene(transport=TCP).begin(transport=TCP)
    scene.do("connect", PEER)
    scene.answer((CONNECTION_ID, 7), to=Method.CONNECT)
    data = len(scene.opened()) - 1
    scene.go()
    scene.open(data, local=OTHER_LOCAL)
    scene.arrive()
    assert scene.of(AllocationRebound) == [AllocationRebound(ROAD, 600)]


def test_an_allocation_that_expires_during_a_move_takes_the_new_socket_along(scene):
    scene.run(575.0)
    new = scene.go()
    scene.run(700.0)
    assert len(scene.of(AllocationLost)) == 1
    assert scene.of(RebindFailed) == []
    assert new not in [one.socket for one in scene.opened()]
    assert [time for time, _, _ in scene.refreshes() if time > 600.0] == []


def test_a_ticket_shown_for_an_allocation_that_expires_meanwhile_is_shown_no_more(scene):
    scene.run(575.0)
    scene.do("create_permission", PEER)
    scene.refuse(437, to=Method.CREATE_PERMISSION)
    shown = [time for time, _, request in scene.refreshes() if MOBILITY_TICKET in request]
    scene.run(700.0)
    again = [time for time, _, request in scene.refreshes() if MOBILITY_TICKET in request]
    assert shown == [575.0]
    assert max(again) < 600.0
    assert len(scene.of(AllocationLost)) == 1


@pytest.mark.parametrize("code", [400, 405, 441])
def test_a_ticket_that_is_refused_where_the_5_tuple_is_unknown_has_ended_the_allocation(scene, code):
    scene.do("create_permission", PEER)
    scene.refuse(437, to=Method.CREATE_PERMISSION)
    scene.refuse(code, to=Method.REFRESH)
    assert [event.code for event in scene.of(AllocationLost)] == [code]
    assert scene.of(RebindFailed) == []


def test_the_next_move_shows_the_new_ticket(scene):
    scene.go()
    scene.arrive()
    scene.do("rebind")
    scene.open(local=LOCAL)
    assert [request.get(MOBILITY_TICKET) for _, _, request in scene.refreshes()] == [FIRST, SECOND]


def test_the_lifetime_begins_anew_with_the_move(scene):
    scene.now = 300.0
    scene.go()
    scene.arrive()
    scene.run(840.0)
    assert [time for time, _, _ in scene.refreshes()] == [300.0, 840.0]


def test_a_wanted_lifetime_is_asked_for_again():
    scene = MobileScene().begin(lifetime=1200)
    scene.go()
    assert scene.find(Method.REFRESH)[1].get(LIFETIME) == 1200


def test_data_on_the_way_that_was_left_is_taken_for_a_while_and_then_the_socket_closes(scene):
    scene.permit(PEER)
    old = scene.client.path
    scene.go()
    scene.arrive()
    indication = encode(Method.DATA, MessageClass.INDICATION, bytes(12), [(XOR_PEER_ADDRESS, PEER), (DATA, b"late")])
    scene.do("handle_datagrams", old.socket, [(SERVER, indication)])
    assert scene.of(DataReceived) == [DataReceived(PEER, b"late")]
    scene.run(4.9)
    assert old.socket in [one.socket for one in scene.opened()]
    scene.run(5.0)
    assert [one.socket for one in scene.opened()] == [scene.client.path.socket]


def test_moves_in_quick_succession_leave_two_sockets_at_most(scene):
    for _ in range(5):
        scene.go()
        scene.arrive()
    assert len(scene.opened()) == 2


def test_one_move_at_a_time(scene):
    scene.go()
    with pytest.raises(LocalProtocolError, match="on the move"):
        scene.do("rebind")


def test_a_local_address_may_be_named(scene):
    scene.do("rebind", local=Address("10.1.0.9", 0))
    assert scene.opened()[-1].bind == Address("10.1.0.9", 0)
    other = MobileScene().begin()
    with pytest.raises(LocalProtocolError, match="families"):
        other.do("rebind", local=Address("2001:db8::9", 0))


@pytest.mark.parametrize("code", [400, 403, 405, 441, None])
def test_a_move_that_is_refused_leaves_the_allocation_where_it_was(scene, code):
    old = scene.client.path
    scene.go()
    if code is None:
        scene.run(40.0)
    else:
        scene.refuse(code, to=Method.REFRESH)
    assert [event.code for event in scene.of(RebindFailed)] == [code]
    assert scene.client.path == old
    assert [one.socket for one in scene.opened()] == [old.socket]
    scene.do("rebind")


def test_a_437_to_a_move_is_the_end(scene):
    scene.go()
    scene.refuse(437, to=Method.REFRESH)
    assert [event.code for event in scene.of(AllocationLost)] == [437]
    assert scene.opened() == []


@pytest.mark.parametrize("attributes", [[], [(BAD_LIFETIME, b"x"), (MOBILITY_TICKET, SECOND)]])
def test_an_answer_without_a_ticket_is_the_last_move(scene, attributes):
    scene.go()
    scene.answer(*attributes, to=Method.REFRESH)
    assert scene.of(AllocationRebound) == [AllocationRebound(ROAD, 600)]
    with pytest.raises(LocalProtocolError, match="cannot move"):
        scene.do("rebind")


def test_a_move_that_finds_no_place_in_the_queue_raises_and_changes_nothing():
    scene = MobileScene(stun=StunClientConfig(max_outstanding=1, max_queued=1)).begin()
    scene.do("create_permission", PEER)
    scene.do("refresh")
    with pytest.raises(LocalProtocolError, match="wait for"):
        scene.do("rebind")
    assert len(scene.opened()) == 1
    scene.answer(to=Method.CREATE_PERMISSION)
    scene.answer((LIFETIME, 600), to=Method.REFRESH)
    scene.do("rebind")


# ------------------------------------------------------------------- moving because it must


def test_a_437_from_where_a_nat_has_changed_something_is_answered_by_the_ticket(scene):
    scene.permit(PEER)
    scene.run(240.0)
    scene.refuse(437, to=Method.CREATE_PERMISSION)
    ((time, action, request),) = scene.refreshes()
    assert (time, action.socket, request.get(MOBILITY_TICKET)) == (240.0, scene.client.path.socket, FIRST)
    scene.arrive()
    assert scene.of(AllocationRebound) == [AllocationRebound(LOCAL, 600)]
    assert len(scene.opened()) == 1
    scene.run(245.0)
    scene.answer(to=Method.CREATE_PERMISSION)
    scene.run(400.0)
    assert (scene.of(PermissionFailed), scene.of(AllocationLost)) == ([], [])


def test_a_437_to_a_refresh_is_answered_by_the_ticket_and_a_second_one_is_the_end(scene):
    scene.do("refresh")
    scene.do("create_permission", PEER)
    scene.refuse(437, to=Method.CREATE_PERMISSION)
    scene.refuse(437, index=0, to=Method.REFRESH)
    assert len(scene.refreshes()) == 2
    scene.refuse(437, to=Method.REFRESH)
    assert [event.code for event in scene.of(AllocationLost)] == [437]


@pytest.mark.parametrize("code", [None, 500])
def test_a_ticket_that_is_not_answered_is_shown_again_after_the_next_437(scene, code):
    scene.do("create_permission", PEER)
    scene.refuse(437, to=Method.CREATE_PERMISSION)
    if code is not None:
        for _ in range(5):
            scene.refuse(code, to=Method.REFRESH)
            scene.run(scene.now + 0.5)
    else:
        scene.run(39.5)
    before = len(scene.refreshes())
    assert scene.of(AllocationLost) == []
    scene.do("create_permission", PEER._replace(host="198.51.100.10"))
    scene.refuse(437, to=Method.CREATE_PERMISSION)
    assert [request.get(MOBILITY_TICKET) for _, _, request in scene.refreshes()[before:]] == [FIRST]


def crowded():
    """A mobile TCP allocation, and a queue that is full while a data connection opens."""
    scene = MobileScene(transport=TCP, stun=StunClientConfig(max_outstanding=2, max_queued=1)).begin(transport=TCP)
    scene.do("connect", PEER._replace(port=1))
    scene.do("connect", PEER._replace(port=2))
    scene.answer((CONNECTION_ID, 1), to=Method.CONNECT, index=0)
    return scene


def test_a_ticket_that_finds_no_place_in_the_queue_is_shown_after_the_next_437():
    scene = crowded()
    scene.refuse(437, to=Method.CONNECT)
    assert (scene.refreshes(), scene.of(AllocationLost)) == ([], [])
    scene.open(local=ROAD)
    scene.do("create_permission", PEER)
    scene.refuse(437, to=Method.CREATE_PERMISSION)
    assert [request.get(MOBILITY_TICKET) for _, _, request in scene.refreshes()] == [FIRST]


def test_a_permission_whose_437_shows_no_ticket_is_asked_for_again_as_if_nobody_had_answered(scene, monkeypatch):
    scene.permit(PEER)
    scene.run(240.0)
    monkeypatch.setattr("sansice.turn._client._mover.Mover.retrace", lambda self, now: True)  # a full queue
    scene.refuse(437, to=Method.CREATE_PERMISSION)
    assert (scene.of(PermissionFailed), scene.of(AllocationLost), scene.refreshes()) == ([], [], [])
    scene.run(250.0)
    scene.answer(to=Method.CREATE_PERMISSION)
    scene.run(310.0)
    assert scene.of(PermissionFailed) == []


def test_another_way_that_finds_no_place_in_the_queue_is_tried_later():
    scene = crowded()
    scene.lose(0)
    assert scene.of(AllocationLost) == []
    assert len(scene.opened()) == 1
    scene.open(-2, local=ROAD)
    scene.run(5.0)
    assert len(scene.opened()) == 2


def test_a_way_that_breaks_is_replaced_and_nothing_is_asked_meanwhile(scene):
    scene.permit(PEER)
    old = scene.client.path
    scene.lose(0)
    assert scene.of(AllocationLost) == []
    opens = scene.actions[-1]
    assert isinstance(opens, OpenSocket) or scene.opened()
    scene.do("send", PEER, b"lost")
    scene.do("create_permission", PEER._replace(host="198.51.100.10"))
    assert (scene.data, scene.client.stats.unsent) == ([], 1)
    socket = scene.open(local=ROAD)
    assert socket != old.socket
    scene.arrive()
    assert scene.of(AllocationRebound) == [AllocationRebound(ROAD, 600)]
    assert scene.asked(Method.CREATE_PERMISSION)[-1][1].get(XOR_PEER_ADDRESS).host == "198.51.100.10"
    scene.do("send", PEER, b"there")
    assert scene.data[-1][1].socket == socket


def test_a_way_that_breaks_again_and_again_is_replaced_until_the_allocation_has_expired(scene):
    scene.lose(0)
    scene.lose(-1)
    scene.run(4.9)
    assert scene.opened() == []
    scene.run(5.0)
    assert len(scene.opened()) == 1
    scene.run(700.0)
    (lost,) = scene.of(AllocationLost)
    assert "expired" in lost.reason
    assert [time for time, event in scene.events if event is lost] == [600.0]


def test_a_way_that_breaks_during_a_move_is_left_to_that_move(scene):
    new = scene.go()
    scene.lose(0)
    assert len(scene.refreshes()) == 1
    scene.arrive()
    assert scene.client.path.socket == new
    assert len(scene.opened()) == 1


@pytest.mark.parametrize("code", [400, 405, 437, 441])
def test_a_server_that_refuses_the_only_way_left_has_ended_it(scene, code):
    scene.lose(0)
    scene.open(local=ROAD)
    scene.refuse(code, to=Method.REFRESH)
    assert [event.code for event in scene.of(AllocationLost)] == [code]


def test_refreshes_and_signs_of_life_rest_while_there_is_no_way():
    scene = MobileScene(keepalive=20.0).begin()
    scene.lose(0)
    scene.run(560.0)
    assert scene.refreshes() == []
    assert scene.data == []


def test_a_sign_of_life_of_a_mobile_client_is_one_that_data_follows():
    scene = MobileScene(keepalive=20.0).begin()
    scene.run(45.0)
    assert len(scene.nudges()) > 0
    assert scene.asked(Method.BINDING) == []


def test_a_stream_that_the_server_closes_is_replaced_by_another():
    scene = MobileScene(transport=TCP).begin()
    scene.do("handle_stream_data", scene.client.path.socket, b"")
    assert scene.of(AllocationLost) == []
    scene.open(local=ROAD)
    scene.arrive()
    assert scene.client.path.reliable
    assert scene.of(AllocationRebound) == [AllocationRebound(ROAD, 600)]


# ------------------------------------------------------------------- the end


@pytest.mark.parametrize("stage", ["moving", "moved"])
def test_a_client_that_closes_leaves_no_socket_and_deletes_where_it_is(scene, stage):
    scene.go()
    if stage == "moved":
        scene.arrive()
    where = scene.client.path.socket
    scene.do("close")
    action, request = scene.find(Method.REFRESH)
    assert (action.socket, request.get(LIFETIME)) == (where, 0)
    scene.answer(to=Method.REFRESH)
    assert scene.opened() == []


def test_an_application_that_moves_before_the_next_try_takes_its_place(scene):
    scene.lose(0)
    scene.lose(-1)
    scene.run(1.0)
    scene.do("rebind")
    scene.run(6.0)
    assert len(scene.opened()) == 1
    scene.open(local=ROAD)
    scene.arrive()
    scene.run(100.0)
    assert scene.of(AllocationLost) == []
    assert len(scene.opened()) == 1


def test_what_was_asked_on_the_way_that_was_left_is_asked_again_on_the_new_one(scene):
    scene.do("create_permission", PEER)
    left = len(scene.sent) - 1
    new = scene.go()
    scene.arrive()
    action, request = scene.find(Method.CREATE_PERMISSION)
    assert (action.socket, request.get(XOR_PEER_ADDRESS)) == (new, PEER)
    scene.refuse(437, index=left)  # the server knows nobody there any more
    assert len(scene.refreshes()) == 1
    scene.answer(to=Method.CREATE_PERMISSION)
    assert scene.of(PermissionFailed) == scene.of(AllocationLost) == []
    assert scene.client.is_permitted(PEER.host)


def test_on_the_way_that_was_left_nothing_is_asked_any_more(scene):
    scene.do("create_permission", PEER)
    new = scene.go()
    scene.arrive()
    scene.run(4.0)
    assert {action.socket for time, action, _ in scene.sent if time > 0} == {new}


def test_what_cannot_be_asked_again_on_the_new_way_counts_as_not_answered():
    scene = MobileScene(transport=TCP, stun=StunClientConfig(max_outstanding=3, max_queued=1)).begin(transport=TCP)
    scene.do("create_permission", PEER)
    scene.do("connect", PEER)
    scene.go()
    scene.answer((CONNECTION_ID, 1), to=Method.CONNECT)  # and what binds it waits for its socket, in the only place
    scene.arrive()
    assert scene.of(PermissionFailed) == [PermissionFailed((PEER.host,), None, "the server does not answer")]
    assert len(scene.asked(Method.CREATE_PERMISSION)) == 1


def test_without_a_way_nothing_is_wrapped(scene):
    scene.permit(PEER)
    scene.lose(0)
    assert scene.client.wrap(PEER, b"x") is None
    scene.open(local=ROAD)
    scene.arrive()
    assert scene.client.wrap(PEER, b"x") is not None


def test_what_a_437_was_the_answer_to_is_asked_again_when_the_server_knows_who_asks(scene):
    scene.do("create_permission", PEER)
    scene.do("bind_channel", PEER)
    scene.refuse(437, to=Method.CREATE_PERMISSION)
    scene.refuse(437, to=Method.CHANNEL_BIND)
    asked = len(scene.sent)
    scene.run(1.0)
    scene.arrive()
    for method in (Method.CREATE_PERMISSION, Method.CHANNEL_BIND):
        assert len(scene.asked(method, since=asked)) == 1
        scene.answer(to=method)
    assert scene.client.is_permitted(PEER.host)
    assert scene.client.channel(PEER) == 0x4000
    assert scene.of(PermissionFailed) == []


@pytest.mark.parametrize("code", [400, None])
def test_what_a_437_was_the_answer_to_has_failed_if_the_server_does_not_come_to_know(scene, code):
    scene.do("create_permission", PEER)
    scene.refuse(437, to=Method.CREATE_PERMISSION)
    if code is None:
        scene.run(39.5)
        assert [event.hosts for event in scene.of(PermissionFailed)] == [(PEER.host,)]
    else:
        scene.refuse(code, to=Method.REFRESH)
        assert [event.code for event in scene.of(AllocationLost)] == [400]
    requests = scene.client._allocation.requests if code is None else None
    assert not requests


def test_a_server_that_keeps_on_answering_437_is_not_asked_ever_more():
    scene = MobileScene(max_in_flight=2).begin()
    for number in range(5):
        scene.do("create_permission", PEER._replace(host=f"198.51.100.{number}"))
        if number < 2:
            scene.refuse(437, to=Method.CREATE_PERMISSION)
    assert len(scene.asked(Method.CREATE_PERMISSION)) == 2
    scene.arrive()
    assert len(scene.asked(Method.CREATE_PERMISSION)) == 4


def test_a_move_that_leaves_no_time_is_the_end(scene):
    scene.go()
    scene.answer((LIFETIME, 0), (MOBILITY_TICKET, SECOND), to=Method.REFRESH)
    assert [event.reason for event in scene.of(AllocationLost)] == ["the server has given it no more time"]
    assert scene.opened() == []


def test_what_the_old_stream_has_not_taken_does_not_hold_the_new_one_up():
    scene = MobileScene(transport=TCP).begin()
    scene.permit(PEER)
    scene.do("handle_stream_sent", scene.client.path.socket, 1_000_000)
    scene.go()
    scene.arrive()
    scene.do("send", PEER, b"x")
    assert scene.data[-1][1].socket == scene.client.path.socket
    assert scene.client.stats.unsent == 0


def test_on_the_way_that_was_left_only_the_server_is_heard(scene):
    scene.permit(PEER)
    old = scene.client.path
    scene.go()
    scene.arrive()
    indication = encode(Method.DATA, MessageClass.INDICATION, bytes(12), [(XOR_PEER_ADDRESS, PEER), (DATA, b"forged")])
    scene.do("handle_datagrams", old.socket, [(OTHER, indication)])
    assert scene.of(DataReceived) == []
