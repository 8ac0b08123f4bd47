import math

import pytest
from hypothesis import strategies as st

from sansice.machine import (
    ANY_IPV4,
    ANY_IPV6,
    Address,
    AddressRecord,
    CloseSocket,
    Ids,
    LocalProtocolError,
    Machine,
    OpenSocket,
    RecordKind,
    Resolve,
    ResolveError,
    SendDatagram,
    SendStream,
    SocketError,
    SocketErrorKind,
    SrvRecord,
    TlsOptions,
    Transport,
)
from sansice.simulation import Link, Network, check_machine
from sansice.stun import (
    ALTERNATE_SERVER,
    ERROR_CODE,
    MAPPED_ADDRESS,
    XOR_MAPPED_ADDRESS,
    BindingLookup,
    BindingLookupFailed,
    ErrorCode,
    FailedAttempt,
    Listener,
    LongTermCredentials,
    LookupState,
    LookupStep,
    MappedAddressDiscovered,
    MessageClass,
    Method,
    Schedule,
    ServerAuthentication,
    ServerTarget,
    ServerUri,
    ShortTermCredentials,
    StaticUsers,
    StunClientConfig,
    StunServer,
    decode_untrusted,
    encode,
    short_term_key,
)
from sansice.stun._client._lookup import LOOKUP_TRANSITIONS, LookupInput

UDP, TCP, TLS, DTLS = Transport
LOCAL = Address("198.51.100.7", 40000)
MAPPED = Address("203.0.113.1", 50000)
GOOD, DEAD, REFUSING = "192.0.2.1", "192.0.2.2", "192.0.2.3"


class Liar(Machine):
    """A server that answers each datagram with what ``lie`` makes of the right answer."""

    def __init__(self, address, lie):
        super().__init__()
        self.lie = lie
        self._outputs.append(OpenSocket(Ids().socket(), UDP, Address(address, 3478)))

    def handle_datagrams(self, socket, batch, *, now):
        for source, data in batch:
            success = encode(Method.BINDING, MessageClass.SUCCESS, data[8:20], [(XOR_MAPPED_ADDRESS, Address(*source))])
            self._outputs.append(SendDatagram(socket, source, self.lie(success)))


def wrong_id(answer):
    return answer[:8] + bytes(12) + answer[20:]


def wrong_cookie(answer):
    return answer[:4] + b"\0\0\0\0" + answer[8:]


def an_error(answer):
    return encode(Method.BINDING, MessageClass.ERROR, answer[8:20], [(ERROR_CODE, ErrorCode(400, "Bad Request"))])


class World:
    """A client behind a NAT, 20 ms from a good server, a dead one and one whose port is closed."""

    def __init__(self, **options):
        self.net = Network(seed=4, latency=0.02, **options)
        self.nat = self.net.nat(MAPPED.host)
        self.client = self.net.host("client", "10.0.0.2", behind=self.nat)
        self.net.stun_server(GOOD, name="good")
        self.net.host("dead", DEAD).icmp = False
        self.net.host("refusing", REFUSING)

    def name(self, *hosts):
        self.net.resolve("stun.example", [AddressRecord(host) for host in hosts])

    def look_up(self, uri="stun:stun.example", until=60.0, **options):
        lookup = BindingLookup(uri, entropy=self.client.entropy, **options)
        self.node = self.client.run(lookup)
        self.node.call(lookup.start)
        self.net.run(until=self.net.now + until)
        assert lookup.done and lookup.deadline() == math.inf
        assert not self.node.sockets
        ((when, event),) = self.node.events
        return when, event


@pytest.fixture
def world():
    return World()


def test_a_literal_is_asked_at_once_and_tells_how_it_sees_us(world):
    when, found = world.look_up(f"stun:{GOOD}")
    assert when == pytest.approx(0.04)
    assert isinstance(found, MappedAddressDiscovered)
    assert found.uri == ServerUri.parse(f"stun:{GOOD}")
    assert found.target == ServerTarget(UDP, Address(GOOD, 3478))
    assert found.local.host == "10.0.0.2" and found.local.port
    assert found.mapped.host == MAPPED.host and found.mapped.port
    assert found.rtt == pytest.approx(0.04)


def test_a_uri_may_be_given_as_a_value(world):
    assert world.look_up(ServerUri.parse(f"stun:{GOOD}"))[1].mapped.host == MAPPED.host


