"""`AsyncIceConnection` without a runtime: its coroutines are driven by hand, one step at a time."""

import types

import pytest

from ice._connections import HandDriver, arguments_at, turn
from sansice.ice import (
    AsyncIceConnection,
    CandidatePair,
    ConsentLost,
    DataReceived,
    Description,
    IceClosed,
    IceFailed,
    IceState,
    IceStateChanged,
    NotConnected,
    SessionDescription,
)
from sansice.machine import Address, LocalProtocolError


@types.coroutine
def give_way():
    """What a runtime's checkpoint is: others have their turn."""
    yield "checkpoint"


class HandEvent:
    """An event; who waits for it is taken up by hand."""

    def __init__(self):
        self.is_set = False

    def set(self):
        self.is_set = True

    @types.coroutine
    def wait(self):
        while not self.is_set:
            yield self


class Connection(AsyncIceConnection[HandDriver]):
    """A connection of a runtime that runs nothing by itself."""

    _checkpoint = staticmethod(give_way)
    _event = HandEvent

    def __init__(self, host, **changes):
        self.host = host
        super().__init__(HandDriver, **arguments_at(host, **changes))

    @staticmethod
    def _address_of(source):
        return Address(*source)

    def _host_addresses(self, *, in_use=(), refresh=False):
        return [self.host]


class Task:
    """A coroutine that goes on when it is asked to."""

    def __init__(self, coroutine):
        self.coroutine = coroutine
        self.waits_for = self.result = None
        self.is_done = False
        self.go_on()

    def go_on(self):
        """Until it waits for something that has not happened; checkpoints are passed."""
        while not self.is_done and (not isinstance(self.waits_for, HandEvent) or self.waits_for.is_set):
            try:
                self.waits_for = self.coroutine.send(None)
            except StopIteration as end:
                self.is_done, self.result = True, end.value
        return self

    def cancel(self):
        self.coroutine.close()


def deliver(connection, data, stream=0, component=1):
    connection._deliver(DataReceived(stream, component, data))


@pytest.fixture
def ends():
    """Two ends that have gathered."""
    alice, bob = Connection("192.0.2.1"), Connection("192.0.2.2", controlling=False)
    for one in (alice, bob):
        assert isinstance(Task(one.gather()).result, Description)
    return alice, bob


@pytest.fixture
def pair(ends):
    """Two ends that are connected."""
    alice, bob = ends
    tasks = Task(alice.connect(bob.local_description)), Task(bob.connect(alice.local_description))
    assert not any(task.is_done for task in tasks)
    turn(alice, bob, until=0.5)
    for task in tasks:
        task.go_on()
        assert isinstance(task.result, CandidatePair)
    return ends


def raises(coroutine, kind):
    with pytest.raises(kind) as caught:
        Task(coroutine)
    return caught.value


# ---------------------------------------------------------------- connecting


def test_an_idle_connection_has_no_event(ends):
    alice, _ = ends
    assert alice._news is None
    assert all(inbox.news is None for inbox in alice._all_inboxes())


def test_gathering_waits_for_its_end_and_goes_on_when_it_is_cancelled():
    alice = Connection("192.0.2.1", ice_servers=["stun:192.0.2.9"])
    Task(alice.gather()).cancel()
    again = Task(alice.gather())
    assert not again.is_done
    turn(alice, until=5.0)
    assert again.go_on().result == alice.local_description
    assert len(again.result.candidates) == 1


def test_gathering_of_several_streams_gives_their_session():
    assert isinstance(Task(Connection("192.0.2.1", streams=2).gather()).result, SessionDescription)


def test_candidates_come_as_they_are_found_and_end_with_gathering():
    alice = Connection("192.0.2.1", ice_servers=["stun:192.0.2.9"])
    found = alice.candidates()
    assert aiter(found) is found
    assert Task(anext(found)).result == alice.local_candidates[0]
    following = Task(anext(found))
    assert not following.is_done
    turn(alice, until=5.0)
    with pytest.raises(StopAsyncIteration):
        following.go_on()
    with pytest.raises(LocalProtocolError):
        alice.candidates(stream=1)


def test_a_cancelled_connect_goes_on_behind(ends):
    alice, bob = ends
    Task(alice.connect(bob.local_description)).cancel()
    waiting = Task(alice.connected())
    bob._start_connecting(alice.local_description)
    turn(alice, bob, until=0.5)
    assert waiting.go_on().result == alice.selected_pair


def test_who_asks_when_it_is_connected_gives_way_once(pair):
    task = pair[0].connected()
    assert task.send(None) == "checkpoint"
    with pytest.raises(StopIteration) as end:
        task.send(None)
    assert end.value.value == pair[0].selected_pair


def test_connecting_that_fails_is_told_to_everybody_who_waits(ends):
    alice, bob = ends
    connecting = Task(alice.connect(bob.local_description))
    receiving, looking = Task(alice.receive()), Task(anext(alice))
    turn(alice, until=100.0)
    for task in (connecting, receiving, looking):
        with pytest.raises(IceFailed):
            task.go_on()


