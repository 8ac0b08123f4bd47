"""The part of a server in an adapter that never waits, over a driver by hand."""

import pytest

from _services import HandDriver, Queue
from sansice import Address, LocalProtocolError, SocketId, Transport
from sansice.stun import (
    REQUESTED_TRANSPORT,
    CredentialRequested,
    ListenerFailed,
    MessageClass,
    Method,
    Path,
    ServerAuthentication,
    StaticUsers,
    TimeLimitedSecrets,
    TransactionId,
    encode,
    parse_listeners,
)
from sansice.turn import (
    SERVICE_EVENTS,
    AllocationId,
    DatagramsElsewhere,
    StreamElsewhere,
    TurnError,
    TurnLimits,
    TurnServer,
    TurnServerConfig,
    TurnServiceBase,
    TurnStep,
    server_authentication,
)

HERE = Address("192.0.2.1", 3478)
CLIENT = Address("198.51.100.7", 5000)
ANYBODY = TurnServerConfig(anonymous=True)


def make_service():
    return TurnServiceBase(TurnServer(authentication=None, config=ANYBODY), HandDriver, Queue(), Queue())


# ---------------------------------------------------------------- credentials


def test_users_are_passwords_by_name_or_a_function():
    by_name = server_authentication({"alice": "secret"}, "example.org", None, anonymous=False)
    assert isinstance(by_name, ServerAuthentication)
    assert by_name.realm == "example.org"
    secrets = TimeLimitedSecrets("north")
    assert isinstance(server_authentication(secrets, "example.org", None, anonymous=False), ServerAuthentication)


def test_a_mechanism_is_taken_as_it_is_and_so_is_none():
    mechanism = ServerAuthentication(realm="example.org", lookup_key=StaticUsers({}, "example.org"))
    assert server_authentication(None, "sansice", mechanism, anonymous=False) is mechanism
    assert server_authentication(None, "sansice", None, anonymous=True) is None


def test_who_names_nobody_is_told_to_name_users():
    with pytest.raises(LocalProtocolError, match=r"users=\{'alice': 'a long password'\}, or say .*anonymous=True"):
        server_authentication(None, "sansice", None, anonymous=False)


def test_users_and_a_mechanism_are_too_much():
    mechanism = ServerAuthentication(realm="example.org", lookup_key=StaticUsers({}, "example.org"))
    with pytest.raises(LocalProtocolError, match="two ways to say the same"):
        server_authentication({"alice": "secret"}, "sansice", mechanism, anonymous=False)


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


def test_a_service_is_shown_with_its_places_and_without_its_passwords():
    asked = server_authentication({"alice": "wonderland"}, "example.org", None, anonymous=False)
    service = TurnServiceBase(TurnServer(authentication=asked), HandDriver, Queue(), Queue())
    assert repr(service) == "<TurnServiceBase at nowhere: not started, allocations: 0>"
    service._driver.call(service.server.start, parse_listeners("192.0.2.1:3478"))
    assert repr(service) == "<TurnServiceBase at udp:192.0.2.1:3478, tcp:192.0.2.1:3478: serving, allocations: 0>"


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


# ---------------------------------------------------------------- draining


def draining(*, close):
    """A service with an allocation, and what two who wait for the end of a drain look at."""
    service = make_service()
    service._driver.call(service.server.start, parse_listeners("udp:192.0.2.1:3478"))
    allocate = encode(Method.ALLOCATE, MessageClass.REQUEST, TransactionId(bytes(12)), [(REQUESTED_TRANSPORT, 17)])
    service.feed(Transport.UDP, HERE, CLIENT, [allocate])
    waiting = Queue(), Queue()
    for done in waiting:
        service._driver.call(service._drain, done, None, close)
    return service, waiting


@pytest.mark.parametrize("close", [False, True])
def test_the_end_of_a_drain_is_told_to_all_who_wait_for_it(close):
    service, waiting = draining(close=close)
    assert [done._closed for done in waiting] == [False, False]
    service.close_allocation(service.allocations()[0].id)
    assert [done._closed for done in waiting] == [True, True]
    assert service._steps._closed is close
    assert service._drains == []


def test_who_waits_for_a_drain_waits_no_longer_than_the_block_lasts():
    service, waiting = draining(close=False)
    service._end()
    assert [done._closed for done in waiting] == [True, True]


def test_a_drain_that_is_refused_is_waited_for_by_nobody():
    service = make_service()
    with pytest.raises(LocalProtocolError):
        service._driver.call(service._drain, Queue(), -1.0, False)
    assert service._drains == []


# ---------------------------------------------------------------- several processes that share the listeners


class Handing(HandDriver):
    """Writes down what is handed out and taken in."""

    def __init__(self, machine, deliver):
        super().__init__(machine, deliver)
        self.handed = []

    def hand_out(self, id):
        return f"the socket of {id}"

    def take_in(self, listener, sock, remote, data):
        self.handed.append((listener, sock, remote, data))


class Closable:
    closed = False

    def close(self):
        self.closed = True


def make_worker():
    service = TurnServiceBase(TurnServer(authentication=None, config=ANYBODY), Handing, Queue(), Queue())
    service._driver.call(service.server.start, parse_listeners("192.0.2.1:3478"))
    return service


def test_a_stream_for_another_process_is_told_whatever_waits_and_handed_out():
    service = make_worker()
    event = StreamElsewhere(1, Path(SocketId(-1), CLIENT, Transport.TCP), HERE, b"request")
    for _ in range(2000):
        service._deliver(event)
    assert len(service.events._events) == 2000  # each stands for a descriptor
    assert service.hand_out(event) == "the socket of -1"


def test_datagrams_for_another_process_may_be_lost():
    service = TurnServiceBase(TurnServer(authentication=None, config=ANYBODY), Handing, Queue(), Queue(SERVICE_EVENTS))
    event = DatagramsElsewhere(1, Path(SocketId(1), CLIENT, Transport.UDP), HERE, (b"x",))
    for _ in range(2000):
        service._deliver(event)
    assert len(service.events._events) + service.events.dropped == 2000


def test_what_another_process_hands_over_comes_to_the_listener_of_the_same_address():
    service = make_worker()
    sock = Closable()
    assert service.take_in(Transport.TCP, HERE, CLIENT, sock, b"request")
    listener = service.server.listening_socket(Transport.TCP, HERE)
    assert service._driver.handed == [(listener, sock, CLIENT, b"request")]
    request = encode(Method.BINDING, MessageClass.REQUEST, TransactionId(bytes(12)))
    assert service.feed(Transport.UDP, HERE, CLIENT, [request, request])
    assert service.stats.stun.requests == 2


def test_what_no_listener_is_there_for_is_refused_and_closed():
    service = make_worker()
    sock = Closable()
    assert not service.take_in(Transport.TLS, HERE, CLIENT, sock, b"")
    assert sock.closed
    assert not service.feed(Transport.DTLS, HERE, CLIENT, [b"x"])
