"""`IceConnectionBase`: everything of a connection that needs no runtime, over drivers that a test turns by hand."""

import contextlib
import math
import random

import pytest

from ice._connections import HandDriver, Lent, arguments_at, turn
from sansice import Address, DropReason, LocalProtocolError, SocketId
from sansice.ice import (
    Credentials,
    DataReceived,
    Description,
    IceClosed,
    IceConfig,
    IceConnectionBase,
    IceFailed,
    IceRole,
    IceState,
    LiteAgent,
    Nomination,
    NotConnected,
    Pacer,
    PairSelected,
    SessionDescription,
    WouldBlock,
)


class Connection(IceConnectionBase[HandDriver]):
    """A connection whose waiting is counting."""

    def __init__(self, host, **arguments):
        self.host = host
        self.others = []  # that the machine has had since
        self.told_in_use = []
        self.woken = 0
        super().__init__(HandDriver, **arguments_at(host, **arguments))

    def _wake(self, inbox=None):
        self.woken += 1

    @staticmethod
    def _address_of(source):
        return Address(*source)

    def _host_addresses(self, *, in_use=(), refresh=False):
        self.told_in_use.append(list(in_use))
        return [self.host, *self.others] if refresh else [self.host]


@pytest.fixture
def pair():
    """Two connections that have selected a pair."""
    return connected(Connection("192.0.2.1"), Connection("192.0.2.2", controlling=False))


def connected(alice, bob):
    for one in (alice, bob):
        one._start_gathering()
    alice._start_connecting(bob._complete_description())
    bob._start_connecting(alice._complete_description())
    turn(alice, bob, until=0.5)
    return alice, bob


# ---------------------------------------------------------------- connecting


def test_two_connections_connect_and_exchange_data(pair):
    alice, bob = pair
    assert alice.selected_pair.nominated
    assert alice.data_mtu_of() > 1000
    assert alice._connected_pair() == alice.selected_pair
    assert (alice.state, bob.state) == (IceState.COMPLETED, IceState.COMPLETED)
    assert (alice.role, bob.role) == (IceRole.CONTROLLING, IceRole.CONTROLLED)
    assert alice.writable
    assert alice.pairs == (alice.selected_pair,)
    assert alice.local_candidates == bob.remote_candidates
    assert "completed" in alice.explain()
    assert alice.lost == {"EMSGSIZE": 3}
    alice.send_nowait(b"from alice")
    turn(alice, bob, until=0.5)
    assert bob.receive_nowait() == b"from alice"


def test_nothing_is_connected_before_there_is_a_pair():
    alice = Connection("192.0.2.1")
    assert alice._connected_pair() is None
    assert not alice.writable
    with pytest.raises(NotConnected):
        alice.send_nowait(b"early")
    assert alice.stats().datagrams_sent == 0


def test_candidates_are_found_one_after_the_other():
    alice = Connection("192.0.2.1")
    assert alice._candidate(0, []) is None
    assert not alice._is_gathered()
    alice._start_gathering()
    alice._start_gathering()  # a second time is for nothing
    assert alice._is_gathered()
    assert alice._candidate(0, []).address == Address("192.0.2.1", 5000)
    given = [alice._candidate(0, [])]
    assert alice._candidate(0, given) is None and alice._candidate(0, given) is None
    assert alice._complete_description() == alice.local_description
    assert alice.local_description.end_of_candidates


def test_connecting_gathers_first_and_only_once_per_connection(pair):
    alice, bob = pair
    late = Connection("192.0.2.3")
    late._start_connecting(bob.local_description)
    assert late._is_gathered()
    with pytest.raises(LocalProtocolError, match=r"connected\(\)"):
        alice._start_connecting(bob.local_description)


def test_a_session_of_several_streams_is_connected_once_too():
    alice, bob = (Connection(f"192.0.2.{number}", streams=2) for number in (1, 2))
    bob._start_gathering()
    session = bob._complete_description()
    alice._start_connecting(session)
    with pytest.raises(LocalProtocolError, match=r"connected\(\)"):
        alice._start_connecting(session)


def test_a_refused_description_may_be_followed_by_another():
    alice, bob = Connection("192.0.2.1"), Connection("192.0.2.2")
    with pytest.raises(LocalProtocolError, match="own description"):
        alice._start_connecting(alice.local_description)
    alice._start_connecting(bob.local_description)


