import math

import pytest
from hypothesis import strategies as st

from sansice.machine import (
    ANY_IPV4,
    ANY_IPV6,
    Address,
    CloseMode,
    CloseSocket,
    DropReason,
    IcmpError,
    Ids,
    LocalProtocolError,
    OpenSocket,
    ProxyOptions,
    SendDatagram,
    SendStream,
    SocketError,
    SocketErrorKind,
    SocketId,
    TlsOptions,
    Transport,
)
from sansice.simulation import Network, check_machine
from sansice.stun import (
    ACCESS_TOKEN,
    ALTERNATE_DOMAIN,
    ALTERNATE_SERVER,
    CHANGED_ADDRESS,
    ERROR_CODE,
    FINGERPRINT,
    MAPPED_ADDRESS,
    MESSAGE_INTEGRITY,
    MESSAGE_INTEGRITY_SHA256,
    NONCE,
    PASSWORD_ALGORITHM,
    PASSWORD_ALGORITHMS,
    PASSWORD_MD5,
    PASSWORD_SHA256,
    PRIORITY,
    REALM,
    REFLECTED_FROM,
    RESPONSE_ADDRESS,
    SOFTWARE,
    SOURCE_ADDRESS,
    THIRD_PARTY_AUTHORIZATION,
    UNKNOWN_ATTRIBUTES,
    USERHASH,
    USERNAME,
    XOR_MAPPED_ADDRESS,
    AccessToken,
    Attribute,
    ErrorCode,
    FailureCause,
    IndicationReceived,
    IntegrityAlgorithm,
    IntegrityKey,
    Listener,
    LongTermCredentials,
    MessageClass,
    Method,
    Path,
    PathClosed,
    PathOpened,
    Redirected,
    RequestReceived,
    Schedule,
    SecurityFeatures,
    ServerAuthentication,
    ServerTarget,
    ShortTermCredentials,
    StaticUsers,
    StunClient,
    StunClientConfig,
    StunServer,
    StunServerConfig,
    TransactionFailed,
    TransactionSucceeded,
    TransactionTimedOut,
    decode_untrusted,
    encode,
    first_supported,
    long_term_key,
    nonce_cookie,
    shapes,
    short_term_key,
    strongest_supported,
)
from sansice.stun._client._exchange import EXCHANGE_TRANSITIONS, MAX_REMEMBERED, ExchangeInput, ExchangeState
from sansice.stun._client._redirects import MAX_REDIRECTED_SOCKETS, MAX_REDIRECTIONS