@pytest.mark.parametrize(("dead", "delay"), [(0, 0.0), (1, 0.25), (2, 0.5)])
def test_the_next_target_is_asked_a_quarter_of_a_second_after_the_one_before(world, dead, delay):
    hosts = [f"192.0.2.{20 + number}" for number in range(dead)]
    for host in hosts:
        world.net.host(host, host).icmp = False
    world.name(*hosts, GOOD, REFUSING)
    when, found = world.look_up()
    assert when == pytest.approx(delay + 0.04)
    assert found.target.address.host == GOOD


def test_the_next_target_is_asked_at_once_when_one_refuses(world):
    world.name(REFUSING, GOOD)
    when, found = world.look_up()
    assert when == pytest.approx(0.08)
    assert found.target.address.host == GOOD


def test_an_answer_that_comes_late_still_wins_if_it_is_the_first(world):
    world.net.host("slow", "192.0.2.9", link=Link(latency=0.15)).run(Liar("192.0.2.9", bytes))
    world.name("192.0.2.9", DEAD)
    when, found = world.look_up()
    assert when == pytest.approx(0.34)
    assert found.target.address.host == "192.0.2.9"
    assert found.rtt == pytest.approx(0.34)


@pytest.mark.req("RFC8489-069")
def test_servers_are_tried_in_the_order_of_their_srv_records(world):
    world.net.host("far", "192.0.2.9").run(Liar("192.0.2.9", bytes))
    for name, host in (("dead.example", DEAD), ("good.example", GOOD), ("far.example", "192.0.2.9")):
        world.net.resolve(name, [AddressRecord(host)])
    records = [SrvRecord(3, 0, 3478, "far.example"), SrvRecord(1, 0, 3478, "dead.example"), SrvRecord(2, 0, 3478, "good.example")]
    world.net.resolve("_stun._udp.stun.example", records)
    when, found = world.look_up(config=StunClientConfig(schedule=Schedule(rc=1, rm=0.2)))
    assert found.target.address.host == GOOD
    assert when == pytest.approx(0.14)  # the first one has timed out after 0.2 RTO, 0.1 s


@pytest.mark.parametrize(
    ("lie", "words"),
    [
        (wrong_id, "it answers, but with nothing that can be used: answers no request of ours (5 times)"),
        (wrong_cookie, "it answers, but with nothing that can be used: wrong magic cookie (5 times)"),
        (
            lambda answer: b"HTTP/1.1 400 Bad Request",
            "it answers, but with nothing that can be used: not a STUN message (5 times)",
        ),
    ],
)
def test_a_lying_server_is_told_from_a_silent_one(world, lie, words):
    world.net.host("liar", "192.0.2.9").run(Liar("192.0.2.9", lie))
    when, failed = world.look_up("stun:192.0.2.9")
    assert when == 10.0
    assert failed.step is LookupStep.REQUEST
    assert failed.reason == f"192.0.2.9:3478 (udp): {words}"


def test_a_silent_a_refusing_and_a_complaining_server_are_each_explained(world):
    world.net.host("rude", "192.0.2.9").run(Liar("192.0.2.9", an_error))
    world.net.host("slow", "192.0.2.10", link=Link(latency=6.0)).run(Liar("192.0.2.10", bytes))
    world.name(DEAD, REFUSING, "192.0.2.9", "192.0.2.10")
    when, failed = world.look_up()
    assert when == 10.0
    assert isinstance(failed, BindingLookupFailed)
    assert failed.step is LookupStep.REQUEST
    reasons = {attempt.target.address.host: attempt.reason for attempt in failed.attempts}
    assert reasons == {
        REFUSING: "nobody listens there (an ICMP error came back)",
        "192.0.2.9": "it answers with the error 400 Bad Request",
        DEAD: "no answer within 10 s",
        "192.0.2.10": "no answer within 9.7 s",
    }
    assert failed.reason == "; ".join(f"{attempt.target.address} (udp): {attempt.reason}" for attempt in failed.attempts)
    assert {attempt.step for attempt in failed.attempts} == {LookupStep.REQUEST}


def test_when_every_target_has_failed_nothing_is_waited_for(world):
    world.name(REFUSING)
    assert world.look_up()[0] == pytest.approx(0.04)


