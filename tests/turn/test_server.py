"""A TURN server's life: start, who is asked for what, data, draining, the end (RFC 8656)."""

import math

import pytest

from _turn_serving import (
    CLIENT,
    DTLS,
    LISTENERS,
    OF,
    PEER,
    PEER6,
    REALM_TEXT,
    START,
    TCP,
    TLS,
    UDP,
    UDP_RELAY,
    USERS,
    TurnServing,
    closed,
    code_of,
    long_term,
    sent_to_peers,
    told,
)
from sansice.machine import (
    Address,
    CloseSocket,
    DropReason,
    IcmpError,
    LocalProtocolError,
    OpenSocket,
    SendDatagram,
    SetDontFragment,
    SocketError,
    SocketErrorKind,
    SocketId,
)
from sansice.stun import (
    ADDITIONAL_ADDRESS_FAMILY,
    CHANNEL_NUMBER,
    DATA,
    DONT_FRAGMENT,
    ERROR_CODE,
    EVEN_PORT,
    ICMP,
    LIFETIME,
    NONCE,
    PENDING,
    REALM,
    REQUESTED_ADDRESS_FAMILY,
    SOFTWARE,
    USERNAME,
    XOR_MAPPED_ADDRESS,
    XOR_PEER_ADDRESS,
    CredentialRequested,
    Icmp,
    ListenerFailed,
    ListenerOpened,
    MessageClass,
    Method,
    ServerAuthentication,
    ServerDrained,
    ServerReady,
    StaticUsers,
    StunServerConfig,
    TimeLimitedSecrets,
    TransactionId,
    UserKeys,
    decode_untrusted,
    encode,
    long_term_key,
)
from sansice.turn import (
    ANY_PEER,
    AllocationClosed,
    AllocationOpened,
    AllocationsDrained,
    CloseReason,
    TurnServer,
    TurnServerState,
    encode_channel_data as frame,
)

ALLOCATE, REFRESH, PERMIT = Method.ALLOCATE, Method.REFRESH, Method.CREATE_PERMISSION
DUAL = (ADDITIONAL_ADDRESS_FAMILY, 2)
ID = TransactionId(bytes(range(12)))
GONE = SocketError(SocketErrorKind.RESET)
DONE = [AllocationsDrained(), ServerDrained()]


def allocated(**options):
    serving = TurnServing(**options)
    user = serving.client()
    user.allocate()
    return serving, user


def unauthenticated(method, *attributes):
    return encode(method, MessageClass.REQUEST, ID, attributes)


class TestBeginning:
    def test_a_relay_for_everybody_is_refused_and_says_what_to_do(self):
        with pytest.raises(LocalProtocolError, match="open to the whole world") as error:
            TurnServer(authentication=None)
        assert "StaticUsers" in str(error.value)

    @pytest.mark.parametrize("choice", [{}, {LISTENERS[0]: None}, {LISTENERS[0]: long_term(), LISTENERS[1]: None}])
    def test_so_is_one_that_is_open_in_one_place(self, choice):
        with pytest.raises(LocalProtocolError):
            TurnServer(authentication=choice)

    def test_who_means_it_may_have_it(self):
        serving = TurnServing(authentication=None, policy={"anonymous": True})
        assert code_of(serving.client().answer(unauthenticated(ALLOCATE, UDP_RELAY))) == 0

    def test_listeners_open_and_it_is_ready(self):
        server = TurnServer(authentication=long_term())
        server.start(LISTENERS[:1], now=START)
        (asked,) = server.take_outputs()
        assert (type(asked), asked.bind) == (OpenSocket, LISTENERS[0].address)
        server.handle_socket_opened(asked.socket, asked.bind, now=START)
        opened, ready = server.take_outputs()
        assert (opened, ready) == (ListenerOpened(LISTENERS[0], asked.bind), ServerReady(((UDP, asked.bind),)))
        assert (server.state, server.addresses) == (TurnServerState.RUNNING, ((UDP, asked.bind),))

    def test_a_second_start_is_a_mistake(self):
        serving = TurnServing()
        with pytest.raises(LocalProtocolError):
            serving.server.start(LISTENERS, now=START)

    def test_a_start_without_listeners_is_one_and_changes_nothing(self):
        server = TurnServer(authentication=long_term())
        with pytest.raises(LocalProtocolError):
            server.start([], now=START)
        assert server.state is TurnServerState.NEW
        server.start(LISTENERS, now=START)

    def test_no_relayed_address_is_at_a_listener_that_did_not_open(self):
        server = TurnServer(authentication=long_term())
        server.start(LISTENERS[:1], now=START)
        (asked,) = server.take_outputs()
        server.handle_socket_failed(asked.socket, GONE, now=START)
        failed, ready = server.take_outputs()
        assert (type(failed), ready) == (ListenerFailed, ServerReady(()))

    def test_an_earlier_name_for_listeners_is_offered_to_tls_and_dtls(self):
        serving = TurnServing()
        assert {asked.options.tls.alpn for asked in serving.opened.values() if asked.options.tls} == {
            ("stun.turn", "stun.nat-discovery")
        }