def test_who_waits_for_the_pair_is_not_woken_by_less(ends):
    alice, bob = ends
    connecting = Task(alice.connect(bob.local_description))
    deliver(alice, b"early data")
    assert not connecting.waits_for.is_set
    alice._leave()
    with pytest.raises(IceClosed):
        connecting.go_on()


def test_news_wake_whoever_waits_for_anything(ends):
    alice, _ = ends
    tasks = [Task(alice.changed()), Task(alice.changed())]
    deliver(alice, b"news")
    assert all(task.go_on().is_done for task in tasks)
    assert alice._news is None


# ---------------------------------------------------------------- data


def test_sending_gives_way_before_it_sends_and_not_after(pair):
    alice, _ = pair
    sending = alice.send(b"data")
    assert sending.send(None) == "checkpoint"
    sending.close()
    assert alice._driver.sent == []
    assert Task(alice.send(b"data")).is_done
    assert [data for _, _, data in alice._driver.sent] == [b"data"]


def test_sending_before_a_pair_works_is_refused(ends):
    raises(ends[0].send(b"data"), NotConnected)


def test_data_that_waits_is_received_after_giving_way(pair):
    deliver(pair[0], b"data")
    task = pair[0].receive()
    assert task.send(None) == "checkpoint"
    assert Task(task).result == b"data"


def test_a_cancelled_receive_loses_nothing(pair):
    alice, _ = pair
    waiting = Task(alice.receive())
    deliver(alice, b"data")
    assert waiting.waits_for.is_set
    waiting.cancel()
    assert Task(alice.receive()).result == b"data"


def test_of_two_who_wait_for_one_datagram_one_goes_on_waiting(pair):
    alice, _ = pair
    tasks = [Task(alice.receive()), Task(alice.receive())]
    deliver(alice, b"data")
    assert [task.go_on().is_done for task in tasks] == [True, False]
    deliver(alice, b"more")
    assert tasks[1].go_on().result == b"more"


def test_a_component_is_woken_by_its_own_data_alone():
    alice = Connection("192.0.2.1", components=2)
    first, second = Task(alice.receive()), Task(alice.receive(component=2))
    deliver(alice, b"of the second", component=2)
    assert not first.waits_for.is_set
    assert second.go_on().result == b"of the second"


def test_a_channel_has_its_own_data_and_room():
    alice = Connection("192.0.2.1", streams=2)
    channel = alice.channel(1, max_queued=1)
    assert aiter(channel) is channel
    for data in (b"one", b"two"):
        deliver(alice, data, stream=1)
    assert Task(channel.receive()).result == b"two"
    waiting = Task(anext(channel))
    deliver(alice, b"three", stream=1)
    assert waiting.go_on().result == b"three"
    raises(channel.send(b"too early"), NotConnected)
    with pytest.raises(LocalProtocolError):
        alice.channel(2)


def test_who_waits_for_a_stream_that_fails_alone_is_told(monkeypatch):
    alice = Connection("192.0.2.1", streams=2)
    waiting, other = Task(alice.receive(stream=1)), Task(alice.receive())
    silent = ConsentLost("the peer of stream 1 has gone", 1)
    monkeypatch.setattr(type(alice._agent), "failure_of", lambda agent, stream: silent if stream == 1 else None)
    alice._wake()
    with pytest.raises(ConsentLost, match="stream 1"):
        waiting.go_on()
    assert not other.go_on().is_done


def test_what_has_arrived_by_now_is_looked_for_before_anybody_waits(pair):
    alice, _ = pair
    alice._driver.arriving = [DataReceived(0, 1, b"data")]
    assert Task(alice.receive()).result == b"data"
    alice._driver.arriving = [DataReceived(0, 1, b"news")]
    assert Task(alice.changed()).is_done
    alice._driver.arriving = [IceStateChanged(IceState.CHECKING, IceState.COMPLETED)]
    assert Task(alice._until_concluded()).is_done


# ---------------------------------------------------------------- the end


def test_iteration_ends_where_the_agent_is_closed_and_what_had_arrived_comes_before(pair):
    alice, _ = pair
    assert aiter(alice) is alice
    deliver(alice, b"last words")
    alice.close()
    assert Task(anext(alice)).result == b"last words"
    raises(anext(alice), StopAsyncIteration)
    for refused in (alice.receive(), alice.connected(), alice.changed(), alice.gather()):
        raises(refused, IceClosed)


def test_iteration_raises_where_consent_is_lost(pair):
    alice, _ = pair
    waiting = Task(anext(alice))
    turn(alice, until=60.0)
    with pytest.raises(ConsentLost):
        waiting.go_on()


def test_states_come_from_the_present_one_to_the_end_and_none_is_left_out(ends):
    alice, bob = ends
    states = alice.states()
    assert aiter(states) is states
    assert Task(anext(states)).result is IceState.NEW
    waiting = Task(anext(states))
    assert not waiting.is_done
    alice._start_connecting(bob.local_description)
    bob._start_connecting(alice.local_description)
    turn(alice, bob, until=0.5)
    alice.close()
    seen = [waiting.go_on().result, *(Task(anext(states)).result for _ in range(3))]
    assert seen == [IceState.CHECKING, IceState.CONNECTED, IceState.COMPLETED, IceState.CLOSED]
    raises(anext(states), StopAsyncIteration)
    assert states.missed == 0