def test_while_one_target_may_still_answer_the_failure_of_the_last_one_is_not_the_end(world):
    world.name(DEAD, REFUSING)
    when, failed = world.look_up()
    assert when == 10.0
    assert [attempt.target.address.host for attempt in failed.attempts] == [REFUSING, DEAD]


def test_a_request_that_runs_out_of_patience_before_the_look_up_ends_it(world):
    when, failed = world.look_up(f"stun:{DEAD}", config=StunClientConfig(schedule=Schedule(rc=2)))
    assert when == 8.5
    assert failed.reason == f"{DEAD}:3478 (udp): no answer within 8.5 s"


def test_the_timeout_is_the_callers(world):
    assert world.look_up(f"stun:{DEAD}", timeout=1.0)[0] == 1.0


def test_a_name_that_does_not_exist_is_a_failure_to_resolve(world):
    _, failed = world.look_up("stun:nowhere.example")
    assert (failed.step, failed.attempts) == (LookupStep.RESOLVE, ())
    assert failed.reason.startswith("no server found")  # whom it is about stands in `uri`
    assert "no such name" in failed.reason


def test_a_family_that_this_machine_does_not_have_costs_no_time(world):
    world.net.host("both", "192.0.2.9", "2001:db8::9").run(Liar("192.0.2.9", bytes))
    world.name("2001:db8::9", "192.0.2.9")
    when, found = world.look_up()
    assert when == pytest.approx(0.04)
    assert found.target.address.host == "192.0.2.9"


def test_with_a_local_address_only_its_family_is_tried(world):
    world.name("2001:db8::1", GOOD)
    when, found = world.look_up(local=Address("10.0.0.2", 0))
    assert when == pytest.approx(0.04)
    assert found.local.host == "10.0.0.2"
    world.name("2001:db8::1")
    assert world.look_up(local=Address("10.0.0.2", 0))[1].step is LookupStep.RESOLVE


def test_with_a_fixed_port_all_udp_targets_are_asked_through_one_socket(world):
    world.name(DEAD, REFUSING, GOOD)
    when, found = world.look_up(local=Address("10.0.0.2", 7000))
    assert when == pytest.approx(0.25 + 0.04 + 0.04)
    assert found.local == Address("10.0.0.2", 7000)


def test_a_port_that_is_taken_is_explained_for_every_target(world):
    world.client.run(Liar("10.0.0.2", bytes))
    world.name(DEAD, GOOD)
    _, failed = world.look_up(local=Address("10.0.0.2", 3478))
    assert failed.step is LookupStep.OPEN
    assert [attempt.step for attempt in failed.attempts] == [LookupStep.OPEN] * 2
    assert failed.reason.count("in use") == 2


@pytest.mark.req("RFC8489-102")
@pytest.mark.parametrize(("password", "ok"), [("secret", True), ("wrong", False)])
def test_long_term_credentials_open_the_door_of_a_server_that_asks_for_them(password, ok):
    world = World()
    host = world.net.host("locked", "192.0.2.9")
    users = StaticUsers({"user": "secret"}, "realm")
    authentication = ServerAuthentication(realm="realm", lookup_key=users, entropy=host.entropy)
    server = StunServer(authentication=authentication, entropy=host.entropy)
    node = host.run(server)
    node.call(server.start, [Listener(UDP, Address("192.0.2.9", 3478))])
    when, event = world.look_up("stun:192.0.2.9", credentials=LongTermCredentials("user", password))
    if ok:
        assert when == pytest.approx(0.08)
        assert event.mapped.host == MAPPED.host
    else:
        assert "401" in event.reason and "the server refuses the user name or the password" in event.reason
    assert "401" in world.look_up("stun:192.0.2.9")[1].reason


def test_short_term_credentials_tell_a_server_that_does_not_know_the_password(world):
    key = short_term_key("other")

    def sign(answer):
        return encode(Method.BINDING, MessageClass.SUCCESS, answer[8:20], [(XOR_MAPPED_ADDRESS, MAPPED)], key=key)

    world.net.host("forger", "192.0.2.9").run(Liar("192.0.2.9", sign))
    config = StunClientConfig(schedule=Schedule(rc=1, rm=2))
    _, failed = world.look_up("stun:192.0.2.9", credentials=ShortTermCredentials("user", "password"), config=config)
    assert failed.attempts[0].reason == "it answers, but with wrong integrity: another password, or somebody in between"