class TestWhoIsAsked:
    @pytest.mark.req("RFC8656-025")
    @pytest.mark.parametrize("method", [ALLOCATE, REFRESH, PERMIT, Method.CHANNEL_BIND, Method.CONNECT, Method.CONNECTION_BIND])
    def test_every_request_of_turn_needs_credentials(self, method):
        assert code_of(TurnServing().client().answer(unauthenticated(method, UDP_RELAY))) == 401

    def test_a_binding_request_does_not(self):
        answer = TurnServing().client().answer(unauthenticated(Method.BINDING))
        assert answer.get(XOR_MAPPED_ADDRESS) == CLIENT

    def test_but_it_may(self):
        serving = TurnServing(policy={"authenticate_binding": True})
        assert code_of(serving.client().answer(unauthenticated(Method.BINDING))) == 401

    @pytest.mark.req("RFC8656-010")
    def test_nobody_is_asked_in_the_words_of_rfc_3489(self):
        serving = TurnServing()
        for kind in (b"\x00\x01", b"\x00\x03"):
            assert serving.client().send(kind + b"\x00\x00" + bytes(range(16))) == []
        assert serving.stats.dropped[DropReason.BAD_COOKIE] == 2

    @pytest.mark.req("RFC8656-009")
    @pytest.mark.parametrize("fingerprint", [False, True])
    def test_a_fingerprint_is_answered_with_one(self, fingerprint):
        answer = TurnServing().client().ask(ALLOCATE, UDP_RELAY, fingerprint=fingerprint)
        assert (code_of(answer), answer.has_fingerprint) == (0, fingerprint)

    @pytest.mark.req("RFC8656-004")
    def test_a_nonce_is_stale_after_a_while_and_the_answer_brings_another(self):
        serving, user = allocated()
        serving.at(START + 599)
        assert user.code(REFRESH, (LIFETIME, 3600)) == 0
        serving.at(START + 601)
        answer = user.answer(user.request(REFRESH))
        assert (code_of(answer), answer.get(NONCE) != user.nonce) == (438, True)
        user.nonce = answer.get(NONCE)
        assert user.code(REFRESH) == 0

    @pytest.mark.req("RFC8656-004")
    def test_a_nonce_is_nobody_elses(self):
        serving = TurnServing()
        user, thief = serving.client(), serving.client(CLIENT._replace(port=9))
        user.request(ALLOCATE)
        thief.nonce = user.nonce
        assert code_of(thief.answer(thief.request(ALLOCATE, UDP_RELAY))) == 438
        assert serving.allocations() == ()

    @pytest.mark.req("RFC8656-015")
    def test_an_allocation_knows_no_password(self):
        serving, _ = allocated()
        (allocation,) = serving.server._allocations.all()
        kept = [getattr(allocation, name) for name in allocation.__slots__]
        assert not any(USERS["alice"] in str(value) for value in kept)

    def test_a_stranger_is_told_no_software(self):
        assert SOFTWARE not in TurnServing().client().answer(unauthenticated(ALLOCATE, UDP_RELAY))

    def test_keys_that_come_later_are_waited_for(self):
        slow = ServerAuthentication(realm=REALM_TEXT, lookup_key=lambda name, realm, unix: PENDING)
        serving = TurnServing(authentication=slow)
        user = serving.client()
        (event,) = user.send(user.request(ALLOCATE, UDP_RELAY))
        assert (type(event), event.username) == (CredentialRequested, "alice")
        keys = UserKeys.of_password("alice", USERS["alice"], REALM_TEXT)
        waited, outputs = serving.call(serving.server.provide_key, event.id, keys)
        assert waited
        assert [type(output) for output in outputs] == [AllocationOpened, SendDatagram]
        assert serving.call(serving.server.provide_key, event.id, keys) == (False, [])

    def test_credentials_that_expire_are_good_until_the_wall_clock_says_otherwise(self):
        expiring = ServerAuthentication(realm=REALM_TEXT, lookup_key=TimeLimitedSecrets("secret"))
        serving = TurnServing(authentication=expiring)
        name, password = TimeLimitedSecrets("secret").issue("alice", lifetime=100, unix=1_000_000.0)
        user = serving.client(user=name)
        serving.passwords[name] = password
        serving.server.handle_wall_clock(1_000_000.0, now=serving.now)
        assert user.code(ALLOCATE, UDP_RELAY) == 0
        serving.at(START + 200)
        assert user.code(REFRESH) == 401

    def test_realms_may_differ_from_listener_to_listener(self):
        other = ServerAuthentication(realm="example.net", lookup_key=StaticUsers({"carol": "x"}, "example.net"))
        serving = TurnServing(LISTENERS[:2], authentication={LISTENERS[0]: long_term(), LISTENERS[1]: other})
        realms = [
            serving.client(address, socket=SocketId(socket)).answer(unauthenticated(ALLOCATE, UDP_RELAY)).get(REALM)
            for socket, address in ((1, CLIENT), (2, Address("2001:db8::9", 9)))
        ]
        assert realms == [REALM_TEXT, "example.net"]

    def test_a_listener_without_a_realm_is_a_mistake(self):
        server = TurnServer(authentication={LISTENERS[0]: long_term()})
        with pytest.raises(LocalProtocolError, match="it says nothing about"):
            server.start(LISTENERS[:2], now=START)
        assert server.state is TurnServerState.NEW

    def test_credentials_may_be_replaced_and_allocations_stay(self):
        serving, user = allocated()
        new = ServerAuthentication(realm=REALM_TEXT, lookup_key=StaticUsers({"alice": "another"}, REALM_TEXT))
        serving.call(serving.server.replace_authentication, new)
        assert user.code(REFRESH) == 401
        key = long_term_key("alice", REALM_TEXT, "another")
        nonce = user.answer(unauthenticated(REFRESH, UDP_RELAY)).get(NONCE)
        credentials = [(USERNAME, "alice"), (REALM, REALM_TEXT), (NONCE, nonce)]
        assert code_of(user.answer(encode(REFRESH, MessageClass.REQUEST, ID, credentials, key=key))) == 0

    def test_they_cannot_be_taken_away(self):
        serving, user = allocated()
        with pytest.raises(LocalProtocolError):
            serving.server.replace_authentication(None, now=START)
        assert user.code(REFRESH) == 0

    @pytest.mark.req("RFC8656-003")
    def test_an_indication_with_credentials_is_none_the_better_for_it(self):
        _, user = allocated()
        key = long_term_key("alice", REALM_TEXT, USERS["alice"])
        listed = [(XOR_PEER_ADDRESS, PEER), (DATA, b"x")]
        assert user.send(encode(Method.SEND, MessageClass.INDICATION, ID, listed, key=key)) == []
        user.permit(PEER)
        assert sent_to_peers(user.indicate(PEER, b"x"), user.relays[0]) == [(PEER, b"x")]


