"""The part of a server in an adapter that never waits, over a driver by hand."""

import pytest

from sansice import Address, Event, LocalProtocolError, OpenSocket, SocketError, SocketErrorKind, Transport
from sansice.driver import EventQueueBase
from sansice.stun import (
    CredentialRequested,
    ListenerFailed,
    ServerAuthentication,
    StaticUsers,
    TimeLimitedSecrets,
    parse_listeners,
)
from sansice.turn import (
    AllocationId,
    TurnError,
    TurnLimits,
    TurnServer,
    TurnServerConfig,
    TurnServiceBase,
    TurnStep,
    server_authentication,
)

HERE = Address("192.0.2.1", 3478)
ANYBODY = TurnServerConfig(anonymous=True)


class Queue(EventQueueBase):
    """A queue that nobody waits for."""

    def _wake(self):
        pass


class HandDriver:
    """Opens what a server wants to listen at, or fails to, and delivers its events."""

    lost = {"ENETUNREACH": 1}

    def __init__(self, machine, deliver):
        self.machine, self.deliver = machine, deliver
        self.fails = False

    def call(self, command, *args, **kwargs):
        result = command(*args, now=0.0, **kwargs)
        while outputs := self.machine.take_outputs():
            for output in outputs:
                if isinstance(output, Event):
                    self.deliver(output)
                elif isinstance(output, OpenSocket) and self.fails:
                    error = SocketError(SocketErrorKind.ADDRESS_IN_USE, "Address already in use" if output.bind.port else "")
                    self.machine.handle_socket_failed(output.socket, error, now=0.0)
                elif isinstance(output, OpenSocket):
                    self.machine.handle_socket_opened(output.socket, output.bind, now=0.0)
        return result


def make_service():
    return TurnServiceBase(TurnServer(authentication=None, config=ANYBODY), HandDriver, Queue(), Queue())


# ---------------------------------------------------------------- credentials


def test_users_are_passwords_by_name_or_a_function():
    by_name = server_authentication({"alice": "secret"}, "example.org", None)
    assert isinstance(by_name, ServerAuthentication)
    assert by_name.realm == "example.org"
    secrets = TimeLimitedSecrets("north")
    assert isinstance(server_authentication(secrets, "example.org", None), ServerAuthentication)


def test_a_mechanism_is_taken_as_it_is_and_so_is_none():
    mechanism = ServerAuthentication(realm="example.org", lookup_key=StaticUsers({}, "example.org"))
    assert server_authentication(None, "sansice", mechanism) is mechanism
    assert server_authentication(None, "sansice", None) is None


def test_users_and_a_mechanism_are_too_much():
    mechanism = ServerAuthentication(realm="example.org", lookup_key=StaticUsers({}, "example.org"))
    with pytest.raises(LocalProtocolError, match="two ways to say the same"):
        server_authentication({"alice": "secret"}, "sansice", mechanism)


# ---------------------------------------------------------------- a service


def test_a_service_waits_for_its_own_steps_and_hands_on_what_is_worth_knowing():
    service = make_service()
    service._driver.call(service.server.start, parse_listeners("192.0.2.1:3478"))
    service._check_listeners()
    assert service.listening == ((Transport.UDP, HERE), (Transport.TCP, HERE))
    assert len(service._steps._events) == 1
    assert not service.events._events
    service._driver.call(service.server.drain)
    assert service._steps._closed
    assert not service.events._closed
    service._end()
    assert service.events._closed
    assert service.listening == ()


def test_a_service_that_cannot_listen_everywhere_says_where_and_why():
    service = make_service()
    service._driver.fails = True
    service._driver.call(service.server.start, parse_listeners(["udp:192.0.2.1:3478", "tcp:192.0.2.1:0"]))
    with pytest.raises(
        TurnError, match=r"udp:192\.0\.2\.1:3478: Address already in use; tcp:192\.0\.2\.1:0: address in"
    ) as caught:
        service._check_listeners()
    assert caught.value.step is TurnStep.OPEN
    assert [type(event) for event in service.events._events] == [ListenerFailed] * 2


def test_a_service_passes_commands_to_its_server():
    service = make_service()
    service._driver.call(service.server.start, parse_listeners("udp:192.0.2.1:3478"))
    limits = TurnLimits(allocations=7)
    service.set_limits(limits)
    assert service.limits is service.server.limits
    assert service.limits.allocations == 7
    assert service.allocations() == ()
    assert service.stats is service.server.stats
    assert service.lost == {"ENETUNREACH": 1}
    service.replace_authentication(None)
    with pytest.raises(LocalProtocolError, match="no allocation has this id"):
        service.close_allocation(AllocationId(1))
    with pytest.raises(LocalProtocolError):
        service.provide_key(1, None)
    service._deliver(CredentialRequested(1, "alice", "example.org"))
    assert len(service.events._events) == 1