def test_trickling_is_said_in_the_description_and_done_by_commands():
    alice, bob = Connection("192.0.2.1", trickle=True), Connection("192.0.2.2")
    assert "trickle" in alice.local_description.options
    assert "trickle" not in bob.local_description.options
    bob._start_connecting(alice.local_description)
    alice._start_gathering()
    assert bob.add_remote_candidate(alice._candidate(0, []))
    bob.end_of_candidates()
    assert bob.remote_candidates == alice.local_candidates


def test_credentials_are_used_as_given():
    credentials = Credentials("ufragofbob", "passwordofbob+passwordofbob")
    assert Connection("192.0.2.1", credentials=credentials).local_description.ufrag == "ufragofbob"


# ---------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"lite": True, "ice_servers": ["stun:192.0.2.9"]}, "a lite agent asks no servers"),
        ({"streams": 0}, "streams"),
        ({"components": 0}, "components"),
        ({"policy": "private"}, "policy"),
        ({"lite": True, "policy": "relay"}, "nothing but its own addresses: no policy"),
        ({"nomination": "aggressive"}, "nomination is a Nomination"),
        ({"lite": True, "nomination": Nomination()}, "a lite agent nominates nothing"),
        ({"pacer": 0.005}, "pacer is a Pacer"),
        ({"lite": True, "pacer": Pacer()}, "a lite agent checks nothing"),
        ({"port_range": (0, 5)}, r"\(0, 5\) is not"),
        ({"port_range": (6, 5)}, r"\(6, 5\) is not"),
        ({"port_range": (5, 65536)}, r"\(5, 65536\) is not"),
        ({"port_range": 5000}, "5000 is not"),
        ({"watch_network": 0}, "watch_network=0"),
        ({"watch_network": math.inf}, "watch_network=inf"),
        ({"max_queued": 0}, "less than one datagram"),
        ({"max_queued_bytes": 0}, "less than one datagram"),
    ],
)
def test_an_argument_that_is_wrong_is_named(wrong, told):
    with pytest.raises(LocalProtocolError, match=told):
        Connection("192.0.2.1", **wrong)


def test_the_driver_is_given_the_ports_of_the_range():
    assert list(Connection("192.0.2.1", port_range=(5000, 5002))._driver.ports) == [5000, 5001, 5002]
    assert Connection("192.0.2.1")._driver.ports is None


# ---------------------------------------------------------------- the queue


def deliver(connection, *datagrams):
    for data in datagrams:
        connection._deliver(DataReceived(0, 1, data))


def queued(connection):
    taken = []
    with contextlib.suppress(WouldBlock):
        while True:
            taken.append(connection.receive_nowait())
    return taken


def test_a_full_queue_drops_the_oldest_datagrams_and_counts_them():
    alice = Connection("192.0.2.1", max_queued=2)
    deliver(alice, b"1", b"2", b"3", b"4")
    assert alice.stats().dropped[DropReason.QUEUE_FULL] == 2
    assert queued(alice) == [b"3", b"4"]


def test_a_queue_full_of_bytes_drops_the_oldest_datagrams_and_counts_them():
    alice = Connection("192.0.2.1", max_queued_bytes=5)
    deliver(alice, b"111", b"22", b"3")
    assert queued(alice) == [b"22", b"3"]
    deliver(alice, b"4", b"more than five")
    assert queued(alice) == []
    assert alice.stats().dropped[DropReason.QUEUE_FULL] == 3


def test_what_was_taken_makes_room_again():
    alice = Connection("192.0.2.1", max_queued_bytes=4)
    for _ in range(3):
        deliver(alice, b"four")
        assert queued(alice) == [b"four"]
    assert alice.stats().dropped[DropReason.QUEUE_FULL] == 0


def test_nothing_to_receive_is_told_without_waiting():
    with pytest.raises(WouldBlock):
        Connection("192.0.2.1").receive_nowait()


@pytest.mark.parametrize("wrong", [{"stream": 1}, {"component": 2}, {"stream": -1}, {"component": 0}])
def test_there_is_one_stream_of_one_component_unless_more_are_asked_for(wrong):
    alice = Connection("192.0.2.1")
    for refused in (alice.receive_nowait, alice.detach, alice.selected_pair_of, alice.is_writable):
        with pytest.raises(LocalProtocolError, match="there is no"):
            refused(**wrong)
    with pytest.raises(LocalProtocolError, match="there is no"):
        alice.send_nowait(b"x", **wrong)