class TestRates:
    POLICY = {"stun": StunServerConfig(rate=1.0, burst=5, vouched_rate=10.0, vouched_burst=20)}

    def test_those_who_are_let_in_are_not_counted_with_their_neighbours(self):
        serving, user = allocated(policy=dict(self.POLICY))
        stranger = serving.client(CLIENT._replace(port=666))
        for _ in range(50):
            stranger.send(unauthenticated(ALLOCATE, UDP_RELAY))
        assert stranger.send(unauthenticated(ALLOCATE, UDP_RELAY)) == []
        assert user.permit(PEER) == 0
        assert user.code(REFRESH) == 0

    def test_they_have_a_rate_of_their_own(self):
        serving, user = allocated(policy=dict(self.POLICY))
        request = user.request(REFRESH)
        answered = sum(len(user.answers(user.send(request))) for _ in range(50))
        assert answered == 20
        assert serving.stats.dropped[DropReason.RATE_LIMITED] == 30
        (info,) = serving.allocations()
        assert info.stats.dropped == 30
        serving.at(START + 0.1)
        assert len(user.answers(user.send(request))) == 1
        assert len(user.answers(user.send(request))) == 0

    def test_who_has_an_allocation_is_told_even_if_his_request_is_shorter_than_any_stranger_may_send(self):
        _, user = allocated()
        assert code_of(user.answer(unauthenticated(REFRESH))) == 401

    def test_data_is_not_counted(self):
        _, user = allocated(policy=dict(self.POLICY))
        user.permit(PEER)
        assert all(sent_to_peers(user.indicate(PEER, b"x"), user.relays[0]) for _ in range(100))

    def test_the_same_on_streams(self):
        serving = TurnServing(policy=dict(self.POLICY))
        user = serving.stream()
        user.allocate()
        request = user.request(REFRESH)
        assert sum(len(user.answers(user.send(request))) for _ in range(50)) == 20

    def test_requests_and_data_of_a_batch_stay_in_order(self):
        serving, user = allocated()
        bind = user.request(Method.CHANNEL_BIND, (XOR_PEER_ADDRESS, PEER), (CHANNEL_NUMBER, 0x4000))
        data = frame(0x4000, b"x")
        batch = [(CLIENT, data), (CLIENT, bind), (CLIENT, data), (CLIENT, user.request(REFRESH, (LIFETIME, 0))), (CLIENT, data)]
        outputs = serving.feed(OF[UDP], *batch)
        assert sent_to_peers(outputs, user.relays[0]) == [(PEER, b"x")]
        assert serving.stats.dropped[DropReason.NO_CHANNEL] == 1
        assert serving.stats.dropped[DropReason.NO_ALLOCATION] == 1


