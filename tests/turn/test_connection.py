"""The part of a connection that never waits, over a driver by hand: its client is one, its events are the test's."""

import pytest

from sansice import Address, Event, IcmpError, LocalProtocolError, Transport
from sansice.driver import EventQueueBase
from sansice.stun import LongTermCredentials, ServerTarget
from sansice.turn import (
    AllocationCreated,
    AllocationFailed,
    AllocationLost,
    AllocationRebound,
    AllocationRefreshed,
    ChannelFailed,
    ConnectionAttempted,
    DataReceived,
    PeerConnected,
    PeerUnreachable,
    PermissionCreated,
    PermissionFailed,
    RebindFailed,
    StreamReceived,
    StreamSent,
    TurnClient,
    TurnClientState,
    TurnClosed,
    TurnConnectionBase,
    TurnError,
    TurnLost,
    TurnPeerBase,
    TurnStep,
    TurnStreamBase,
    TurnWouldBlock,
    turn_credentials,
)
from sansice.turn._connection import address_of, host_of

SERVER = ServerTarget(Transport.UDP, Address("192.0.2.1", 3478), None)
PEER, OTHER = Address("198.51.100.1", 5000), Address("198.51.100.1", 5001)


class Bell:
    """News that are counted."""

    def __init__(self, driver):
        self.rung = 0

    def wake(self):
        self.rung += 1


class Queue(EventQueueBase):
    def _wake(self):
        pass


class Hand:
    """Runs commands at one instant and delivers nothing by itself."""

    lost = {"EMSGSIZE": 1}

    def __init__(self, client, deliver):
        self.client, self.deliver = client, deliver
        self.called = []

    def call(self, command, *args, **kwargs):
        self.called.append((command.__name__, *args))
        if command.__name__ in (
            "create_permission",
            "bind_channel",
            "send",
            "forget",
            "release_channel",
            "connect",
            "accept",
            "close_stream",
            "rebind",
        ):
            return len(self.called)  # as with an allocation
        result = command(*args, now=0.0, **kwargs)
        for output in self.client.take_outputs():
            if isinstance(output, Event):
                self.deliver(output)
        return result


class Connection(TurnConnectionBase):
    def _new_stream(self, id, peer):
        return TurnStreamBase(self, id, peer, Bell(self._driver))

    def _new_peer(self, address, inbox, *, wants_channel):
        return TurnPeerBase(self, address, inbox, wants_channel=wants_channel)


@pytest.fixture
def turn():
    return Connection(TurnClient(SERVER), "turn:192.0.2.1", {}, Hand, Bell, Queue(), max_queued=4, max_queued_bytes=100)


def tell(turn, *events):
    for event in events:
        turn._deliver(event)


def calls(turn):
    return [name for name, *_ in turn._driver.called]


# ---------------------------------------------------------------- arguments


def test_peers_are_named_by_addresses_or_text():
    assert address_of(PEER) is host_of(PEER) is PEER
    assert address_of("198.51.100.1:5000") == host_of("198.51.100.1:5000") == PEER
    assert address_of("[2001:db8::1]:9") == Address("2001:db8::1", 9)
    assert host_of("198.51.100.1") == Address("198.51.100.1", 0)
    assert host_of("2001:db8:0::1") == Address("2001:db8::1", 0)


@pytest.mark.parametrize("text", ["name.example:5000", "198.51.100.1:99999", ""])
def test_text_that_is_no_address_is_the_callers_mistake(text):
    for read in (address_of, host_of):
        with pytest.raises(LocalProtocolError, match="a peer is named by its address"):
            read(text)


def test_credentials_are_a_name_and_a_password_or_an_object_or_none():
    known = LongTermCredentials("alice", "secret")
    assert turn_credentials("alice", "secret") == known
    assert turn_credentials(None, known) is known
    assert turn_credentials(None, None) is None
    for username, credential in (("alice", None), (None, "secret"), ("alice", known)):
        with pytest.raises(LocalProtocolError):
            turn_credentials(username, credential)


@pytest.mark.parametrize("bounds", [{"max_queued": 0, "max_queued_bytes": 1}, {"max_queued": 1, "max_queued_bytes": 0}])
def test_a_queue_holds_one_datagram_at_least(bounds):
    with pytest.raises(LocalProtocolError, match="less than one datagram"):
        Connection(TurnClient(SERVER), "turn:192.0.2.1", {}, Hand, Bell, Queue(), **bounds)