def test_an_rfc_3489_server_is_understood_where_that_is_wanted(world):
    def old(answer):
        return encode(Method.BINDING, MessageClass.SUCCESS, answer[8:20], [(MAPPED_ADDRESS, MAPPED)])

    world.net.host("old", "192.0.2.9").run(Liar("192.0.2.9", old))
    assert world.look_up("stun:192.0.2.9")[1].attempts[0].reason == "no XOR-MAPPED-ADDRESS"
    assert world.look_up("stun:192.0.2.9", config=StunClientConfig(classic=True))[1].mapped == MAPPED


# Driven by hand: streams, and what only a driver can do


class Scene:
    def __init__(self, uri, start=True, **options):
        self.lookup = BindingLookup(uri, **options)
        self.opened = []
        self.closed = []
        self.sent = []
        self.events = []
        if start:
            self.lookup.start(now=0.0)
            self.take()

    def take(self):
        for output in self.lookup.take_outputs():
            match output:
                case OpenSocket():
                    self.opened.append(output)
                case CloseSocket(socket):
                    self.closed.append(socket)
                case SendDatagram() | SendStream():
                    self.sent.append(output)
                case Resolve():
                    pass
                case _:
                    self.events.append(output)

    def tell(self, method, *arguments, now=0.0):
        getattr(self.lookup, method)(*arguments, now=now)
        self.take()

    def open(self, index=-1, now=0.0):
        self.tell("handle_socket_opened", self.opened[index].socket, LOCAL, now=now)

    def fail(self, index=-1, now=0.0):
        self.tell("handle_socket_failed", self.opened[index].socket, SocketError(SocketErrorKind.REFUSED, "refused"), now=now)

    def answer(self, now=0.0, kind=MessageClass.SUCCESS, attributes=((XOR_MAPPED_ADDRESS, MAPPED),), **options):
        request = self.sent[-1]
        data = encode(Method.BINDING, kind, decode_untrusted(request.data).transaction_id, attributes, **options)
        if isinstance(request, SendStream):
            self.tell("handle_stream_data", request.socket, data, now=now)
        else:
            self.tell("handle_datagrams", request.socket, [(request.destination, data)], now=now)


def test_over_tcp_a_connection_is_made_asked_and_closed():
    scene = Scene("stun:192.0.2.1", transports=[TCP])
    (opened,) = scene.opened
    assert (opened.transport, opened.bind, opened.remote) == (TCP, Address(ANY_IPV4, 0), Address(GOOD, 3478))
    scene.open(now=0.1)
    scene.answer(now=0.2)
    (found,) = scene.events
    assert (found.local, found.mapped, found.rtt) == (LOCAL, MAPPED, pytest.approx(0.1))
    assert scene.closed == [opened.socket]


def test_over_tls_the_certificate_must_name_the_host_or_what_the_caller_says():
    scene = Scene("stuns:192.0.2.1", verify_name="stun.example", alpn=["stun.nat-discovery"])
    (opened,) = scene.opened
    assert opened.transport is TLS
    assert opened.options.tls == TlsOptions("stun.example", ("stun.nat-discovery",))


def test_a_refused_connection_is_a_failure_to_open():
    scene = Scene("stun:192.0.2.1", transports=[TCP])
    scene.fail(now=0.1)
    target = ServerTarget(TCP, Address(GOOD, 3478))
    assert scene.events == [
        BindingLookupFailed(
            ServerUri.parse("stun:192.0.2.1"),
            LookupStep.OPEN,
            "192.0.2.1:3478 (tcp): refused",
            (FailedAttempt(target, LookupStep.OPEN, "refused"),),
        )
    ]


def test_a_connection_that_is_lost_before_the_answer_is_a_failed_request():
    scene = Scene("stun:192.0.2.1", transports=[TCP])
    scene.open()
    scene.tell("handle_stream_data", scene.opened[0].socket, b"", now=1.0)
    assert scene.events[0].step is LookupStep.REQUEST
    assert scene.events[0].attempts[0].reason == "the server closed the connection"


def test_a_connection_that_does_not_come_is_a_failure_to_open():
    scene = Scene("stun:192.0.2.1", transports=[TCP])
    scene.tell("handle_timer", now=10.0)
    assert scene.events[0].step is LookupStep.OPEN
    assert scene.events[0].attempts[0].reason == "no connection within 10 s"