class TestData:
    @pytest.mark.parametrize("transport", [UDP, DTLS, TCP, TLS])
    def test_it_goes_both_ways_over_each_transport(self, transport):
        serving = TurnServing()
        user = serving.stream(transport=transport) if transport.is_stream else serving.client(socket=OF[transport])
        user.allocate()
        user.bind(0x4000, PEER)
        user.permit(Address("8.8.8.8", 1))
        padding = b"\0\0\0" if transport.is_stream else b""
        assert sent_to_peers(user.send(frame(0x4000, b"hello") + padding), user.relays[0]) == [(PEER, b"hello")]
        assert user.hear(PEER, b"hello") == [frame(0x4000, b"hello") + padding]
        assert sent_to_peers(user.indicate(PEER, b"yo"), user.relays[0]) == [(PEER, b"yo")]
        (heard,) = user.hear(Address("8.8.8.8", 1), b"unbound")
        assert decode_untrusted(heard).get(DATA) == b"unbound"

    @pytest.mark.req("RFC8656-068")
    def test_from_a_peer_without_a_permission_it_is_dropped_in_silence(self):
        serving, user = allocated()
        user.permit(PEER)
        assert serving.feed(user.relays[0], (Address("8.8.8.8", PEER.port), b"x")) == []
        assert serving.stats.dropped[DropReason.NO_PERMISSION] == 1

    @pytest.mark.req("RFC8656-006")
    def test_without_an_allocation_it_is_dropped_in_silence(self):
        serving = TurnServing()
        for user in (serving.client(), serving.stream()):
            assert user.send(frame(0x4000, b"hello", padded=user.is_stream)) == []
            assert user.indicate(PEER, b"hello") == []
        assert serving.stats.dropped[DropReason.NO_ALLOCATION] == 4

    def test_a_stream_may_be_cut_anywhere(self):
        serving = TurnServing()
        user = serving.stream()
        user.allocate()
        user.bind(0x4000, PEER)
        data = frame(0x4000, b"hello", padded=True) + user.request(REFRESH) + frame(0x4000, b"again", padded=True)
        outputs = []
        for byte in data:
            outputs += user.send(bytes((byte,)))
        assert sent_to_peers(outputs, user.relays[0]) == [(PEER, b"hello"), (PEER, b"again")]
        assert len(user.answers(outputs)) == 1

    @pytest.mark.req("RFC8656-084", "RFC8656-085", "RFC8656-086")
    @pytest.mark.parametrize(
        ("error", "expected"),
        [
            (IcmpError(3, 3), Icmp(3, 3, 0)),
            (IcmpError(11, 0), Icmp(11, 0, 0)),
            (IcmpError(3, 4, mtu=1280), Icmp(3, 4, 1280)),
            (IcmpError(5, 0), None),
            (IcmpError(8, 0), None),
        ],
    )
    def test_errors_that_come_back_are_told_for_peers_with_a_permission(self, error, expected):
        serving, user = allocated()
        user.permit(PEER)
        serving.server.handle_icmp(user.relays[0], PEER, error, now=START)
        heard = [decode_untrusted(data) for data in user.answers(serving.take())]
        assert [(message.get(XOR_PEER_ADDRESS), message.get(ICMP)) for message in heard] == (
            [] if expected is None else [(PEER, expected)]
        )
        serving.server.handle_icmp(user.relays[0], Address("8.8.8.8", 1), error, now=START)
        assert serving.take() == []

    def test_an_error_of_no_relayed_address_is_nobodys(self):
        serving, _ = allocated()
        serving.server.handle_icmp(OF[UDP], PEER, IcmpError(3, 3), now=START)
        assert serving.take() == []

    @pytest.mark.req("RFC8656-107")
    def test_dont_fragment_is_about_one_datagram(self):
        _, user = allocated()
        user.permit(PEER)
        relay = user.relays[0]
        assert user.indicate(PEER, b"x", (DONT_FRAGMENT, None)) == [
            SetDontFragment(relay, True),
            SendDatagram(relay, PEER, b"x"),
            SetDontFragment(relay, False),
        ]