def test_a_runtime_has_to_make_peers_of_its_kind():
    turn = TurnConnectionBase(TurnClient(SERVER), "turn:", {}, Hand, Bell, Queue(), max_queued=1, max_queued_bytes=1)
    with pytest.raises(NotImplementedError):
        turn._peer(PEER, channel=True)
    with pytest.raises(NotImplementedError):
        turn._start_connecting(PEER)


# ---------------------------------------------------------------- moving


def test_a_move_is_waited_for_and_its_failure_is_raised(turn):
    turn._start_rebinding(None)
    assert calls(turn) == ["rebind"]
    assert turn._has_moved() is False
    tell(turn, RebindFailed(405, "Mobility Forbidden"))
    with pytest.raises(TurnError, match="405 Mobility Forbidden") as caught:
        turn._has_moved()
    assert caught.value.step is TurnStep.REFRESH
    turn._start_rebinding(Address("192.0.2.9", 0))
    assert turn._has_moved() is False
    tell(turn, AllocationRebound(Address("192.0.2.9", 7), 600))
    assert turn._has_moved() is True


# ---------------------------------------------------------------- streams


def test_a_stream_hears_of_its_connection_and_data_of_it_is_no_event(turn):
    stream = turn._start_connecting("198.51.100.1:5000")
    assert stream.peer == PEER
    tell(turn, PeerConnected(1, PEER), StreamSent(1, 5), StreamReceived(1, b"x"))
    assert stream.is_open
    assert [type(event) for event in turn.events._events] == [PeerConnected]
    stream.close()
    assert calls(turn) == ["connect", "close_stream"]


def test_peers_that_connect_are_accepted_in_order(turn):
    assert turn._start_accepting() is None
    rung = turn._news.rung
    tell(turn, ConnectionAttempted(7, PEER), ConnectionAttempted(8, OTHER))
    assert turn._news.rung == rung + 2
    first, second = turn._start_accepting(), turn._start_accepting()
    assert (first.peer, second.peer) == (PEER, OTHER)
    assert turn._driver.called == [("accept", 7), ("accept", 8)]
    assert turn._start_accepting() is None


def test_whoever_waits_for_a_stream_is_woken_where_it_is_over(turn):
    stream = turn._start_connecting(PEER)
    rung = stream._news.rung
    turn._end()
    assert stream._news.rung == rung + 1
    with pytest.raises(TurnClosed):
        stream._is_connected()


# ---------------------------------------------------------------- data


def test_data_goes_to_the_peer_that_was_asked_for_and_all_other_to_the_connection(turn):
    peer = turn._peer(PEER, channel=True)
    tell(turn, DataReceived(PEER, b"1"), DataReceived(OTHER, b"2"))
    assert peer.receive_nowait() == b"1"
    assert turn.receive_nowait() == (OTHER, b"2")
    for receive in (peer.receive_nowait, turn.receive_nowait):
        with pytest.raises(TurnWouldBlock, match="nothing has arrived") as caught:
            receive()
        assert caught.value.step is TurnStep.DATA
    assert not turn.events._events


def test_what_waits_is_bounded_for_each_peer_and_counted(turn):
    turn._peer(PEER, channel=True)
    tell(turn, *[DataReceived(PEER, b"x")] * 6, *[DataReceived(OTHER, b"y")] * 5)
    assert sum(turn.stats().dropped.values()) == 3
    assert turn.client.stats.dropped is not turn.stats().dropped


def test_each_datagram_wakes_its_readers_alone(turn):
    peer = turn._peer(PEER, channel=True)
    tell(turn, DataReceived(PEER, b"x"))
    assert (peer._inbox.news.rung, turn._inbox.news.rung, turn._news.rung) == (1, 0, 0)


def test_a_peer_is_asked_for_with_a_channel_or_without(turn):
    one = turn._peer(PEER, channel=True)
    assert turn._peer(PEER, channel=False) is one
    turn._peer("198.51.100.2:5000", channel=False)
    assert calls(turn) == ["bind_channel", "create_permission"]
    assert turn.peers == (PEER, Address("198.51.100.2", 5000))


def test_icmp_errors_are_noted_at_their_peer_and_told(turn):
    peer = turn._peer(PEER, channel=True)
    tell(turn, PeerUnreachable(OTHER, IcmpError(3, 3)))
    assert peer.unreachable is None
    tell(turn, PeerUnreachable(PEER, IcmpError(3, 1)))
    assert peer.unreachable == IcmpError(3, 1)
    assert len(turn.events._events) == 2