def test_with_a_fixed_port_connections_are_tried_one_after_the_other():
    scene = Scene("stun:192.0.2.1", transports=[TCP, UDP], local=Address("198.51.100.7", 7000))
    assert [opened.transport for opened in scene.opened] == [TCP]
    scene.tell("handle_timer", now=5.0)
    assert len(scene.opened) == 1
    scene.fail(now=6.0)
    assert [opened.transport for opened in scene.opened] == [TCP, UDP]
    assert {opened.bind.port for opened in scene.opened} == {7000}


def test_ipv6_targets_are_asked_from_ipv6():
    assert Scene("stun:[2001:db8::1]").opened[0].bind == Address(ANY_IPV6, 0)


def test_ids_come_from_the_counter_of_the_parent():
    ids = Ids()
    ids.socket()
    assert Scene("stun:192.0.2.1", ids=ids).opened[0].socket == 2


def test_a_redirection_is_followed_and_the_one_who_answered_is_told():
    credentials = ShortTermCredentials("user", "password")
    key = short_term_key("password")
    scene = Scene("stun:192.0.2.1", credentials=credentials, config=StunClientConfig(alternate_servers=True))
    scene.open()
    elsewhere = [(ERROR_CODE, ErrorCode(300)), (ALTERNATE_SERVER, Address("192.0.2.9", 3479))]
    scene.answer(kind=MessageClass.ERROR, attributes=elsewhere, key=key)
    assert scene.sent[-1].destination == ("192.0.2.9", 3479)
    scene.answer(key=key)
    assert scene.events[0].target == ServerTarget(UDP, Address("192.0.2.9", 3479))


def test_what_a_server_tells_is_no_answer():
    scene = Scene("stun:192.0.2.1")
    scene.open()
    told = encode(Method.DATA, MessageClass.INDICATION, bytes(12))
    scene.tell("handle_datagrams", scene.opened[0].socket, [(Address(GOOD, 3478), told)])
    assert not scene.events
    scene.answer()
    assert isinstance(scene.events[0], MappedAddressDiscovered)


def test_after_the_end_nothing_comes_any_more():
    scene = Scene("stun:192.0.2.1")
    scene.open()
    scene.answer()
    scene.answer()
    scene.tell("handle_timer", now=100.0)
    scene.tell("close", now=100.0)
    assert len(scene.events) == 1
    assert len(scene.sent) == 1


def test_what_arrives_together_with_the_answer_opens_no_socket_that_stays():
    """A redirection in the same batch as the answer of another target: the socket that it opens is closed last."""
    credentials = ShortTermCredentials("user", "password")
    key = short_term_key("password")
    config = StunClientConfig(alternate_servers=True)
    scene = Scene("stuns:192.0.2.1", verify_name="a.example", transports=[DTLS, TLS], credentials=credentials, config=config)
    scene.open()
    scene.tell("handle_timer", now=0.25)
    scene.open(now=0.25)
    dtls, tls = scene.sent
    elsewhere = [(ERROR_CODE, ErrorCode(300)), (ALTERNATE_SERVER, Address("192.0.2.9", 3479))]
    id = decode_untrusted(tls.data).transaction_id
    redirection = encode(Method.BINDING, MessageClass.ERROR, id, elsewhere, key=key)
    scene.lookup.handle_stream_data(tls.socket, redirection, now=0.3)
    id = decode_untrusted(dtls.data).transaction_id
    success = encode(Method.BINDING, MessageClass.SUCCESS, id, [(XOR_MAPPED_ADDRESS, MAPPED)], key=key)
    scene.lookup.handle_datagrams(dtls.socket, [(dtls.destination, success)], now=0.3)
    scene.take()
    assert len(scene.events) == 1
    assert sorted(scene.closed) == [opened.socket for opened in scene.opened]
    assert len(scene.opened) == 3


@pytest.mark.parametrize("start", [True, False])
def test_closing_is_silent(start):
    scene = Scene("stun:192.0.2.1", start=start)
    scene.tell("close")
    assert not scene.events
    assert scene.closed == [opened.socket for opened in scene.opened]
    assert scene.lookup.done
    with pytest.raises(LocalProtocolError, match="starts once"):
        scene.lookup.start(now=1.0)


def test_a_name_service_that_is_silent_is_a_failure_to_resolve():
    scene = Scene("stun:stun.example")
    while not scene.events:
        now = scene.lookup.deadline()
        scene.tell("handle_timer", now=now)
    assert now == 6.0  # 3 s for SRV, 3 s for the addresses
    assert scene.events[0].step is LookupStep.RESOLVE
    assert "no name server answered" in scene.events[0].reason