A = Address("192.0.2.1", 3478)
B = Address("192.0.2.2", 3478)
V6 = Address("2001:db8::1", 3478)
LOCAL = Address("198.51.100.7", 40000)
MAPPED = Address("203.0.113.1", 50000)
SHORT = ShortTermCredentials("user", "password")
LONG = LongTermCredentials("user", "password")
SHORT_KEY = short_term_key("password")
LONG_KEY = long_term_key("user", "realm", "password")
SENDS = [0.0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
UNREACHABLE = IcmpError(3, 3)
UDP, TCP, TLS, DTLS = Transport


class Counting:
    """Entropy that never repeats itself, and can be read in a failure."""

    def __init__(self):
        self.count = 0

    def __call__(self, size):
        self.count += 1
        return self.count.to_bytes(size, "big")


class Scene:
    """A client, what it sent and what it told, and words for what a server does."""

    def __init__(self, credentials=None, choose=first_supported, **options):
        config = StunClientConfig(**options)
        self.client = StunClient(credentials=credentials, choose=choose, config=config, entropy=Counting())
        self.now = 0.0
        self.sent = []
        self.events = []
        self.actions = []

    def take(self):
        for output in self.client.take_outputs():
            if isinstance(output, (SendDatagram, SendStream)):
                self.sent.append((self.now, output))
            elif isinstance(output, (OpenSocket, CloseSocket)):
                self.actions.append(output)
            else:
                self.events.append((self.now, output))

    def path(self, transport=UDP, address=A, hostname=None, opened=True, **options):
        path = self.client.open(ServerTarget(transport, address, hostname), now=self.now, **options)
        if opened:
            self.client.handle_socket_opened(path.socket, LOCAL, now=self.now)
        self.take()
        return path

    def ask(self, path=None, method=Method.BINDING, attributes=()):
        id = self.client.request(method, attributes, path=path, now=self.now)
        self.take()
        return id

    def last(self, back=1):
        """The newest message that left, decoded."""
        return decode_untrusted(self.sent[-back][1].data)

    def answer(self, *attributes, to=None, kind=MessageClass.SUCCESS, source=None, now=None, split=None, **options):
        """A server answers a message, by default the newest."""
        self.now = self.now if now is None else now
        sent = self.sent[-1][1] if to is None else to
        request = decode_untrusted(sent.data)
        data = encode(request.method, kind, request.transaction_id, attributes or [(XOR_MAPPED_ADDRESS, MAPPED)], **options)
        self.feed(sent, data, source, split)

    def refuse(self, code, *attributes, **options):
        """A server answers with an error."""
        self.answer((ERROR_CODE, ErrorCode(code, "no")), *attributes, kind=MessageClass.ERROR, **options)

    def feed(self, sent, data, source=None, split=None):
        if isinstance(sent, SendStream):
            for start in range(0, len(data), split or len(data)):
                self.client.handle_stream_data(sent.socket, data[start : start + (split or len(data))], now=self.now)
        else:
            self.client.handle_datagrams(sent.socket, [(source or sent.destination, data)], now=self.now)
        self.take()

    def run(self, until=math.inf):
        while (due := self.client.deadline()) <= until and due < math.inf:
            self.now = due
            self.client.handle_timer(now=due)
            self.take()
        if until < math.inf:
            self.now = until

    def outcomes(self):
        kinds = (TransactionSucceeded, TransactionFailed, TransactionTimedOut)
        return [event for _, event in self.events if isinstance(event, kinds)]

    @property
    def times(self):
        return [time for time, _ in self.sent]


@pytest.fixture
def scene():
    return Scene()


# Sockets


def test_a_socket_is_opened_towards_the_server_and_what_waits_for_it_leaves_when_it_is_open(scene):
    path = scene.path(opened=False)
    assert scene.actions == [OpenSocket(path.socket, UDP, Address(ANY_IPV4, 0), A)]
    id = scene.ask(path)
    assert not scene.sent
    scene.client.handle_socket_opened(path.socket, LOCAL, now=2.0)
    scene.client.handle_socket_opened(path.socket, LOCAL, now=2.0)
    scene.take()
    assert scene.events == [(0.0, PathOpened(path, LOCAL))]
    assert [sent for _, sent in scene.sent] == [SendDatagram(path.socket, A, encode(Method.BINDING, MessageClass.REQUEST, id))]


def test_a_socket_is_bound_where_the_caller_says_and_to_the_family_of_the_server(scene):
    assert scene.path(address=V6) and scene.actions[-1].bind == Address(ANY_IPV6, 0)
    assert scene.path(local=LOCAL) and scene.actions[-1].bind == LOCAL
    with pytest.raises(LocalProtocolError, match="different families"):
        scene.path(address=V6, local=LOCAL)


@pytest.mark.parametrize("transport", [TLS, DTLS])
def test_a_secure_socket_names_whom_the_certificate_must_name(scene, transport):
    scene.path(transport, hostname="stun.example", alpn=["stun.nat-discovery"])
    assert scene.actions[-1].options.tls == TlsOptions("stun.example", ("stun.nat-discovery",))
    scene.path(TCP)
    assert scene.actions[-1].options.tls is None


def test_a_socket_that_does_not_open_in_time_is_given_up(scene):
    path = scene.path(TCP, opened=False)
    id = scene.ask(path)
    scene.run()
    error = SocketError(SocketErrorKind.TIMEOUT, "not connected after 39.5 s")
    assert scene.events == [
        (39.5, PathClosed(path, error)),
        (39.5, TransactionFailed(id, None, error.text, FailureCause.CLOSED)),
    ]
    assert scene.actions[-1] == CloseSocket(path.socket, CloseMode.RESET)


@pytest.mark.req("RFC8489-033")
def test_a_failure_to_connect_fails_what_waits_for_the_connection(scene):
    path = scene.path(TCP, opened=False)
    first, second = scene.ask(path), scene.ask(path)
    scene.client.handle_socket_failed(path.socket, SocketError(SocketErrorKind.REFUSED, "refused"), now=1.0)
    scene.take()
    assert not scene.sent
    assert [(event.id, event.cause, event.reason) for event in scene.outcomes()] == [
        (first, FailureCause.CLOSED, "refused"),
        (second, FailureCause.CLOSED, "refused"),
    ]


@pytest.mark.req("RFC8489-033")
@pytest.mark.parametrize("transport", [TCP, TLS])
@pytest.mark.parametrize("reset", [True, False])
def test_a_lost_connection_fails_every_request_that_is_under_way_on_it_and_no_other(scene, transport, reset):
    path, other = scene.path(transport), scene.path(transport, B)
    lost = [scene.ask(path) for _ in range(12)]  # ten under way, two waiting
    scene.ask(other)
    scene.now = 3.0
    error = SocketError(SocketErrorKind.RESET) if reset else None
    if reset:
        scene.client.handle_socket_failed(path.socket, error, now=3.0)
    else:
        scene.client.handle_stream_data(path.socket, b"", now=3.0)
    scene.take()
    assert scene.events[2] == (3.0, PathClosed(path, error))
    assert [event.id for event in scene.outcomes()] == lost
    assert {event.reason for event in scene.outcomes()} == {"connection reset" if reset else "the server closed the connection"}
    assert scene.actions[-1] == CloseSocket(path.socket, CloseMode.RESET)
    scene.answer()
    assert isinstance(scene.outcomes()[-1], TransactionSucceeded)
    with pytest.raises(LocalProtocolError, match="is not open"):
        scene.ask(path)


@pytest.mark.req("RFC8489-035")
def test_a_stream_stays_open_until_it_is_released(scene):
    path = scene.path(TCP)
    scene.ask(path)
    scene.answer(now=1.0)
    scene.run(until=86400.0)
    assert not any(isinstance(action, CloseSocket) for action in scene.actions)
    assert scene.ask(path) and len(scene.sent) == 2
    scene.client.release(path, now=86401.0)
    scene.client.release(path, now=86401.0)
    scene.take()
    assert scene.actions[1:] == [CloseSocket(path.socket)]
    assert scene.outcomes()[-1].reason == "the socket was released"


def test_an_idle_stream_that_no_longer_works_is_released_by_a_reset(scene):
    path = scene.path(TCP)
    scene.client.release(path, mode=CloseMode.RESET, now=1.0)
    scene.take()
    assert scene.actions[-1] == CloseSocket(path.socket, CloseMode.RESET)


def test_an_adopted_socket_is_used_and_left_open(scene):
    path = Path(SocketId(7), A, UDP)
    scene.client.adopt(path)
    scene.ask(path)
    scene.ask(Path(SocketId(7), B, UDP))
    assert [sent.destination for _, sent in scene.sent] == [A, B]
    scene.answer()
    assert scene.outcomes()[0].mapped == MAPPED
    scene.client.adopt(Path(SocketId(8), V6, UDP))
    with pytest.raises(LocalProtocolError, match="in use already"):
        scene.client.adopt(path)
    scene.client.close(now=1.0)
    scene.take()
    assert not scene.actions


def test_after_closing_everything_fails_and_nothing_can_be_asked(scene):
    path = scene.path()
    id = scene.ask(path)
    scene.client.close(now=1.0)
    scene.client.close(now=1.0)
    scene.take()
    assert scene.actions[-1] == CloseSocket(path.socket)
    assert scene.outcomes() == [TransactionFailed(id, None, "the client was closed", FailureCause.CLOSED)]
    for command in (scene.ask, scene.path, lambda: scene.client.adopt(path)):
        with pytest.raises(LocalProtocolError, match="is closed"):
            command()
    scene.answer()
    scene.client.handle_socket_opened(path.socket, LOCAL, now=1.0)
    scene.client.handle_stream_data(path.socket, b"late", now=1.0)
    assert scene.client.stats.dropped == {DropReason.CLOSED: 1, DropReason.UNKNOWN_SOCKET: 1}
    assert not scene.client.take_outputs()
    assert scene.client.deadline() == math.inf


def test_socket_ids_come_from_the_counter_of_the_parent():
    ids = Ids()
    ids.socket()
    client = StunClient(ids=ids, entropy=Counting())
    assert client.open(ServerTarget(UDP, A), now=0.0).socket == 2


def test_where_there_is_one_socket_only_the_path_may_be_left_out(scene):
    with pytest.raises(LocalProtocolError, match="there are 0 sockets"):
        scene.ask()
    path = scene.path()
    scene.ask()
    assert scene.sent[0][1].socket == path.socket
    scene.path(address=B)
    with pytest.raises(LocalProtocolError, match="there are 2 sockets"):
        scene.ask()


def test_a_path_that_a_socket_does_not_lead_along_is_refused(scene):
    udp, tcp = scene.path(), scene.path(TCP)
    for wrong in (
        Path(SocketId(99), A, UDP),
        Path(udp.socket, A, DTLS),
        Path(tcp.socket, B, TCP),
        Path(udp.socket, V6, UDP),
    ):
        with pytest.raises(LocalProtocolError, match=r"not open|leads to|another family"):
            scene.ask(wrong)


# Requests and responses


@pytest.mark.req("RFC8489-007")
def test_a_retransmission_is_the_same_bytes_and_a_new_request_has_a_new_id(scene):
    path = scene.path()
    first, second = scene.ask(path), scene.ask(path)
    assert first != second
    scene.run()
    for id, start in ((first, 0), (second, 1)):
        copies = [sent for _, sent in scene.sent[start::2]]
        assert len(copies) == 7
        assert set(copies) == {SendDatagram(path.socket, A, encode(Method.BINDING, MessageClass.REQUEST, id))}
    assert scene.times[::2] == SENDS
    assert scene.events[1:] == [(39.5, TransactionTimedOut(first)), (39.5, TransactionTimedOut(second))]


@pytest.mark.req("RFC7350-001")
def test_over_dtls_requests_are_repeated_as_over_udp_once_the_server_is_verified(scene):
    path = scene.path(DTLS, hostname="stun.example", opened=False)
    id = scene.ask(path)
    scene.run(until=2.0)
    assert not scene.sent and scene.actions[0].options.tls.server_hostname == "stun.example"
    scene.client.handle_socket_opened(path.socket, LOCAL, now=2.0)
    scene.take()
    scene.run()
    assert [time - 2.0 for time in scene.times] == SENDS
    assert scene.events[-1] == (41.5, TransactionTimedOut(id))


@pytest.mark.req("RFC8489-031", "RFC8489-032")
@pytest.mark.parametrize("transport", [TCP, TLS])
@pytest.mark.parametrize(("options", "end"), [({}, 39.5), ({"schedule": Schedule(ti=5.0)}, 5.0)])
def test_over_a_stream_a_request_is_sent_once_and_given_up_after_ti(transport, options, end):
    scene = Scene(**options)
    path = scene.path(transport)
    id = scene.ask(path)
    scene.run()
    assert scene.times == [0.0]
    assert scene.events[-1] == (end, TransactionTimedOut(id))


@pytest.mark.req("RFC8489-016")
def test_three_requests_to_one_server_are_answered_in_any_order(scene):
    path = scene.path()
    ids = [scene.ask(path) for _ in range(3)]
    sent = [sent for _, sent in scene.sent]
    for which in (2, 0, 1):
        scene.answer(to=sent[which], now=scene.now + 0.1)
    assert [event.id for event in scene.outcomes()] == [ids[2], ids[0], ids[1]]
    assert [event.rtt for event in scene.outcomes()] == pytest.approx([0.1, 0.2, 0.3])


@pytest.mark.req("RFC8489-034")
@pytest.mark.parametrize("split", [None, 1, 7, 33])
def test_requests_on_one_stream_wait_for_no_answer_and_answers_come_in_any_order_and_pieces(scene, split):
    path = scene.path(TCP)
    first, second = scene.ask(path), scene.ask(path)
    both = [sent for _, sent in scene.sent]
    assert len(both) == 2
    for sent in both[::-1]:
        scene.answer(to=sent, split=split)
    assert [event.id for event in scene.outcomes()] == [second, first]


def test_coalesced_answers_are_taken_apart(scene):
    path = scene.path(TCP)
    ids = [scene.ask(path) for _ in range(3)]
    data = b"".join(encode(Method.BINDING, MessageClass.SUCCESS, id, [(XOR_MAPPED_ADDRESS, MAPPED)]) for id in ids)
    scene.feed(scene.sent[0][1], data)
    assert [event.id for event in scene.outcomes()] == ids


def test_a_stream_that_is_released_to_the_caller_stays_open(scene):
    path = scene.path(TCP)
    scene.ask(path)
    scene.client.release_stream(path, now=scene.now)
    scene.client.release_stream(path, now=scene.now)
    scene.take()
    assert scene.actions[1:] == []
    assert [outcome.cause for outcome in scene.outcomes()] == [FailureCause.CLOSED]
    scene.client.handle_stream_data(path.socket, b"raw", now=scene.now)
    assert scene.client.stats.dropped == {DropReason.UNKNOWN_SOCKET: 1}


def test_a_stream_that_carries_something_else_is_closed(scene):
    path = scene.path(TCP)
    id = scene.ask(path)
    scene.feed(scene.sent[0][1], b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert isinstance(scene.events[1][1], PathClosed)
    assert "what arrived is no STUN" in scene.events[1][1].error.text
    assert scene.outcomes()[0].id == id
    assert scene.actions[-1] == CloseSocket(path.socket, CloseMode.RESET)
    assert scene.client.stats.dropped.total() == 1


def test_stream_data_on_a_datagram_socket_is_dropped(scene):
    path = scene.path()
    scene.client.handle_stream_data(path.socket, b"", now=0.0)
    assert scene.client.stats.dropped == {DropReason.UNKNOWN_SOCKET: 1}
    assert not scene.client.take_outputs()


@pytest.mark.req("RFC8489-017")
def test_the_eleventh_request_to_a_server_waits_until_one_of_ten_is_over(scene):
    path = scene.path()
    ids = [scene.ask(path) for _ in range(12)]
    other = scene.ask(Path(path.socket, B, UDP))
    assert [decode_untrusted(sent.data).transaction_id for _, sent in scene.sent] == [*ids[:10], other]
    scene.answer(to=scene.sent[3][1], now=0.25)
    assert scene.last().transaction_id == ids[10]
    assert len(scene.sent) == 12
    scene.client.cancel(ids[0], now=0.25)
    scene.take()
    assert scene.last().transaction_id == ids[11]


def test_what_waits_is_bounded():
    scene = Scene(max_queued=3)
    path = scene.path()
    for _ in range(13):
        scene.ask(path)
    with pytest.raises(LocalProtocolError, match=r"3 requests wait for 192\.0\.2\.1:3478 already"):
        scene.ask(path)
    assert len(scene.sent) == 10


def test_a_cancelled_request_has_no_outcome_wherever_it_is(scene):
    path = scene.path(opened=False)
    queued = scene.ask(path)
    scene.client.cancel(queued, now=0.0)
    scene.client.handle_socket_opened(path.socket, LOCAL, now=0.0)
    running, paused = scene.ask(path), scene.ask(path)
    scene.refuse(500)
    scene.client.cancel(running, now=0.1)
    scene.client.cancel(paused, now=0.1)
    scene.client.cancel(paused, now=0.1)
    scene.answer(to=scene.sent[0][1])
    scene.run()
    assert not scene.outcomes()
    assert len(scene.sent) == 2
    assert scene.client.stats.dropped == {DropReason.UNKNOWN_TRANSACTION: 1}


def test_a_response_counts_only_from_where_the_request_went(scene):
    path, other = scene.path(), scene.path(address=B)
    id = scene.ask(path)
    request = scene.sent[0][1]
    scene.answer(source=Address("192.0.2.1", 3479))
    scene.answer(source=B)
    success = encode(Method.BINDING, MessageClass.SUCCESS, id, [(XOR_MAPPED_ADDRESS, MAPPED)])
    scene.feed(SendDatagram(other.socket, A, b""), success)
    assert not scene.outcomes()
    assert scene.client.stats.dropped == {DropReason.WRONG_SOURCE: 3}
    assert scene.client.dropped(path) == {DropReason.WRONG_SOURCE: 3}
    scene.answer(to=request)
    assert scene.outcomes()[0].id == id


def test_what_cannot_be_used_is_counted_by_server_and_reason(scene):
    path = scene.path()
    scene.ask(path)
    sent = scene.sent[0][1]
    good = encode(Method.BINDING, MessageClass.SUCCESS, bytes(12), [(XOR_MAPPED_ADDRESS, MAPPED)])
    for data in (b"", b"\xff" * 20, good, good[:4] + b"\0\0\0\0" + good[8:], good):
        scene.feed(sent, data)
    scene.feed(sent, good, source=B)
    scene.feed(SendDatagram(SocketId(99), A, b""), good)
    assert scene.client.dropped(path) == {
        DropReason.EMPTY: 1,
        DropReason.NOT_STUN: 1,
        DropReason.UNKNOWN_TRANSACTION: 2,
        DropReason.BAD_COOKIE: 1,
    }
    assert scene.client.stats.dropped.total() == 7
    assert scene.client.stats.dropped[DropReason.UNKNOWN_SOCKET] == 1
    assert scene.client.dropped(Path(SocketId(99), A, UDP)) == {}
    assert scene.client.dropped(Path(path.socket, B, UDP)) == {}


def test_a_hard_icmp_error_fails_what_is_under_way_and_not_what_waits(scene):
    path = scene.path()
    ids = [scene.ask(path) for _ in range(11)]
    scene.client.handle_icmp(path.socket, A, IcmpError(11, 0), now=0.1)
    scene.client.handle_icmp(path.socket, B, UNREACHABLE, now=0.1)
    scene.client.handle_icmp(SocketId(99), A, UNREACHABLE, now=0.1)
    scene.take()
    assert not scene.outcomes()
    scene.client.handle_icmp(path.socket, A, UNREACHABLE, now=0.1)
    scene.take()
    assert [event.id for event in scene.outcomes()] == ids[:10]
    assert {event.cause for event in scene.outcomes()} == {FailureCause.ICMP}
    scene.answer()
    assert scene.outcomes()[-1].id == ids[10]


@pytest.mark.req("RFC8489-062")
def test_a_420_tells_what_was_not_understood_and_is_not_asked_again(scene):
    id = scene.ask(scene.path(), attributes=[(PRIORITY, 1)])
    scene.refuse(420, (UNKNOWN_ATTRIBUTES, (0x24,)))
    scene.run(until=100.0)
    (failed,) = scene.outcomes()
    assert (failed.id, failed.code, failed.unknown_attributes) == (id, 420, (0x24,))
    assert len(scene.sent) == 1


@pytest.mark.req("RFC8489-007", "RFC8489-063", "RFC8489-064")
@pytest.mark.parametrize(("options", "resends"), [({}, 4), ({"resends": 2}, 2), ({"resends": 0}, 0)])
@pytest.mark.parametrize("code", [500, 599])
def test_after_a_5xx_a_request_is_sent_again_four_times_in_new_transactions(options, resends, code):
    scene = Scene(**options)
    id = scene.ask(scene.path())
    for attempt in range(resends + 1):
        assert not scene.outcomes()
        assert scene.times == [0.5 * number for number in range(attempt + 1)]
        scene.refuse(code)
        scene.run(until=scene.now + 0.5)
    scene.run(until=100.0)
    assert len({sent.data for _, sent in scene.sent}) == len(scene.sent) == resends + 1
    assert [(event.id, event.code) for event in scene.outcomes()] == [(id, code)]


def test_a_server_without_free_ports_is_not_asked_again(scene):
    scene.path()
    id = scene.ask(method=Method.ALLOCATE)
    scene.refuse(508)
    scene.run()
    assert scene.times == [0.0]
    assert scene.outcomes() == [TransactionFailed(id, 508, "no", FailureCause.ERROR_RESPONSE, (), scene.outcomes()[0].response)]


TOKEN = AccessToken("kid", b"token", b"m" * 20)
WANTS_TOKENS = ((REALM, "realm"), (NONCE, "one"), (THIRD_PARTY_AUTHORIZATION, "server"))


@pytest.mark.req("RFC7635-002", "RFC7635-011")
def test_an_access_token_is_shown_to_a_server_that_asks_for_one_and_in_no_request_about_an_allocation():
    scene = Scene(TOKEN)
    scene.path()
    scene.ask(method=Method.ALLOCATE)
    scene.refuse(401, *WANTS_TOKENS)
    assert scene.last().get(ACCESS_TOKEN) == b"token"
    assert scene.last().get(USERNAME) == "kid"
    assert scene.last().verify(IntegrityKey(b"m" * 20))
    scene.ask(method=Method.CHANNEL_BIND)
    assert ACCESS_TOKEN not in scene.last()
    assert scene.last().verify(IntegrityKey(b"m" * 20))


def test_a_renewed_token_is_shown_from_then_on():
    scene = Scene(TOKEN)
    scene.path()
    scene.ask(method=Method.ALLOCATE)
    scene.refuse(401, *WANTS_TOKENS)
    scene.client.renew(AccessToken("kid", b"another", b"n" * 20))
    scene.ask(method=Method.REFRESH)
    assert scene.last().get(ACCESS_TOKEN) == b"another"
    scene.ask(scene.path(address=B), Method.ALLOCATE)
    scene.refuse(401, *WANTS_TOKENS)
    assert scene.last().get(ACCESS_TOKEN) == b"another"


@pytest.mark.parametrize("credentials", [None, LONG, SHORT])
def test_without_a_token_there_is_none_to_renew(credentials):
    with pytest.raises(LocalProtocolError, match="no access token"):
        Scene(credentials).client.renew(TOKEN)


@pytest.mark.parametrize("code", [401, 500, 300])
def test_a_request_that_is_to_be_concluded_is_not_asked_again(code):
    scene = Scene(LONG, alternate_servers=True)
    id = scene.ask(scene.path(), Method.ALLOCATE)
    assert scene.client.conclude(id, now=0.0)
    scene.refuse(code, (REALM, "realm"), (NONCE, "one"), (ALTERNATE_SERVER, B), now=0.1)
    scene.run(until=10.0)
    assert scene.times == [0.0]
    assert [(event.id, event.code) for event in scene.outcomes()] == [(id, code)]


def test_to_conclude_a_request_that_waits_is_to_cancel_it(scene):
    path = scene.path()
    paused = scene.ask(path)
    scene.refuse(500)
    waiting = scene.ask(scene.path(opened=False))
    for id in (paused, waiting, bytes(12)):
        assert not scene.client.conclude(id, now=0.1)
    scene.run()
    assert scene.times == [0.0]
    assert not scene.outcomes()


def test_challenges_are_counted_until_a_request_is_over():
    scene = Scene(LONG)
    scene.path()
    id = scene.ask()
    assert scene.client.challenges(id) == 0
    scene.refuse(401, (REALM, "realm"), (NONCE, "one"))
    assert scene.client.challenges(id) == 1
    scene.refuse(438, (REALM, "realm"), (NONCE, "two"))
    assert scene.client.challenges(id) == 2
    scene.answer(key=LONG_KEY)
    assert scene.client.challenges(id) == 0


@pytest.mark.parametrize("credentials", [None, LONG])
def test_a_request_is_bare_without_credentials_or_until_the_server_has_wanted_them(credentials):
    scene = Scene(credentials)
    path = scene.path()
    assert scene.client.is_bare(path.remote)
    scene.ask()
    scene.refuse(401, (REALM, "realm"), (NONCE, "one"))
    assert scene.client.is_bare(path.remote) is (credentials is None)
    assert scene.client.is_bare(Address("192.0.2.250", 3478))


@pytest.mark.req("RFC8656-016")
def test_of_a_list_of_algorithms_turn_takes_the_strongest_not_the_first():
    scene = Scene(LONG, choose=strongest_supported)
    scene.path()
    scene.ask()
    scene.refuse(
        401,
        (REALM, "realm"),
        (NONCE, nonce_cookie(SecurityFeatures.PASSWORD_ALGORITHMS) + "n"),
        (PASSWORD_ALGORITHMS, (PASSWORD_MD5, PASSWORD_SHA256)),
    )
    assert scene.last().get(PASSWORD_ALGORITHM) == PASSWORD_SHA256


def test_a_success_after_a_5xx_has_the_id_that_the_caller_knows(scene):
    id = scene.ask(scene.path())
    scene.refuse(500, now=0.1)
    scene.run(until=0.6)
    scene.answer(now=0.7)
    (success,) = scene.outcomes()
    assert success.id == id != success.response.transaction_id
    assert success.rtt == pytest.approx(0.1)


# What is sent


@pytest.mark.req("RFC8489-013", "RFC8489-142")
def test_software_is_sent_in_requests_if_configured_and_by_default_not():
    for options, software in (({}, None), ({"software": "sansice"}, "sansice")):
        scene = Scene(**options)
        path = scene.path()
        scene.ask(path, Method.ALLOCATE, [(PRIORITY, 1)])
        assert scene.last().get(SOFTWARE) == software
        scene.client.indicate(Method.BINDING, path=path, now=0.0)
        scene.take()
        assert SOFTWARE not in scene.last()


@pytest.mark.req("RFC8489-065")
def test_fingerprint_is_sent_and_asked_for_if_configured():
    for fingerprint in (False, True):
        scene = Scene(fingerprint=fingerprint)
        path = scene.path()
        scene.client.indicate(Method.BINDING, path=path, now=0.0)
        scene.ask(path)
        assert [decode_untrusted(sent.data).has_fingerprint for _, sent in scene.sent] == [fingerprint] * 2
        scene.answer(fingerprint=not fingerprint)
        assert bool(scene.outcomes()) is not fingerprint
        assert scene.client.stats.dropped[DropReason.BAD_FINGERPRINT] == fingerprint
    scene.answer(fingerprint=True)
    assert len(scene.outcomes()) == 1
    with pytest.raises(ValueError, match="fingerprint"):
        StunClientConfig(classic=True, fingerprint=True)


@pytest.mark.req("RFC8489-028")
@pytest.mark.parametrize("transport", list(Transport))
def test_an_indication_is_sent_once_and_arms_no_timer(scene, transport):
    path = scene.path(transport)
    id = scene.client.indicate(Method.BINDING, path=path, now=0.0)
    assert scene.client.deadline() == math.inf
    scene.take()
    data = encode(Method.BINDING, MessageClass.INDICATION, id)
    once = SendStream(path.socket, data) if transport in (TCP, TLS) else SendDatagram(path.socket, A, data)
    assert [sent for _, sent in scene.sent] == [once]


@pytest.mark.req("RFC8489-083")
def test_an_indication_is_never_protected_by_long_term_credentials():
    scene = Scene(LONG)
    path = scene.path()
    challenge(scene, path)
    scene.answer(key=LONG_KEY)
    scene.client.indicate(Method.BINDING, path=path, now=0.0)
    scene.take()
    assert scene.last().attributes() == []


def test_an_indication_is_protected_by_short_term_credentials():
    scene = Scene(SHORT)
    scene.client.indicate(Method.BINDING, path=scene.path(), now=0.0)
    scene.take()
    assert scene.last().get(USERNAME) == "user"
    assert scene.last().verify(SHORT_KEY)


def test_an_indication_waits_for_no_socket(scene):
    path = scene.path(opened=False)
    with pytest.raises(LocalProtocolError, match="not open yet"):
        scene.client.indicate(Method.BINDING, path=path, now=0.0)


@pytest.mark.req("RFC8489-014", "RFC8489-015")
@pytest.mark.parametrize(
    ("transport", "address", "mtu", "budget"),
    [(UDP, A, None, 548), (UDP, V6, None, 1232), (DTLS, A, None, 455), (UDP, A, 1500, 1472)],
)
def test_what_might_not_arrive_whole_is_refused(transport, address, mtu, budget):
    blob = Attribute(0xC0FE, "BLOB", shapes.OPAQUE)
    scene = Scene(mtu=mtu)
    path = scene.path(transport, address)
    fits = budget // 4 * 4 - 20 - 4
    scene.ask(path, attributes=[(blob, bytes(fits))])
    with pytest.raises(LocalProtocolError, match=f"it may have {budget}"):
        scene.ask(path, attributes=[(blob, bytes(fits + 4))])
    with pytest.raises(LocalProtocolError, match=f"it may have {budget}"):
        scene.client.indicate(Method.BINDING, [(blob, bytes(fits + 4))], path=path, now=0.0)
    assert len(scene.sent) == 1
    stream = scene.path(TCP, address)
    assert scene.ask(stream, attributes=[(blob, bytes(10_000))])


# Round-trip times


@pytest.mark.req("RFC8489-023")
def test_the_next_request_starts_from_the_rto_that_the_last_answer_taught(scene):
    path = scene.path()
    scene.ask(path)
    scene.answer(now=0.1)  # srtt 0.1, rttvar 0.05: 0.3
    assert scene.ask(Path(path.socket, Address(A.host, 9), UDP))  # the same IP address
    scene.run(until=1.1)
    assert scene.times == pytest.approx([0.0, 0.1, 0.4, 1.0])
    scene.ask(Path(path.socket, B, UDP))
    scene.run(until=1.65)
    assert [time for time, sent in scene.sent if sent.destination == B] == pytest.approx([1.1, 1.6])


@pytest.mark.req("RFC8489-024")
@pytest.mark.parametrize(("idle", "rto"), [(599.0, 0.3), (601.0, 0.5)])
def test_what_was_learned_is_forgotten_ten_minutes_after_the_last_transaction(scene, idle, rto):
    path = scene.path()
    scene.ask(path)
    scene.answer(now=0.1)
    scene.now = 0.1 + idle
    scene.ask(path)
    scene.run(until=scene.now + 0.55)
    assert scene.times[2] - scene.times[1] == pytest.approx(rto)


def test_a_repeated_request_teaches_nothing(scene):
    path = scene.path()
    scene.ask(path)
    scene.run(until=0.6)
    scene.answer(now=0.61)
    assert scene.outcomes()[0].rtt is None
    scene.ask(path)
    scene.run(until=1.2)
    assert scene.times == pytest.approx([0.0, 0.5, 0.61, 1.11])


def test_a_server_next_door_is_not_given_up_within_milliseconds(scene):
    path = scene.path()
    scene.ask(path)
    scene.answer(now=0.001)
    scene.ask(path)
    scene.run()
    assert scene.times[2] == pytest.approx(0.101)
    assert scene.events[-1][0] == pytest.approx(0.001 + 7.9)
    impatient = Scene(schedule=Schedule(rto=0.02, minimum_rto=0.0))
    path = impatient.path()
    impatient.ask(path)
    impatient.answer(now=0.001)
    impatient.ask(path)
    impatient.run(until=0.05)
    assert impatient.times[:3] == pytest.approx([0.0, 0.001, 0.021])


# What the other end asks and tells


@pytest.mark.req("RFC8489-009")
def test_a_request_of_the_other_end_with_the_id_of_ours_is_another_transaction(scene):
    path = scene.path()
    id = scene.ask(path)
    theirs = encode(Method.BINDING, MessageClass.REQUEST, id)
    scene.feed(scene.sent[0][1], theirs)
    (_, received) = scene.events[-1]
    assert isinstance(received, RequestReceived)
    assert (received.path, received.message.data) == (path, theirs)
    assert not scene.outcomes()
    scene.answer()
    assert scene.outcomes()[0].id == id


@pytest.mark.req("RFC8489-056")
def test_an_indication_is_handed_on_from_a_server_that_was_asked_and_from_nobody_else(scene):
    path = scene.path()
    unknown = Attribute(0x7FF0, "UNKNOWN", shapes.FLAG)
    told = encode(Method.DATA, MessageClass.INDICATION, bytes(12))
    scene.feed(SendDatagram(path.socket, A, b""), told)
    scene.ask(path)
    scene.feed(scene.sent[0][1], told, source=B)
    scene.feed(scene.sent[0][1], encode(Method.DATA, MessageClass.INDICATION, bytes(12), [(unknown, None)]))
    assert scene.client.stats.dropped == {DropReason.UNVALIDATED_SOURCE: 2, DropReason.UNKNOWN_ATTRIBUTE: 1}
    scene.feed(scene.sent[0][1], told)
    (_, received) = scene.events[-1]
    assert isinstance(received, IndicationReceived)
    assert (received.path, received.message.data) == (path, told)


def test_the_servers_that_a_socket_remembers_are_bounded(scene):
    path = scene.path()
    for number in range(MAX_REMEMBERED + 1):
        id = scene.ask(Path(path.socket, Address(A.host, 10_000 + number), UDP))
        scene.client.cancel(id, now=0.0)
    told = encode(Method.DATA, MessageClass.INDICATION, bytes(12))
    for port in (10_000, 10_001):
        scene.feed(SendDatagram(path.socket, Address(A.host, port), b""), told)
    assert [event.path.remote.port for _, event in scene.events[1:]] == [10_001]


# Authentication


def challenge(scene, path, *, realm="realm", nonce="nonce"):
    """Ask, be asked for credentials, and ask again."""
    id = scene.ask(path)
    scene.refuse(401, (REALM, realm), (NONCE, nonce))
    return id


AUTHENTICATION = (
    *(USERNAME, USERHASH, REALM, NONCE, PASSWORD_ALGORITHM),
    *(PASSWORD_ALGORITHMS, MESSAGE_INTEGRITY, MESSAGE_INTEGRITY_SHA256),
)


@pytest.mark.req("RFC8489-087")
@pytest.mark.parametrize("transport", list(Transport))
def test_the_first_request_to_each_server_shows_nothing_of_the_credentials(transport):
    scene = Scene(LONG)
    first, second = scene.path(transport), scene.path(transport, B)
    scene.ask(first)
    assert not any(attribute in scene.last() for attribute in AUTHENTICATION)
    scene.refuse(401, (REALM, "realm"), (NONCE, "nonce"))
    scene.answer(key=LONG_KEY)
    scene.ask(second)
    assert not any(attribute in scene.last() for attribute in AUTHENTICATION)


@pytest.mark.req("RFC8489-088")
def test_later_requests_reuse_what_the_first_one_learned():
    scene = Scene(LONG)
    path = scene.path()
    first = challenge(scene, path)
    assert scene.last().transaction_id != first
    scene.answer(key=LONG_KEY)
    second = scene.ask(path)
    request = scene.last()
    assert request.transaction_id == second
    assert (request.get(USERNAME), request.get(REALM), request.get(NONCE)) == ("user", "realm", "nonce")
    assert request.integrity is IntegrityAlgorithm.SHA1
    assert request.verify(LONG_KEY)
    scene.answer(key=LONG_KEY)
    assert [event.id for event in scene.outcomes()] == [first, second]
    assert len(scene.sent) == 3


def test_a_stale_nonce_is_replaced_and_the_request_repeated_at_once():
    scene = Scene(LONG)
    path = scene.path()
    challenge(scene, path)
    scene.answer(key=LONG_KEY)
    id = scene.ask(path)
    scene.refuse(438, (REALM, "realm"), (NONCE, "fresh"))
    assert scene.last().get(NONCE) == "fresh"
    assert scene.last().transaction_id != id
    scene.answer(key=LONG_KEY)
    assert scene.outcomes()[-1].id == id


def test_a_wrong_password_is_said_to_be_one_after_two_requests():
    scene = Scene(LONG)
    path = scene.path()
    id = challenge(scene, path)
    scene.refuse(401, (REALM, "realm"), (NONCE, "nonce2"))
    (failed,) = scene.outcomes()
    assert (failed.id, failed.code) == (id, 401)
    assert failed.reason == "no: the server refuses the user name or the password"
    assert len(scene.sent) == 2


def test_a_server_that_is_never_content_is_left_after_a_bounded_number_of_requests():
    scene = Scene(LONG)
    path = scene.path()
    id = challenge(scene, path)
    for number in range(20):
        if not scene.outcomes():
            scene.refuse(438, (REALM, "realm"), (NONCE, f"nonce {number}"))
    assert [(event.id, event.code) for event in scene.outcomes()] == [(id, 438)]
    assert len(scene.sent) <= 5


def test_of_requests_that_interleave_none_is_challenged_without_end():
    scene = Scene(LONG)
    path = scene.path()
    unlucky = challenge(scene, path)
    for number in range(10):  # one is always refused, another one always accepted
        if scene.outcomes() and isinstance(scene.outcomes()[-1], TransactionFailed):
            break
        refused = scene.sent[-1][1]
        scene.ask(path)
        scene.answer(key=LONG_KEY)
        scene.refuse(438, (REALM, "realm"), (NONCE, f"nonce {number}"), to=refused)
    assert [event.id for event in scene.outcomes() if isinstance(event, TransactionFailed)] == [unlucky]
    assert number == 4


def test_ten_first_requests_at_once_are_all_answered():
    scene = Scene(LONG)
    path = scene.path()
    ids = [scene.ask(path) for _ in range(10)]
    for sent in [sent for _, sent in scene.sent]:
        scene.refuse(401, (REALM, "realm"), (NONCE, "nonce"), to=sent)
    again = [sent for _, sent in scene.sent[10:]]
    assert len(again) == 10
    for sent in again:
        scene.answer(to=sent, key=LONG_KEY)
    assert [event.id for event in scene.outcomes()] == ids


@pytest.mark.req("RFC8489-082")
@pytest.mark.parametrize("algorithm", [IntegrityAlgorithm.SHA1, IntegrityAlgorithm.SHA256])
def test_later_short_term_requests_carry_only_what_the_first_response_used(algorithm):
    scene = Scene(SHORT)
    path = scene.path()
    scene.ask(path)
    assert scene.last().integrity is IntegrityAlgorithm.BOTH
    scene.answer(key=SHORT_KEY, algorithm=algorithm)
    scene.ask(path)
    assert scene.last().integrity is algorithm
    scene.ask(Path(path.socket, Address(A.host, 9), UDP))  # the same host, another port: another server
    assert scene.last().integrity is IntegrityAlgorithm.BOTH


def test_over_udp_a_forged_answer_is_counted_and_over_a_stream_it_ends_the_request():
    udp = Scene(SHORT)
    path = udp.path()
    id = udp.ask(path)
    udp.answer()
    assert udp.client.dropped(path) == {DropReason.BAD_INTEGRITY: 1}
    udp.run()
    assert udp.outcomes() == [TransactionTimedOut(id, integrity_violated=True)]
    tcp = Scene(SHORT)
    tcp.ask(tcp.path(TCP))
    tcp.answer()
    assert tcp.outcomes()[0].cause is FailureCause.INTEGRITY


def test_what_a_server_wants_back_may_not_fit_into_a_datagram():
    scene = Scene(LongTermCredentials("u" * 300, "password"))
    path = scene.path()
    id = challenge(scene, path, realm="r" * 120, nonce="n" * 120)
    (failed,) = scene.outcomes()
    assert (failed.id, failed.cause) == (id, FailureCause.TOO_LARGE)
    assert "it may have 548" in failed.reason
    assert len(scene.sent) == 1
    stream = scene.path(TCP, B)
    challenge(scene, stream, realm="r" * 120, nonce="n" * 120)
    assert len(scene.sent) == 3


def test_realms_and_nonces_are_remembered_of_a_bounded_number_of_servers(monkeypatch):
    monkeypatch.setattr("sansice.stun._client._memory.MAX_IDENTITIES", 2)
    scene = Scene(LONG)
    path = scene.path()
    for port in (1, 2, 3):
        challenge(scene, Path(path.socket, Address(A.host, port), UDP))
        scene.answer(key=LONG_KEY)
    for port, known in ((3, True), (1, False)):
        scene.ask(Path(path.socket, Address(A.host, port), UDP))
        assert (NONCE in scene.last()) is known


# Redirections


def redirecting(transport=UDP, hostname=None, **options):
    scene = Scene(SHORT, alternate_servers=True, **options)
    path = scene.path(transport, hostname=hostname)
    return scene, path


def redirect(scene, alternate, *attributes, **options):
    scene.refuse(300, (ALTERNATE_SERVER, alternate), *attributes, **{"key": SHORT_KEY, **options})


@pytest.mark.req("RFC8489-061")
def test_a_300_fails_the_request_unless_alternate_servers_are_wanted():
    scene = Scene(SHORT)
    id = scene.ask(scene.path())
    redirect(scene, B)
    assert [(event.id, event.code) for event in scene.outcomes()] == [(id, 300)]
    assert len(scene.sent) == 1


@pytest.mark.req("RFC8489-132")
def test_a_300_is_followed_only_when_it_is_protected():
    scene, path = redirecting()
    scene.ask(path)
    redirect(scene, B, key=None)
    redirect(scene, B, key=short_term_key("forged"))
    assert len(scene.sent) == 1
    assert scene.client.dropped(path) == {DropReason.BAD_INTEGRITY: 2}
    redirect(scene, B)
    assert scene.sent[-1][1].destination == B
    for credentials in (None, LONG):  # whose first request is bare
        bare = Scene(credentials, alternate_servers=True)
        bare.ask(bare.path())
        redirect(bare, B, key=None)
        assert [event.code for event in bare.outcomes()] == [300]
        assert len(bare.sent) == 1


@pytest.mark.req("RFC8489-112")
def test_a_redirected_request_goes_on_by_the_same_transport_with_the_same_credentials():
    scene, path = redirecting()
    id = scene.ask(path, attributes=[(PRIORITY, 1)])
    first = scene.last()
    redirect(scene, B)
    new = Path(path.socket, B, UDP)
    assert scene.events[-1] == (0.0, Redirected(id, path, new, None, SHORT))
    assert scene.sent[-1][1][:2] == (path.socket, B)
    second = scene.last()
    assert second.transaction_id != first.transaction_id
    assert second.get(USERNAME) == first.get(USERNAME) == "user"
    assert second.get(PRIORITY) == 1
    assert second.verify(SHORT_KEY)
    scene.answer(key=SHORT_KEY)
    assert scene.outcomes()[0].id == id


@pytest.mark.req("RFC8489-112")
@pytest.mark.parametrize("transport", [TCP, TLS, DTLS])
def test_over_a_session_a_redirected_request_goes_on_over_another_one_of_the_same_transport(transport):
    scene, path = redirecting(transport)
    id = scene.ask(path)
    redirect(scene, B)
    opened = scene.actions[-1]
    assert (opened.transport, opened.remote, opened.bind) == (transport, B, Address(ANY_IPV4, 0))
    new = scene.events[-1][1].new
    assert new == Path(opened.socket, B, transport)
    scene.client.handle_socket_opened(new.socket, LOCAL, now=1.0)
    scene.take()
    assert scene.sent[-1][1].socket == new.socket
    scene.answer(key=SHORT_KEY)
    assert scene.outcomes()[0].id == id
    scene.ask(path)
    redirect(scene, B)
    assert scene.events[-1][1].new == new  # the session is still there
    assert len(scene.actions) == 2
    assert scene.sent[-1][1].socket == new.socket


def test_who_asks_through_a_proxy_goes_to_an_alternate_server_through_it_too():
    scene = Scene(SHORT, alternate_servers=True)
    way = ProxyOptions(Address("192.0.2.60", 3128), "u", "p", "stun.example:3478")
    path = scene.client.open(ServerTarget(TCP, way.address, None, way), now=0.0)
    scene.client.handle_socket_opened(path.socket, LOCAL, now=0.0)
    scene.take()
    assert scene.actions[-1].options.proxy == way
    scene.ask(path)
    redirect(scene, B)
    opened = scene.actions[-1]
    assert (opened.remote, opened.towards) == (B, way.address)
    assert opened.options.proxy == ProxyOptions(way.address, "u", "p")


def test_a_proxy_decides_of_which_family_a_socket_is():
    client = StunClient(entropy=Counting())
    far, way = Address("2001:db8::7", 443), ProxyOptions(Address("192.0.2.60", 3128))
    client.open(ServerTarget(TCP, far, None, way), now=0.0)
    (opened,) = client.take_outputs()
    assert (opened.bind, opened.remote, opened.towards) == (Address(ANY_IPV4, 0), far, way.address)
    with pytest.raises(LocalProtocolError, match="different families"):
        client.open(ServerTarget(TCP, far, None, way), local=Address("2001:db8::1", 0), now=0.0)


@pytest.mark.req("RFC8489-113")
@pytest.mark.parametrize("transport", [TLS, DTLS])
@pytest.mark.parametrize(
    ("attributes", "expected"),
    [((), "stun.example"), (((ALTERNATE_DOMAIN, "Other.Example."),), "other.example")],
)
def test_the_alternate_servers_certificate_must_name_its_domain_or_else_the_original_one(transport, attributes, expected):
    scene, path = redirecting(transport, "stun.example", schedule=Schedule(ti=1000.0))
    id = scene.ask(path)
    redirect(scene, B, *attributes)
    assert scene.actions[-1].options.tls.server_hostname == expected
    redirected = scene.events[-1][1]
    assert redirected.server_hostname == expected
    scene.client.handle_socket_opened(redirected.new.socket, LOCAL, now=0.0)
    scene.take()
    redirect(scene, Address("192.0.2.3", 5349))
    assert scene.events[-1][1].server_hostname == "stun.example"
    assert not scene.outcomes() and scene.events[-1][1].id == id


@pytest.mark.req("RFC8489-113")
@pytest.mark.parametrize("transport", [TLS, DTLS])
def test_a_session_that_was_verified_for_another_name_is_not_used_for_a_redirection(transport):
    scene, path = redirecting(transport, "stun.example")
    other = scene.path(transport, address=B, hostname="other.example")
    scene.ask(path)
    redirect(scene, B)
    new = scene.events[-1][1].new
    assert new.remote == B
    assert new.socket != other.socket
    assert scene.actions[-1].options.tls.server_hostname == "stun.example"


def test_without_tls_a_domain_means_nothing():
    scene, path = redirecting(TCP)
    scene.ask(path)
    redirect(scene, B, (ALTERNATE_DOMAIN, "other.example"))
    assert scene.events[-1][1].server_hostname is None
    assert scene.actions[-1].options.tls is None


@pytest.mark.req("RFC8489-114")
@pytest.mark.parametrize(("elapsed", "follows"), [(299.0, False), (300.0, False), (301.0, True)])
def test_a_server_that_was_asked_within_five_minutes_is_not_asked_again(elapsed, follows):
    scene, path = redirecting(schedule=Schedule(rto=10.0))
    id = scene.ask(path)
    redirect(scene, B)
    request = scene.sent[-1][1]
    scene.run(until=elapsed)
    redirect(scene, A, to=request)
    if follows:
        assert scene.sent[-1][1].destination == A
        assert not scene.outcomes()
    else:
        assert [(event.id, event.code) for event in scene.outcomes()] == [(id, 300)]


def test_a_server_that_redirects_to_itself_is_not_followed():
    scene, path = redirecting()
    scene.ask(path)
    redirect(scene, A)
    assert [event.code for event in scene.outcomes()] == [300]


def test_redirections_of_one_request_are_bounded():
    scene, path = redirecting()
    scene.ask(path)
    for number in range(MAX_REDIRECTIONS + 1):
        redirect(scene, Address("192.0.2.9", 1000 + number))
    assert [event.code for event in scene.outcomes()] == [300]
    assert len(scene.sent) == MAX_REDIRECTIONS + 1


def test_sockets_that_servers_make_us_open_are_bounded():
    scene, path = redirecting(TCP)
    for number in range(MAX_REDIRECTED_SOCKETS + 1):
        scene.ask(path)
        redirect(scene, Address("192.0.2.9", 1000 + number))
    assert len(scene.actions) == 1 + MAX_REDIRECTED_SOCKETS
    assert [event.code for event in scene.outcomes()] == [300]


@pytest.mark.parametrize(
    "attributes",
    [
        (),
        ((ALTERNATE_SERVER, V6),),
        ((ALTERNATE_SERVER, Address("192.0.2.2", 0)),),
        ((Attribute(ALTERNATE_SERVER.code, "broken", shapes.OPAQUE), b"broken"),),
        ((ALTERNATE_SERVER, B), (ALTERNATE_DOMAIN, "192.0.2.2")),
        ((ALTERNATE_SERVER, B), (ALTERNATE_DOMAIN, "no/name")),
        ((ALTERNATE_SERVER, B), (Attribute(ALTERNATE_DOMAIN.code, "broken", shapes.OPAQUE), b"\xff")),
    ],
)
def test_a_300_that_leads_nowhere_is_a_failure(attributes):
    scene, path = redirecting(TLS, "stun.example")
    scene.ask(path)
    scene.refuse(300, *attributes, key=SHORT_KEY)
    assert [event.code for event in scene.outcomes()] == [300]
    assert len(scene.actions) == 1


def test_the_certificate_shown_to_the_owner_of_an_adopted_session_counts_after_a_redirection():
    scene = Scene(SHORT, alternate_servers=True)
    path = Path(SocketId(77), A, TLS)
    scene.client.adopt(path, hostname="stun.example")
    scene.ask(path)
    redirect(scene, B)
    assert scene.actions[-1].options.tls.server_hostname == "stun.example"


# RFC 3489 and anycast


@pytest.mark.req("RFC5389-001")
def test_an_rfc_3489_server_is_sent_a_bare_binding_request_over_udp():
    scene = Scene(classic=True)
    id = scene.ask(scene.path())
    assert scene.sent[0][1].data == bytes.fromhex("000100002112a442") + id
    with pytest.raises(LocalProtocolError, match="over UDP"):
        scene.path(TCP)
    with pytest.raises(LocalProtocolError, match="bare Binding"):
        scene.ask(attributes=[(PRIORITY, 1)])
    with pytest.raises(LocalProtocolError, match="bare Binding"):
        scene.ask(method=Method.ALLOCATE)
    with pytest.raises(LocalProtocolError, match="authentication"):
        Scene(LONG, classic=True)
    for attribute in ({"software": "sansice"}, {"fingerprint": True}):
        with pytest.raises(ValueError, match="no attributes, no fingerprint or software"):
            StunClientConfig(classic=True, **attribute)


@pytest.mark.req("RFC5389-002", "RFC5389-003")
@pytest.mark.parametrize("attribute", [MAPPED_ADDRESS, XOR_MAPPED_ADDRESS])
def test_an_rfc_3489_server_may_answer_with_either_address_and_much_that_is_ignored(attribute):
    scene = Scene(classic=True)
    scene.ask(scene.path())
    reserved = [(one, B) for one in (RESPONSE_ADDRESS, SOURCE_ADDRESS, CHANGED_ADDRESS, REFLECTED_FROM)]
    scene.answer(*reserved, (attribute, MAPPED))
    assert scene.outcomes()[0].mapped == MAPPED


@pytest.mark.req("RFC8489-058")
def test_without_compatibility_the_address_must_be_xored(scene):
    scene.ask(scene.path())
    scene.answer((MAPPED_ADDRESS, MAPPED))
    assert scene.outcomes()[0].cause is FailureCause.MALFORMED


@pytest.mark.req("RFC5389-006")
def test_compatibility_is_refused_where_a_socket_carries_something_else():
    scene = Scene(classic=True)
    with pytest.raises(LocalProtocolError, match="carries nothing else"):
        scene.client.adopt(Path(SocketId(7), A, UDP))


@pytest.mark.req("RFC8489-141")
def test_anycast_servers_are_asked_over_udp_and_without_authentication_only():
    scene = Scene(anycast=True)
    assert scene.ask(scene.path())
    for transport in (TCP, TLS, DTLS):
        with pytest.raises(LocalProtocolError, match="anycast"):
            scene.path(transport)
        with pytest.raises(LocalProtocolError, match="anycast"):
            scene.client.adopt(Path(SocketId(7), A, transport))
    for credentials in (SHORT, LONG):
        with pytest.raises(LocalProtocolError, match="anycast"):
            Scene(credentials, anycast=True)


# The machine


def test_a_value_that_does_not_fit_its_attribute_is_the_callers_mistake(scene):
    path = scene.path()
    with pytest.raises(LocalProtocolError, match="PRIORITY"):
        scene.ask(path, attributes=[(PRIORITY, "high")])
    with pytest.raises(LocalProtocolError, match="FINGERPRINT"):
        scene.client.indicate(Method.BINDING, [(FINGERPRINT, 1)], path=path, now=0.0)
    assert scene.ask(path) == (1).to_bytes(12, "big")


def test_the_table_of_transitions_is_whole():
    ways = {(ExchangeState.DONE, step) for step in ExchangeInput}
    ways |= {(ExchangeState.QUEUED, ExchangeInput.AGAIN), (ExchangeState.QUEUED, ExchangeInput.PAUSE)}
    ways |= {(ExchangeState.PAUSED, ExchangeInput.START), (ExchangeState.PAUSED, ExchangeInput.PAUSE)}
    ways.add((ExchangeState.RUNNING, ExchangeInput.START))
    assert {(state, step) for state in ExchangeState for step in ExchangeInput} - set(EXCHANGE_TRANSITIONS) == ways


def answers(sent):
    """A server that means well: it challenges what is bare and accepts the rest."""
    request = decode_untrusted(sent.data)
    if request.message_class is not MessageClass.REQUEST:
        return None
    key = SHORT_KEY if request.has_integrity and NONCE not in request else LONG_KEY if request.has_integrity else None
    if key is None and sent.destination == A:
        challenge = [(ERROR_CODE, ErrorCode(401)), (REALM, "realm"), (NONCE, "nonce")]
        return encode(request.method, MessageClass.ERROR, request.transaction_id, challenge)
    if sent.destination == A:
        options = {"key": key, "algorithm": IntegrityAlgorithm.SHA1}
        elsewhere = [(ERROR_CODE, ErrorCode(300)), (ALTERNATE_SERVER, B)]
        return encode(request.method, MessageClass.ERROR, request.transaction_id, elsewhere, **options)
    return encode(request.method, MessageClass.SUCCESS, request.transaction_id, [(XOR_MAPPED_ADDRESS, MAPPED)], key=key)


@pytest.mark.parametrize("credentials", [None, SHORT, LONG], ids=["none", "short", "long"])
def test_it_keeps_the_contract_of_machines(credentials):
    config = StunClientConfig(alternate_servers=True, max_queued=4, max_outstanding=2)
    target = st.builds(ServerTarget, st.sampled_from(Transport), st.sampled_from([A, B, V6]))
    path = st.builds(Path, st.integers(1, 4).map(SocketId), st.sampled_from([A, B]), st.sampled_from([UDP, TCP]))
    method = st.sampled_from([Method.BINDING, Method.ALLOCATE])
    attributes = st.sampled_from([(), ((PRIORITY, 1),), ((PRIORITY, "high"),), ((SOFTWARE, "x" * 2000),)])
    ids = st.integers(0, 3).map(lambda number: bytes([number]) * 12)
    check_machine(
        lambda entropy: StunClient(credentials=credentials, config=config, entropy=entropy),
        setup=lambda client, now: client.request(
            Method.BINDING, path=client.open(ServerTarget(UDP, A), local=LOCAL, now=now), now=now
        ),
        commands={
            "open": st.tuples(target),
            "request": st.fixed_dictionaries({"method": method, "attributes": attributes, "path": path | st.none()}),
            "indicate": st.fixed_dictionaries({"method": method, "attributes": attributes, "path": path | st.none()}),
            "release": st.tuples(path),
            "cancel": st.tuples(ids),
            "close": [()],
        },
        answers=answers,
        secrets=lambda _: ["password"],
    )


# Against the server of this package


@pytest.fixture
def locked():
    """A server that asks for long-term credentials, and a client 20 ms away that has them."""
    net = Network(seed=11, latency=0.02, loss=0.2, duplication=0.2, jitter=0.01, reordering=0.1)
    there, here = net.host("server", A.host), net.host("client", LOCAL.host)
    users = StaticUsers({"user": "password"}, "realm")
    authentication = ServerAuthentication(realm="realm", lookup_key=users, entropy=there.entropy)
    server = StunServer(authentication=authentication, config=StunServerConfig(rate=None), entropy=there.entropy)
    there.run(server).call(server.start, [Listener(UDP, A)])
    client = StunClient(credentials=LONG, entropy=here.entropy)
    return net, server, client, here.run(client)


def test_every_request_has_one_outcome_whatever_the_network_does(locked):
    net, _server, client, node = locked
    path = node.call(client.open, ServerTarget(UDP, A))
    ids = [node.call(client.request, Method.BINDING, path=path) for _ in range(100)]
    net.run(until=600.0)
    outcomes = [event for _, event in node.events if not isinstance(event, PathOpened)]
    assert sorted(event.id for event in outcomes) == sorted(ids)
    assert all(event.mapped == (LOCAL.host, path_port(node)) for event in outcomes)
    assert client.deadline() == math.inf


def path_port(node):
    (address,) = node.sockets.values()
    return address.port


@pytest.mark.req("RFC8489-088")
def test_a_server_challenges_the_first_request_and_none_of_those_that_follow(locked):
    net, server, client, node = locked
    path = node.call(client.open, ServerTarget(UDP, A))
    node.call(client.request, Method.BINDING, path=path)
    net.run(until=60.0)
    challenged = server.stats.errors[401]
    for _ in range(10):
        node.call(client.request, Method.BINDING, path=path)
    net.run(until=120.0)
    assert server.stats.errors[401] == challenged >= 1
    assert client.stats.requests == 2 + 10
    assert sum(isinstance(event, TransactionSucceeded) for _, event in node.events) == 11