# ---------------------------------------------------------------- refusals


def test_a_refused_permission_is_told_to_every_peer_of_the_host_until_it_is_granted(turn):
    one, two, else_ = (turn._peer(peer, channel=True) for peer in (PEER, OTHER, "198.51.100.2:1"))
    tell(turn, PermissionFailed((PEER.host,), 403, "Forbidden"))
    assert [peer._inbox.news.rung for peer in (one, two, else_)] == [1, 1, 0]
    for use in (one.receive_nowait, two._is_ready, lambda: one.send_nowait(b"x"), lambda: turn.send_nowait(PEER, b"x")):
        with pytest.raises(TurnError, match=r"turn:192\.0\.2\.1: permission: 403 198\.51\.100\.1: Forbidden") as caught:
            use()
        assert (caught.value.step, caught.value.code) == (TurnStep.PERMIT, 403)
    assert else_._is_ready() is False
    tell(turn, PermissionCreated((PEER.host,)))
    one.send_nowait(b"x", dont_fragment=True)
    assert calls(turn)[-1] == "send"


def test_a_refusal_ends_with_the_allocation_and_with_the_peer(turn):
    peer = turn._peer(PEER, channel=True)
    tell(turn, PermissionFailed((PEER.host,), 403, "Forbidden"))
    peer.close()
    assert not turn._denied
    turn._peer(PEER, channel=True)
    tell(turn, PermissionFailed((PEER.host,), 403, "Forbidden"), AllocationLost("allocation mismatch", 437))
    assert not turn._denied


def test_what_arrived_before_a_refusal_is_given_out_first(turn):
    peer = turn._peer(PEER, channel=True)
    tell(turn, DataReceived(PEER, b"x"), PermissionFailed((PEER.host,), None, "no answer"))
    assert peer.receive_nowait() == b"x"
    with pytest.raises(TurnError, match="no answer") as caught:
        peer.receive_nowait()
    assert caught.value.code == 0


def test_asking_again_forgets_what_the_server_said_unless_the_question_is_a_mistake(turn, monkeypatch):
    turn._peer(PEER, channel=True)
    tell(turn, PermissionFailed((PEER.host,), 403, "Forbidden"))

    def refuse(*args, **kwargs):
        raise LocalProtocolError("too many")

    with monkeypatch.context() as patch:
        patch.setattr(turn._driver, "call", refuse)
        with pytest.raises(LocalProtocolError):
            turn._start_permitting((PEER,))
    with pytest.raises(TurnError):
        turn._are_permitted((PEER.host,))
    assert turn._start_permitting((PEER, "198.51.100.2")) == (PEER.host, "198.51.100.2")
    assert turn._are_permitted((PEER.host,)) is False


def test_a_channel_that_is_refused_leaves_the_permission(turn):
    peer = turn._peer(PEER, channel=True)
    tell(turn, ChannelFailed(PEER, 508, "Insufficient Capacity"))
    assert peer._is_ready() is False


# ---------------------------------------------------------------- the allocation


def created():
    relayed = (Address("192.0.2.1", 50000),)
    return AllocationCreated(relayed, Address("203.0.113.1", 9), 600, None, SERVER, Address("10.0.0.1", 9))


def test_a_failure_is_raised_anew_each_time_with_step_code_and_reason(turn):
    turn._start_allocating()
    tell(turn, AllocationFailed(TurnStep.OPEN, "connection refused", None))
    seen = []
    for _ in range(2):
        with pytest.raises(TurnError, match="connection refused") as caught:
            turn._is_allocated()
        seen.append(caught.value)
    assert seen[0] is not seen[1]
    assert (seen[0].step, seen[0].code, type(seen[0])) == (TurnStep.OPEN, 0, TurnError)


def test_an_allocation_that_is_on_its_way_is_not_asked_for_twice(turn):
    turn._start_allocating()
    turn._start_allocating()
    assert calls(turn) == ["allocate"]
    assert turn._is_allocated() is False