def test_a_name_that_resolves_in_the_last_moment_is_too_late():
    scene = Scene("stun:stun.example")
    scene.tell("handle_timer", now=100.0)
    assert [type(event) for event in scene.events] == [BindingLookupFailed]


def test_a_request_that_does_not_fit_its_transport_is_left_out():
    config = StunClientConfig(software="ü" * 127)
    credentials = ShortTermCredentials("u" * 150, "password")
    scene = Scene("stuns:192.0.2.1", verify_name="a.example", transports=[DTLS, TLS], credentials=credentials, config=config)
    scene.open()
    assert isinstance(scene.sent[0], SendStream)
    scene = Scene("stuns:192.0.2.1", verify_name="a.example", transports=[DTLS], credentials=credentials, config=config)
    assert scene.events[0].step is LookupStep.OPEN
    assert "it may have 455" in scene.events[0].reason


@pytest.mark.parametrize("options", [{"classic": True}, {"anycast": True}])
def test_what_only_udp_can_do_is_asked_over_udp_only(options):
    config = StunClientConfig(**options)
    assert [opened.transport for opened in Scene("turn:192.0.2.1", config=config).opened] == [UDP]
    for uri, transports in (("stuns:stun.example", None), ("stun:192.0.2.1", [TCP])):
        with pytest.raises(LocalProtocolError, match="over UDP"):
            BindingLookup(uri, transports=transports, config=config)


@pytest.mark.parametrize("timeout", [0.0, 0.009, math.inf, math.nan])
def test_a_timeout_that_is_none_is_refused(timeout):
    with pytest.raises(ValueError, match="finite and at least"):
        BindingLookup("stun:192.0.2.1", timeout=timeout)


def test_what_is_no_uri_is_refused_with_the_reason():
    with pytest.raises(ValueError, match="begins with stun:"):
        BindingLookup("http://stun.example")


def test_its_state_tells_how_far_it_is():
    lookup = BindingLookup("stun:stun.example")
    states = [lookup.state]
    lookup.start(now=0.0)
    states.append(lookup.state)
    for asked in lookup.take_outputs():
        lookup.handle_resolved(asked.query, ResolveError.NOT_FOUND, now=0.0)
    for asked in lookup.take_outputs():
        answer = (AddressRecord("192.0.2.1"),) if asked.kind is RecordKind.A else ResolveError.NOT_FOUND
        lookup.handle_resolved(asked.query, answer, now=0.0)
    states.append(lookup.state)
    lookup.close(now=0.0)
    assert [*states, lookup.state] == [LookupState.IDLE, LookupState.RESOLVING, LookupState.RACING, LookupState.DONE]


def test_the_table_of_transitions_is_whole():
    missing = {(state, step) for state in LookupState for step in LookupInput} - set(LOOKUP_TRANSITIONS)
    assert missing == {
        *((state, LookupInput.START) for state in LookupState if state is not LookupState.IDLE),
        *((state, LookupInput.RESOLVED) for state in LookupState if state is not LookupState.RESOLVING),
    }


def answers(sent):
    """A server that means well."""
    request = decode_untrusted(sent.data)
    return encode(Method.BINDING, MessageClass.SUCCESS, request.transaction_id, [(XOR_MAPPED_ADDRESS, MAPPED)])


@pytest.mark.parametrize("uri", ["stun:192.0.2.1", "stun:stun.example", "turn:stun.example", "stuns:stun.example"])
@pytest.mark.parametrize("local", [None, Address("192.0.2.77", 7000)])
def test_it_keeps_the_contract_of_machines(uri, local):
    check_machine(
        lambda entropy: BindingLookup(uri, local=local, entropy=entropy),
        setup=lambda lookup, now: lookup.start(now=now),
        commands={"start": [()], "close": [()]},
        answers=answers,
        max_examples=50,
    )


def test_it_keeps_the_contract_with_credentials():
    credentials = LongTermCredentials("user", "secret word")
    check_machine(
        lambda entropy: BindingLookup("stun:192.0.2.1", credentials=credentials, entropy=entropy),
        setup=lambda lookup, now: lookup.start(now=now),
        commands={"close": st.tuples()},
        answers=answers,
        secrets=lambda _: ["secret word"],
        max_examples=30,
    )