class TestStreams:
    def test_an_allocation_ends_with_its_stream(self):
        serving = TurnServing()

        def lose(user):
            return serving.call(serving.server.handle_socket_failed, user.socket, GONE)[1]

        for end in (lambda user: user.send(b""), lose):
            user = serving.stream()
            user.allocate()
            outputs = end(user)
            assert [event.reason for event in told(outputs)] == [CloseReason.STREAM_CLOSED]
            assert user.relays[0] in closed(outputs)
        assert serving.allocations() == ()

    def test_it_ends_when_the_stream_is_out_of_step(self):
        serving = TurnServing()
        user = serving.stream()
        user.allocate()
        outputs = user.send(b"\xff")
        assert [event.reason for event in told(outputs)] == [CloseReason.STREAM_CLOSED]
        assert user.socket in closed(outputs)

    def test_it_ends_when_a_message_takes_too_long(self):
        serving = TurnServing()
        user = serving.stream()
        user.allocate()
        user.send(b"\x40\x00\x00\x08half")
        assert closed(output for _, output in serving.at(START + 10)) == [*user.relays, user.socket]

    def test_a_stream_with_an_allocation_may_be_idle(self):
        serving = TurnServing()
        user = serving.stream()
        user.allocate((LIFETIME, 3600))
        assert closed(output for _, output in serving.at(START + 3599)) == []

    def test_one_without_may_not(self):
        serving = TurnServing()
        user = serving.stream()
        user.request(ALLOCATE)
        assert closed(output for _, output in serving.at(START + 120)) == [user.socket]

    @pytest.mark.parametrize("killed", [False, True])
    def test_nor_one_whose_allocation_was_killed_or_has_lost_its_socket(self, killed):
        serving = TurnServing()
        user = serving.stream()
        user.allocate((LIFETIME, 3600))
        if killed:
            serving.call(serving.server.close_allocation, 1)
        else:
            serving.call(serving.server.handle_socket_failed, user.relays[0], GONE)
        assert [output.socket for _, output in serving.at(START + 120) if type(output) is CloseSocket] == [user.socket]

    def test_nor_one_whose_allocation_has_ended(self):
        serving = TurnServing()
        user = serving.stream()
        user.allocate()
        serving.at(START + 500)
        user.ask(REFRESH, (LIFETIME, 0))
        outputs = serving.at(START + 620)
        assert [(when, type(output)) for when, output in outputs] == [(START + 620, CloseSocket)]

    def test_one_whose_allocation_expired_is_closed_after_a_while(self):
        serving = TurnServing()
        user = serving.stream()
        user.allocate()
        outputs = serving.at(START + 720)
        assert [when for when, output in outputs if output == CloseSocket(user.socket)] == [START + 720]

    def test_data_for_a_client_that_does_not_read_is_dropped_and_counted(self):
        serving = TurnServing(policy={"max_unsent": 1000})
        user = serving.stream()
        user.allocate()
        user.permit(PEER)
        user.bind(0x4000, PEER)
        unsent = 0
        for _ in range(100):
            unsent += sum(len(data) for data in user.hear(PEER, bytes(96)))
            serving.server.handle_stream_sent(user.socket, unsent, now=START)
        assert 900 <= unsent <= 1100
        assert serving.stats.dropped[DropReason.QUEUE_FULL] > 80
        serving.server.handle_stream_sent(user.socket, 0, now=START)
        assert len(user.hear(PEER, bytes(96))) == 1

    def test_it_can_still_refresh(self):
        serving = TurnServing(policy={"max_unsent": 1000})
        user = serving.stream()
        user.allocate()
        serving.server.handle_stream_sent(user.socket, 1000, now=START)
        assert serving.take() == []
        assert user.code(REFRESH) == 0

    def test_data_of_others_goes_on(self):
        serving = TurnServing(policy={"max_unsent": 1000})
        users = [serving.stream(), serving.stream(CLIENT._replace(port=9))]
        for user in users:
            user.allocate()
            user.permit(PEER)
        serving.server.handle_stream_sent(users[0].socket, 5000, now=START)
        serving.take()
        assert [len(user.hear(PEER, b"x")) for user in users] == [0, 1]