def test_after_a_loss_peers_and_permissions_are_asked_for_again_with_the_next_allocation(turn, monkeypatch):
    peer = turn._peer(PEER, channel=True)
    turn._start_permitting(("198.51.100.9", "198.51.100.8:7"))
    tell(turn, PermissionFailed((PEER.host,), 403, "Forbidden"), AllocationLost("allocation mismatch", 437))
    assert peer._inbox.news.rung == 2
    with pytest.raises(TurnLost) as caught:
        peer.send_nowait(b"x")
    assert (caught.value.step, caught.value.code) == (TurnStep.REFRESH, 437)
    turn._driver.called.clear()
    tell(turn, created())
    monkeypatch.setattr(TurnClient, "state", property(lambda self: TurnClientState.ALLOCATED))
    assert turn._is_allocated() is True
    assert turn._is_allocated() is True
    assert turn._driver.called == [
        ("create_permission", Address("198.51.100.9", 0)),
        ("create_permission", Address("198.51.100.8", 7)),  # the port says whose relayed address it is
        ("bind_channel", PEER),
    ]
    tell(turn, AllocationRefreshed(600, ()))


def test_whom_the_next_allocation_cannot_reach_is_told_so_and_the_others_are_asked_for(turn, monkeypatch):
    far, near = turn._peer(Address("2001:db8::9", 1), channel=True), turn._peer(PEER, channel=True)
    turn._start_permitting(("2001:db8::8", "198.51.100.9"))
    tell(turn, AllocationLost("allocation mismatch", 437), created())
    call = turn._driver.call

    def only_ipv4(command, peer):
        if peer.is_ipv6:
            raise LocalProtocolError(f"{peer} cannot be reached")
        return call(command, peer)

    monkeypatch.setattr(turn._driver, "call", only_ipv4)
    monkeypatch.setattr(TurnClient, "state", property(lambda self: TurnClientState.ALLOCATED))
    assert turn._is_allocated() is True
    assert turn._driver.called[-2:] == [("create_permission", Address("198.51.100.9", 0)), ("bind_channel", PEER)]
    with pytest.raises(TurnError, match="cannot be reached"):
        far.receive_nowait()
    with pytest.raises(TurnWouldBlock):
        near.receive_nowait()


def test_closing_ends_every_wait_and_a_second_time_changes_nothing(turn):
    peer = turn._peer(PEER, channel=True)
    turn.close()
    turn.close()
    for use in (peer.receive_nowait, turn.receive_nowait, turn._start_allocating, lambda: turn._peer(OTHER, channel=True)):
        with pytest.raises(TurnClosed):
            use()
    assert not turn.events._closed
    turn._end()
    assert turn.events._closed
    assert peer._inbox.news.rung == 2


def test_a_driver_that_broke_down_ends_it_as_well(turn):
    turn._end()
    for use in (turn._start_allocating, turn.receive_nowait):
        with pytest.raises(TurnClosed):
            use()


def test_a_peer_is_forgotten_with_the_last_that_needs_its_host(turn):
    one, two = turn._peer(PEER, channel=True), turn._peer(OTHER, channel=True)
    one.close()
    one.close()
    assert "forget" not in calls(turn)
    assert turn._driver.called[-1] == ("release_channel", PEER)
    two.close()
    assert turn._driver.called[-1] == ("forget", OTHER)
    turn._start_permitting((PEER,))
    three = turn._peer(PEER, channel=True)
    three.close()
    assert (calls(turn).count("forget"), calls(turn).count("release_channel")) == (1, 2)
    turn._peer(PEER, channel=False).close()
    assert calls(turn).count("release_channel") == 2
    assert repr(three) == "<TurnPeer 198.51.100.1:5000>"


def test_a_connection_is_shown_with_its_server_and_what_it_has_and_without_its_password(monkeypatch):
    client = TurnClient(SERVER, credentials=LongTermCredentials("alice", "wonderland"))
    turn = Connection(client, "turn:192.0.2.1", {}, Hand, Bell, Queue(), max_queued=4, max_queued_bytes=100)
    assert repr(turn) == "<Connection turn:192.0.2.1: no allocation>"
    monkeypatch.setattr(TurnClient, "state", property(lambda self: TurnClientState.ALLOCATED))
    monkeypatch.setattr(TurnClient, "relayed", property(lambda self: (PEER, OTHER)))
    assert repr(turn) == f"<Connection turn:192.0.2.1: relaying, {PEER} and {OTHER}>"


def test_what_the_client_has_may_be_read(turn):
    assert turn.relayed == ()
    assert turn.mapped is None
    assert turn.lifetime == 0
    assert turn.lost == {"EMSGSIZE": 1}
    assert turn.state is turn.client.state
    assert "192.0.2.1:3478" in turn.explain()