# ---------------------------------------------------------------- several streams and components


def test_each_stream_and_component_has_its_candidates_its_queue_and_its_description():
    alice = Connection("192.0.2.1", streams=2, components=[2, 1], trickle=True)
    assert alice.components == (2, 1)
    alice._start_gathering()
    session = alice.local_description
    assert isinstance(session, SessionDescription)
    assert ["trickle" in one.options for one in session.streams] == [True, True]
    for stream, components in ((0, [1, 2]), (1, [1])):
        found = []
        for _ in components:
            found.append(alice._candidate(stream, found))
        assert [one.component for one in found] == components
        assert tuple(found) == session.streams[stream].candidates
        assert alice._candidate(stream, found) is None
    alice._deliver(DataReceived(0, 2, b"of the second component"))
    alice._deliver(DataReceived(1, 1, b"of the second stream"))
    assert alice.receive_nowait(component=2) == b"of the second component"
    assert alice.receive_nowait(stream=1) == b"of the second stream"
    with pytest.raises(WouldBlock):
        alice.receive_nowait()


def test_it_is_connected_once_every_component_is():
    alice, bob = (Connection(f"192.0.2.{number}", controlling=number == 1, components=2) for number in (1, 2))
    for one in (alice, bob):
        one._start_gathering()
    assert alice._connected_pair() is None
    # The driver by hand gives all sockets one address, so that the second component never connects.
    alice._start_connecting(bob._complete_description())
    bob._start_connecting(alice._complete_description())
    turn(alice, bob, until=1)
    assert alice.selected_pair_of(component=1) is not None
    assert alice._connected_pair() is None


def test_a_connection_that_is_disconnected_is_connected_still():
    ends = [Connection(f"192.0.2.{n}", controlling=n == 1, entropy=random.Random(n).randbytes) for n in (1, 2)]
    alice, _ = connected(*ends)
    turn(alice, until=20.0)  # nobody answers her
    assert alice.state is IceState.DISCONNECTED
    assert alice._connected_pair() is not None
    assert alice._connected_pair() == alice.selected_pair


@pytest.mark.parametrize("limits", [(0, None), (None, 0), (-1, 5)])
def test_a_channel_without_room_is_refused_and_changes_none(limits):
    alice = Connection("192.0.2.1", max_queued=7)
    with pytest.raises(LocalProtocolError, match="less than one datagram"):
        alice._resize(0, 1, *limits)
    assert alice._inbox(0, 1).max_queued == 7


def test_who_reads_the_states_later_reads_the_same_log():
    alice = Connection("192.0.2.1")
    assert alice._log() is alice._log()


def test_components_that_the_peer_has_not_are_not_waited_for():
    alice, bob = Connection("192.0.2.1", components=2), Connection("192.0.2.2", controlling=False)
    for one in (alice, bob):
        one._start_gathering()
    alice._start_connecting(bob._complete_description())
    bob._start_connecting(alice._complete_description())
    turn(alice, bob, until=1)
    assert alice._connected_pair() is not None
    assert alice._connected_pair() == alice.selected_pair
    assert alice.selected_pair_of(component=2) is None


def test_a_stream_that_fails_alone_ends_waiting_for_all_of_them_and_for_its_data():
    alice, bob = (Connection(f"192.0.2.{number}", controlling=number == 1, streams=2) for number in (1, 2))
    for one in (alice, bob):
        one._start_gathering()
    alice._start_connecting(bob._complete_description())
    bob._start_connecting(alice._complete_description())
    # The driver by hand takes every datagram to the first socket, so that the second stream never connects.
    turn(alice, bob, until=30)
    assert alice._connected_pair() is None
    with pytest.raises(WouldBlock):
        alice.receive_nowait(stream=1)
    turn(alice, bob, until=60)
    assert alice.state is IceState.CONNECTED
    with pytest.raises(IceFailed) as caught:
        alice._connected_pair()
    assert caught.value.stream == 1
    with pytest.raises(IceFailed):
        alice.receive_nowait(stream=1)
    with pytest.raises(WouldBlock):
        alice.receive_nowait()
    bob.send_nowait(b"the first stream goes on")
    turn(alice, bob, until=60.1)
    assert alice.receive_nowait() == b"the first stream goes on"


# ---------------------------------------------------------------- restarts, and other addresses