class TestSocketsThatDie:
    def test_allocations_end_with_the_listener_they_were_made_through(self):
        serving, user = allocated()
        other = serving.client(socket=OF[DTLS])
        other.allocate()
        outputs = serving.call(serving.server.handle_socket_failed, OF[UDP], GONE)[1]
        assert [type(event) for event in told(outputs)] == [ListenerFailed, AllocationClosed]
        assert told(outputs)[1].reason is CloseReason.LISTENER_FAILED
        assert closed(outputs) == [user.relays[0]]
        assert [info.id for info in serving.allocations()] == [2]

    def test_where_a_listener_was_nobody_listens(self):
        serving = TurnServing(peer_policy=ANY_PEER)
        user = serving.client()
        user.allocate((REQUESTED_ADDRESS_FAMILY, 2))
        listener = LISTENERS[1].address
        assert user.bind(0x4000, listener) == 403
        serving.call(serving.server.handle_socket_failed, SocketId(2), GONE)
        assert user.bind(0x4000, listener) == 0

    def test_those_on_streams_outlive_it(self):
        serving = TurnServing()
        user = serving.stream()
        user.allocate()
        user.bind(0x4000, PEER)
        serving.call(serving.server.handle_socket_failed, OF[TCP], GONE)
        assert sent_to_peers(user.send(frame(0x4000, b"x", padded=True)), user.relays[0]) == [(PEER, b"x")]

    def test_what_was_being_opened_is_closed(self):
        serving = TurnServing()
        user = serving.client()
        request = user.request(ALLOCATE, UDP_RELAY)
        serving.holding = True
        (asked,) = user.send(request)
        outputs = serving.call(serving.server.handle_socket_failed, OF[UDP], GONE)[1]
        assert closed(outputs) == [asked.socket]

    def test_an_unknown_socket_is_nobodys(self):
        serving, _ = allocated()
        serving.server.handle_socket_opened(SocketId(99), PEER, now=START)
        serving.server.handle_socket_failed(SocketId(99), GONE, now=START)
        assert serving.feed(SocketId(99), (PEER, b"x")) == []
        assert serving.take() == []


class TestDraining:
    ALTERNATES = (Address("203.0.113.1", 3478),)

    def test_without_anybody_it_is_done_at_once(self):
        serving = TurnServing()
        _, outputs = serving.call(serving.server.drain)
        assert told(outputs) == DONE
        assert sorted(closed(outputs)) == [1, 2, 3, 4, 5]
        assert serving.server.state is TurnServerState.CLOSED

    def test_those_who_are_here_are_served_until_the_last_has_ended(self):
        serving, user = allocated()
        user.permit(PEER)
        assert serving.call(serving.server.drain) == (None, [])
        assert serving.server.state is TurnServerState.DRAINING
        serving.at(START + 200)
        assert user.code(REFRESH, (LIFETIME, 3600)) == 0
        assert len(user.hear(PEER, b"x")) == 1
        serving.at(START + 3000)
        assert user.code(REFRESH) == 0
        outputs = user.send(user.request(REFRESH, (LIFETIME, 0)))
        assert [type(event) for event in told(outputs)] == [AllocationClosed, AllocationsDrained, ServerDrained]
        assert len(user.answers(outputs)) == 1
        assert serving.server.state is TurnServerState.CLOSED

    def test_an_expiry_ends_it_as_well(self):
        serving, _ = allocated()
        serving.call(serving.server.drain)
        assert told(output for _, output in serving.at(START + 600))[-2:] == DONE

    def test_closing_ends_it_and_leaves_no_deadline_behind(self):
        serving, _ = allocated()
        serving.call(serving.server.drain, grace=100.0)
        serving.call(serving.server.close)
        assert serving.server.deadline() == math.inf

    def test_it_does_not_wait_on_for_a_request_whose_time_was_over_before_its_socket_was_there(self):
        serving = TurnServing()
        user = serving.client()
        request = user.request(ALLOCATE, UDP_RELAY)
        serving.holding = True
        (asked,) = user.send(request)
        serving.call(serving.server.drain, grace=1000.0)
        (answer,) = user.answers(output for _, output in serving.at(START + 60))
        assert code_of(decode_untrusted(answer)) == 500
        serving.open(asked)
        assert told(serving.take()) == DONE

    def test_so_does_an_allocation_that_is_closed(self):
        serving, _ = allocated()
        serving.call(serving.server.drain)
        assert told(serving.call(serving.server.close_allocation, 1)[1])[-2:] == DONE

    @pytest.mark.parametrize(("alternates", "code"), [((), 508), (ALTERNATES, 300)])
    def test_nobody_new_is_taken(self, alternates, code):
        serving, _ = allocated(policy={"alternates": alternates})
        serving.call(serving.server.drain)
        assert serving.client(CLIENT._replace(port=9)).code(ALLOCATE, UDP_RELAY) == code

    def test_its_time_is_bounded(self):
        serving, _ = allocated()
        serving.call(serving.server.drain, grace=30.0)
        outputs = serving.at(START + 30)
        assert [(when, type(output)) for when, output in outputs if output in told([output])] == [
            (START + 30, AllocationClosed),
            (START + 30, AllocationsDrained),
            (START + 30, ServerDrained),
        ]
        assert outputs[1][1].reason is CloseReason.DRAINED

    def test_a_second_call_sets_another_time(self):
        serving, _ = allocated()
        serving.call(serving.server.drain, grace=500.0)
        serving.call(serving.server.drain, grace=0.0)
        assert serving.server.state is TurnServerState.CLOSED

    def test_who_was_on_the_way_gets_in(self):
        serving = TurnServing()
        user = serving.client()
        request = user.request(ALLOCATE, UDP_RELAY)
        serving.holding = True
        (asked,) = user.send(request)
        assert serving.call(serving.server.drain) == (None, [])
        serving.open(asked)
        assert [type(event) for event in told(serving.take())] == [AllocationOpened]

    def test_one_that_fails_on_the_way_ends_it(self):
        serving = TurnServing()
        user = serving.client()
        request = user.request(ALLOCATE, UDP_RELAY)
        serving.holding = True
        (asked,) = user.send(request)
        serving.call(serving.server.drain)
        serving.server.handle_socket_failed(asked.socket, SocketError(SocketErrorKind.NO_RESOURCES), now=START)
        outputs = serving.take()
        assert told(outputs)[-2:] == DONE
        assert code_of(decode_untrusted(user.answers(outputs)[0])) == 508

    def test_an_idle_stream_does_not_keep_it(self):
        serving = TurnServing()
        user = serving.stream()
        user.request(ALLOCATE)
        _, outputs = serving.call(serving.server.drain)
        assert user.socket in closed(outputs)
        assert told(outputs) == DONE

    def test_a_nonsensical_time_is_a_mistake(self):
        serving, _ = allocated()
        for grace in (-1.0, math.nan, math.inf):
            with pytest.raises(LocalProtocolError):
                serving.server.drain(grace=grace, now=START)
        assert serving.server.state is TurnServerState.RUNNING

    def test_before_the_start_it_is_one(self):
        with pytest.raises(LocalProtocolError):
            TurnServer(authentication=long_term()).drain(now=START)


