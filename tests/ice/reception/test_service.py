"""What a service does without a runtime: its connections, by the names of their agents."""

import pytest

from ice._connections import HandDriver
from ice._mux import ALICE, BOB, client, credentials
from ice._service import PLACE, Connection, HandQueue, Service, Task
from sansice.ice import (
    Admission,
    AdmissionFailed,
    AgentId,
    HandlerFailed,
    IceClosed,
    IceError,
    IceFailed,
    IceReception,
    IceServiceBase,
    IceState,
    ReceptionLimits,
    UnknownUfrag,
)
from sansice.machine import Address, DropReason, LocalProtocolError, SocketError, SocketErrorKind
from sansice.stun import PENDING, ListenerFailed, ServerReady


def test_an_opened_connection_has_gathered_and_talks_over_the_port():
    service = Service(admit=None)
    ice = service.open(credentials=credentials(1), trickle=True)
    assert ice.local_description.options[-1:] == ("trickle",)
    assert ice.local_candidates == service.local_candidates
    ice.set_remote(client(1))
    service.check(1)
    ice.send_nowait(b"\x80 down")
    assert service._driver.sent[-1] == (1, ALICE, b"\x80 down")
    service.arrive(b"\x80 up")
    assert ice.receive_nowait() == b"\x80 up"
    assert service.connections == (ice,)
    assert service.lost == ice.lost == {"EMSGSIZE": 3}
    assert ice.stats().pairs


def test_a_port_that_is_not_in_use_is_a_candidate_again_when_the_connection_restarts():
    service = Service(listen=[PLACE, Address(PLACE.host, 5001)])
    service.check(1)
    ice = service._accepted()
    ice.update_addresses()
    service._driver.now = 5.0
    service._driver.call(service.reception.handle_timer)
    assert [one.address.port for one in ice.local_candidates] == [5000]  # RFC 8445 8.3.2
    ice.restart()
    assert [one.address.port for one in ice.local_candidates] == [5000, 5001]
    assert service.local_candidates == ice.local_candidates


def test_each_datagram_is_its_own_connections_and_the_queue_is_bounded():
    service = Service()
    service.check(1, ALICE)
    service.check(2, BOB)
    for number in range(9):
        service.arrive(b"\x80 %d" % number, BOB)
    first, second = service._accepted(), service._accepted()
    assert [second.receive_nowait() for _ in range(4)] == [b"\x80 %d" % number for number in range(5, 9)]
    assert second._agent.stats.dropped[DropReason.QUEUE_FULL] == 5
    assert not first._inboxes[0][0]
    assert service._accepted() is None
    assert service.stats.accepted == 2


def test_a_connection_whose_agent_has_closed_is_forgotten():
    service = Service()
    service.check(1)
    ice = service._accepted()
    ice.close()
    assert service.connections == ()
    assert ice.state is IceState.CLOSED
    ice.close()
    with pytest.raises(IceClosed):
        ice.send_nowait(b"late")
    service.arrive(b"\x80 late")
    assert service.dropped[DropReason.UNVALIDATED_SOURCE] == 1


def test_who_is_turned_away_in_the_very_step_of_coming_leaves_no_connection():
    service = Service(limits=ReceptionLimits(max_waiting=1))
    service.check(1, ALICE)
    service.check(2, BOB)
    assert len(service.connections) == 1
    assert service.stats.not_accepted == 1


def test_a_restart_gathers_at_the_port_again():
    service = Service(admit=None)
    ice = service.open()
    before = ice.local_candidates
    ice.restart()
    ice._start_gathering()
    assert [one.address for one in ice.local_candidates] == [one.address for one in before] == [PLACE]
    ice.update_addresses()
    assert service._driver.opened == [PLACE.host]


def test_a_service_that_listens_on_loopback_as_well_has_candidates_there_after_a_restart_too():
    service = Service(admit=None, lite=False, started=False)
    places = [Address("127.0.0.1", 5000), PLACE]
    service._driver.call(service.reception.start, places)
    ice = service.open()
    ice.restart()
    ice._start_gathering()
    assert {one.address for one in ice.local_candidates} == set(places)


def test_no_socket_is_lent():
    service = Service()
    service.check(1)
    with pytest.raises(LocalProtocolError, match="shared by all"):
        service._accepted().detach()


def test_what_the_application_may_want_to_know_waits_for_it():
    def admit(stranger):
        if stranger.ufrag == credentials(1).ufrag:
            raise KeyError("one")
        return PENDING

    service = Service(admit=admit)
    told = []
    called = service._driver.call
    service._driver.call = lambda command, *args, **kwargs: (told.extend(args), called(command, *args, **kwargs))[1]
    assert isinstance(service._steps.take()[0], ServerReady)
    service.check(1)
    service.check(2, BOB)
    service.check(3, BOB)
    failed, second, third = service.events.take()
    assert (type(failed), type(second), type(third)) == (AdmissionFailed, UnknownUfrag, UnknownUfrag)
    with pytest.raises(LocalProtocolError, match="admit"):
        service.admit(second.ufrag, "too short")
    assert service.admit(second.ufrag, credentials(2).pwd)
    assert told[-2:] == [second.ufrag, Admission(credentials(2).pwd)]  # which a recording knows to be secret
    service.refuse(third.ufrag)
    assert service.stats.refused == 2
    assert len(service.connections) == 1


def test_what_a_handler_raises_is_told_unless_its_connection_was_over():
    service = Service()
    service.check(1)
    ice = service._accepted()
    error = ZeroDivisionError("on purpose")
    service._handler_failed(ice, error)
    for over in (IceClosed("closed"), IceFailed("failed")):
        service._handler_failed(ice, over)
    (failed,) = service.events.take()
    assert failed == HandlerFailed(AgentId(1), error) or (failed.agent, failed.error) == (1, error)


def test_a_listener_that_fails_is_told_and_refuses_to_serve_at_the_rest():
    service = Service(started=False)
    service._check_listeners()
    service.reception.start([PLACE], now=0.0)
    service.reception.take_outputs()
    service._driver.call(
        lambda *, now: service.reception.handle_socket_failed(1, SocketError(SocketErrorKind.ADDRESS_IN_USE, ""), now=now)
    )
    with pytest.raises(IceError, match=r"cannot listen at udp:192.0.2.1:5000: address in use"):
        service._check_listeners()
    assert isinstance(service.events.take()[0], ListenerFailed)


def test_closing_ends_all_connections_and_a_second_time_nothing():
    service = Service()
    service.check(1)
    ice = service._accepted()
    for _ in range(2):
        service.close()
    assert ice.state is IceState.CLOSED
    assert (service.connections, service.listening) == ((), ())
    with pytest.raises(IceClosed, match="service"):
        service._accepted()


def test_where_a_driver_breaks_down_its_connections_are_over_with_the_service():
    service = Service()
    service.check(1)
    ice = service._accepted()
    waiting = Task(service.accept())
    service._end()  # and nobody has closed the agent
    with pytest.raises(IceClosed, match="service"):
        waiting.go_on()
    assert ice._is_closed()
    with pytest.raises(IceClosed):
        ice.receive_nowait()
    assert service.events._closed
    assert service._steps._closed


def test_a_runtime_has_to_say_how_connections_are_made_and_woken():
    base = IceServiceBase(
        IceReception(), lambda machine, deliver: HandDriver(machine, deliver, None), HandQueue(), HandQueue(), (1, 1)
    )
    with pytest.raises(NotImplementedError):
        base._connection(AgentId(1))
    with pytest.raises(NotImplementedError):
        base._wake()
    assert Connection