@pytest.fixture
def restartable():
    """Two connected ends that draw other credentials each time."""
    return connected(*(Connection(f"192.0.2.{n}", controlling=n == 1, entropy=random.Random(n).randbytes) for n in (1, 2)))


def test_a_restart_is_over_once_every_component_has_selected_anew(restartable):
    alice, bob = restartable
    before = alice.local_description
    new = alice.restart()
    assert new.ufrag == alice.local_description.ufrag != before.ufrag
    assert alice._connected_pair() is None
    alice.send_nowait(b"over the old pair")
    turn(alice, bob, until=0.6)
    assert bob.receive_nowait() == b"over the old pair"
    alice._start_gathering()
    bob.set_remote(alice._complete_description())
    assert bob._connected_pair() is None
    bob._start_gathering()
    alice._start_connecting(bob._complete_description())
    turn(alice, bob, until=2.0)
    assert alice._connected_pair() is not None
    assert bob._connected_pair() is not None
    with pytest.raises(LocalProtocolError, match=r"connected\(\)"):
        alice._start_connecting(bob.local_description)


def test_the_peers_restart_may_be_told_to_connect_as_well(restartable):
    alice, bob = restartable
    alice.restart()
    alice._start_gathering()
    bob._start_connecting(alice._complete_description())
    assert bob._is_gathered()  # anew, as the answer needs it
    alice.set_remote(bob.local_description)
    turn(alice, bob, until=2.0)
    assert alice._connected_pair() is not None


def test_one_of_several_streams_restarts():
    alice = Connection("192.0.2.1", streams=2, entropy=random.Random(1).randbytes)
    alice._start_gathering()
    before = alice.local_descriptions.streams
    credentials = Credentials("newufrag", "newpassword+newpassword")
    assert alice.restart(stream=1, credentials=credentials) == credentials
    after = alice.local_descriptions.streams
    assert (after[0].ufrag, after[1].ufrag) == (before[0].ufrag, "newufrag")
    alice.restart()
    alice._deliver(PairSelected(1, 1, None))
    assert alice._restarting == {0: 1}
    alice._deliver(PairSelected(0, 1, None))
    assert not alice._restarting


def test_addresses_that_the_machine_has_had_since_are_gathered_too():
    alice = Connection("192.0.2.1")
    alice._look_at_network()  # nothing was gathered yet, so that nothing has changed
    with pytest.raises(LocalProtocolError, match=r"gather\(\)"):
        alice.update_addresses()
    alice._start_gathering()
    alice._look_at_network()
    alice.others.append("192.0.2.9")
    alice._look_at_network()
    alice._look_at_network()
    assert alice._driver.opened == ["192.0.2.1", "192.0.2.9"]
    assert alice.told_in_use[1:] == [[], ["192.0.2.1"], ["192.0.2.1"], ["192.0.2.1", "192.0.2.9"]]
    with pytest.raises(LocalProtocolError, match="a list of addresses"):
        alice.update_addresses("192.0.2.7")
    alice.update_addresses(["192.0.2.7"])
    alice._look_at_network()  # whoever gave them knows better
    assert alice._driver.opened == ["192.0.2.1", "192.0.2.9"] and not alice.needs_restart
    alice.update_addresses()
    alice.close()
    alice._look_at_network()


# ---------------------------------------------------------------- nomination


def test_the_application_may_nominate_the_pair_that_it_wants():
    alice = Connection("192.0.2.1", nomination=Nomination(choose=lambda nominees, now: None))
    bob = Connection("192.0.2.2", controlling=False)
    for one in (alice, bob):
        one._start_gathering()
    alice._start_connecting(bob._complete_description())
    bob._start_connecting(alice._complete_description())
    turn(alice, bob, until=0.5)
    assert alice._connected_pair() is None
    alice.nominate(alice.pairs[0])
    turn(alice, bob, until=0.6)
    assert alice._connected_pair() == alice.selected_pair
    with pytest.raises(LocalProtocolError):
        bob.nominate(bob.pairs[0])


# ---------------------------------------------------------------- lite


def test_a_lite_agent_is_asked_for_by_an_argument():
    alice = Connection("192.0.2.1", lite=True)
    assert isinstance(alice._agent, LiteAgent)
    alice._start_gathering()
    assert alice.local_description.lite
    with pytest.raises(LocalProtocolError, match="nominates nothing"):
        alice.nominate(None)