class TestDrainingWithoutClosing:
    """For servers that share their listeners: who comes to one of them must not find silence while others still serve."""

    STRANGER = CLIENT._replace(port=9)

    def drain(self, serving, **options):
        return told(serving.call(serving.server.drain, close=False, **options)[1])

    def test_with_nobody_there_it_is_told_at_once_and_nothing_closes(self):
        serving = TurnServing()
        _, outputs = serving.call(serving.server.drain, close=False)
        assert outputs == [AllocationsDrained()]
        assert serving.server.state is TurnServerState.DRAINED
        assert len(serving.server.addresses) == len(LISTENERS)
        assert serving.server.deadline() == math.inf

    @pytest.mark.parametrize(("alternates", "code"), [((), 508), (TestDraining.ALTERNATES, 300)])
    @pytest.mark.parametrize("anybody", [False, True], ids=["nobody there", "after the last"])
    def test_newcomers_are_sent_away_on(self, alternates, code, anybody):
        serving = TurnServing(policy={"alternates": alternates})
        user = serving.client()
        if anybody:
            user.allocate()
        self.drain(serving)
        if anybody:
            user.ask(REFRESH, (LIFETIME, 0))
        assert serving.server.state is TurnServerState.DRAINED
        assert serving.client(self.STRANGER).code(ALLOCATE, UDP_RELAY) == code
        assert serving.stream(self.STRANGER).code(ALLOCATE, UDP_RELAY) == code
        serving.at(START + 10_000)
        assert serving.client(self.STRANGER._replace(port=10)).code(ALLOCATE, UDP_RELAY) == code

    def test_the_last_is_served_as_before_and_its_end_told_once(self):
        serving, user = allocated()
        user.permit(PEER)
        assert self.drain(serving) == []
        assert serving.server.state is TurnServerState.DRAINING
        assert len(user.hear(PEER, b"x")) == 1
        events = told(user.send(user.request(REFRESH, (LIFETIME, 0))))
        assert [type(event) for event in events] == [AllocationClosed, AllocationsDrained]
        assert told(output for _, output in serving.at(START + 10_000)) == []

    def test_who_is_there_when_the_grace_is_over_is_ended(self):
        serving, user = allocated()
        user.permit(PEER)
        self.drain(serving, grace=30.0)
        events = [(when, type(output)) for when, output in serving.at(START + 30) if told([output])]
        assert events == [(START + 30, AllocationClosed), (START + 30, AllocationsDrained)]
        assert user.hear(PEER, b"x") == []
        assert user.code(REFRESH) == 437
        assert user.code(ALLOCATE, UDP_RELAY) == 508

    def test_who_was_on_the_way_when_the_grace_is_over_gets_nothing(self):
        serving = TurnServing()
        user = serving.client()
        request = user.request(ALLOCATE, UDP_RELAY)
        serving.holding = True
        (asked,) = user.send(request)
        self.drain(serving, grace=30.0)
        outputs = [output for _, output in serving.at(START + 30)]
        assert (closed(outputs), told(outputs)[-1]) == ([asked.socket], AllocationsDrained())
        serving.open(asked)
        assert serving.take() == []
        assert serving.allocations() == ()

    def test_ports_that_are_reserved_are_let_go(self):
        serving = TurnServing()
        user = serving.client()
        user.allocate((EVEN_PORT, True))
        self.drain(serving)
        outputs = user.send(user.request(REFRESH, (LIFETIME, 0)))
        assert len(closed(outputs)) == 2

    def test_closing_ends_it(self):
        serving = TurnServing()
        self.drain(serving)
        _, outputs = serving.call(serving.server.close)
        assert sorted(closed(outputs)) == [1, 2, 3, 4, 5]
        assert serving.server.state is TurnServerState.CLOSED

    def test_another_drain_may_close_it(self):
        serving = TurnServing()
        self.drain(serving)
        assert told(serving.call(serving.server.drain)[1]) == DONE
        assert serving.server.state is TurnServerState.CLOSED

    def test_each_drain_is_told_of_once(self):
        serving, user = allocated()
        assert self.drain(serving) == []
        assert self.drain(serving) == []
        assert [type(event) for event in told(user.send(user.request(REFRESH, (LIFETIME, 0))))].count(AllocationsDrained) == 1
        assert self.drain(serving) == [AllocationsDrained()]

    @pytest.mark.parametrize("close", [False, True])
    def test_the_last_call_says_whether_it_closes(self, close):
        serving, user = allocated()
        serving.call(serving.server.drain, close=not close)
        serving.call(serving.server.drain, close=close)
        user.ask(REFRESH, (LIFETIME, 0))
        assert serving.server.state is (TurnServerState.CLOSED if close else TurnServerState.DRAINED)

    def test_who_closes_already_goes_on_with_that(self):
        slow = ServerAuthentication(realm=REALM_TEXT, lookup_key=lambda name, realm, unix: PENDING)
        serving = TurnServing(authentication=slow)
        user = serving.client()
        (asked,) = told(user.send(user.request(ALLOCATE, UDP_RELAY)))
        assert told(serving.call(serving.server.drain)[1]) == [AllocationsDrained()]
        assert self.drain(serving) == [AllocationsDrained()]
        assert serving.server.state is TurnServerState.DRAINING
        outputs = serving.call(serving.server.provide_key, asked.id, None)[1]
        assert told(outputs) == [ServerDrained()]
        assert serving.server.state is TurnServerState.CLOSED