def test_every_event_wakes_whoever_waits():
    alice = Connection("192.0.2.1")
    deliver(alice, b"1", b"2")
    assert alice.woken == 2
    alice._start_gathering()
    assert alice.woken > 2


def test_counters_are_a_copy():
    alice = Connection("192.0.2.1")
    alice.stats().dropped[DropReason.EMPTY] += 1
    assert alice.stats().dropped[DropReason.EMPTY] == 0


# ---------------------------------------------------------------- the socket for who moves the data himself


def test_a_socket_is_handed_over_once_a_pair_is_selected(pair):
    alice, _ = pair
    handover = alice.detach()
    assert isinstance(handover.socket, Lent)
    assert (handover.local, handover.remote) == (Address("192.0.2.1", 5000), Address("192.0.2.2", 5000))
    assert alice._driver.lent == [SocketId(1)]
    assert handover.is_current
    alice.close()
    assert not handover.is_current
    with pytest.raises(IceClosed):
        alice.detach()


def test_nothing_is_handed_over_before_a_pair_is_selected():
    alice = Connection("192.0.2.1")
    with pytest.raises(NotConnected, match="no pair is selected; ICE is new"):
        alice.detach()
    assert alice._driver.lent == []


def test_who_was_handed_the_socket_gives_the_agent_all_but_the_peers_data(pair):
    alice, _ = pair
    handover = alice.detach()
    peer, stranger = ("192.0.2.2", 5000), ("192.0.2.3", 5000)
    assert not handover.feed(b"data", peer)
    assert handover.feed(b"data", stranger)
    assert handover.feed(b"", peer)
    assert handover.feed(b"\0\1\0\0\x21\x12\xa4\x42" + bytes(12), peer)
    dropped = alice.stats().dropped
    assert (dropped[DropReason.UNVALIDATED_SOURCE], dropped[DropReason.EMPTY], dropped[DropReason.BAD_FINGERPRINT]) == (1, 1, 1)
    assert queued(alice) == []


def test_a_path_without_a_socket_of_its_own_is_not_handed_over(pair):
    alice, _ = pair
    alice._driver.lent.append(SocketId(1))  # as where the system knows no such socket
    with pytest.raises(LocalProtocolError, match="over a relay"):
        alice.detach()


# ---------------------------------------------------------------- the end


def test_a_closed_connection_gives_out_what_had_arrived_and_refuses_the_rest(pair):
    alice, bob = pair
    deliver(alice, b"unread")
    alice.close()
    alice.close()
    assert alice.receive_nowait() == b"unread"
    for refused in (
        alice.receive_nowait,
        alice._connected_pair,
        alice._complete_description,
        lambda: alice.send_nowait(b"x"),
        lambda: alice._start_connecting(bob.local_description),
    ):
        with pytest.raises(IceClosed):
            refused()


def test_a_connection_closed_before_it_gathered_never_does():
    alice = Connection("192.0.2.1")
    alice.close()
    for refused in (alice._start_gathering, alice._complete_description, alice._raise_if_over):
        with pytest.raises(IceClosed):
            refused()
    with pytest.raises(IceClosed):
        alice._start_connecting(Description("ufrag", "password" * 3))


def test_leaving_wakes_whoever_waits_even_if_the_agent_was_never_closed():
    alice = Connection("192.0.2.1")
    alice._leave()
    assert alice.woken == 1
    with pytest.raises(IceClosed):
        alice.receive_nowait()


def test_a_closed_connection_is_not_restarted():
    connection = Connection("192.0.2.1")
    connection.close()
    with pytest.raises(LocalProtocolError, match="closed"):
        connection.restart()


def test_a_runtime_must_say_how_it_waits_and_what_addresses_it_has():
    arguments = dict.fromkeys(
        ("credentials", "interface_filter", "port_range", "nomination", "pacer", "include_loopback", "gathering")
    )
    arguments["watch_network"] = False
    bare = IceConnectionBase(
        HandDriver,
        controlling=True,
        lite=False,
        ice_servers=(),
        streams=1,
        components=1,
        trickle=False,
        policy="all",
        entropy=bytes,
        config=IceConfig(),
        max_queued=1,
        max_queued_bytes=1,
        **arguments,
    )
    with pytest.raises(NotImplementedError):
        bare._wake()
    with pytest.raises(NotImplementedError):
        bare._host_addresses()
    with pytest.raises(NotImplementedError):
        bare._address_of(("192.0.2.1", 5000))