class TestEnd:
    def test_everything_is_closed_and_told(self):
        serving = TurnServing()
        user, other = serving.client(), serving.stream()
        user.allocate(DUAL)
        other.allocate()
        serving.holding = True
        waiting = serving.client(CLIENT._replace(port=9))
        serving.holding = False
        request = waiting.request(ALLOCATE, UDP_RELAY)
        serving.holding = True
        (asked,) = waiting.send(request)
        _, outputs = serving.call(serving.server.close)
        assert set(closed(outputs)) == {1, 2, 3, 4, 5, *user.relays, *other.relays, asked.socket, other.socket}
        assert [event.reason for event in told(outputs)] == [CloseReason.SERVER_CLOSED] * 2
        assert (serving.server.state, serving.server.deadline()) == (TurnServerState.CLOSED, math.inf)

    def test_reserved_ports_are_closed_too(self):
        serving = TurnServing()
        user = serving.client()
        user.allocate((EVEN_PORT, True))
        _, outputs = serving.call(serving.server.close)
        assert len(closed(outputs)) == 2 + len(LISTENERS)
        assert serving.server.deadline() == math.inf

    def test_a_second_time_changes_nothing(self):
        serving, _ = allocated()
        serving.call(serving.server.close)
        assert serving.call(serving.server.close) == (None, [])

    def test_afterwards_nothing_is_heard(self):
        serving, user = allocated()
        serving.call(serving.server.close)
        assert user.send(frame(0x4000, b"x")) == []
        assert user.send(unauthenticated(ALLOCATE, UDP_RELAY)) == []
        serving.server.handle_accepted(OF[TCP], SocketId(-9), CLIENT, now=START)
        assert closed(serving.take()) == [-9]

    def test_an_id_that_was_never_given_is_a_mistake(self):
        serving, _ = allocated()
        for id in (0, -1, 2):
            with pytest.raises(LocalProtocolError):
                serving.server.close_allocation(id, now=START)


class TestErrors:
    def test_reasons_are_for_those_who_are_let_in(self):
        serving = TurnServing()
        assert serving.client().ask(REFRESH).get(ERROR_CODE).reason == "Allocation Mismatch"
        assert serving.client().answer(unauthenticated(ALLOCATE, UDP_RELAY)).get(ERROR_CODE).reason == ""

    def test_peers_of_the_other_family_are_a_mismatch(self):
        _, user = allocated()
        assert user.permit(PEER6) == 443

    def test_a_request_of_tcp_about_an_allocation_of_udp(self):
        _, user = allocated()
        assert user.code(Method.CONNECT, (XOR_PEER_ADDRESS, PEER)) in (400, 437)
