"""Every advisory that was published of a relay, and every weakness that a survey of relays found: none of them works here."""

from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from _turn_serving import (
    CLIENT,
    DTLS,
    HOST,
    OF,
    PEER,
    REALM_TEXT,
    START,
    TCP,
    TCP_RELAY,
    UDP,
    UDP_RELAY,
    TurnServing,
    code_of,
    long_term,
    sent_to_peers,
)
from sansice.machine import Address, DropReason, LocalProtocolError
from sansice.stun import (
    ACCESS_TOKEN,
    ADDITIONAL_ADDRESS_FAMILY,
    DATA,
    ERROR_CODE,
    MOBILITY_TICKET,
    NONCE,
    REALM,
    SOFTWARE,
    USERNAME,
    XOR_PEER_ADDRESS,
    Listener,
    Message,
    MessageClass,
    Method,
    StunServerConfig,
    ThirdPartyServerAuthentication,
    TokenKey,
    decode_untrusted,
    encode,
    long_term_key,
)
from sansice.turn import PeerPolicy, TurnLimits, TurnServer, encode_channel_data

STRANGER = Address("192.0.2.66", 6666)
PERMIT, BIND, CONNECT = Method.CREATE_PERMISSION, Method.CHANNEL_BIND, Method.CONNECT

# What an installation of coturn 4.6.1 was asked for, and where it let a client go, in each case but the first six.
PROBED = [
    "127.0.0.1",
    "127.9.9.9",
    "0.0.0.0",
    "0.1.2.3",
    "::1",
    "::",
    "169.254.169.254",
    "10.0.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "::ffff:127.0.0.1",
    "::ffff:0.0.0.0",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::1",
    "fe80::1",
    "fd00::1",
    "ff02::1",
    "2001:0:4136:e378:8000:63bf:80ff:fffe",
    "64:ff9b:1::7f00:1",
    "2606:4700::5efe:7f00:1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "198.18.0.1",
]
HOSTS = {"loopback": "127.0.0.1", "public": "93.184.216.34"}


def written(host, port=7000):
    """An address as a client may write it: `Address` would unmap it."""
    return Address(host, port)


def dual(host=HOST, **options):
    """A client of a server with both families, allocated."""
    listeners = [Listener(UDP, Address(host, 3478)), Listener(UDP, Address("2606:4700::53", 3478))]
    serving = TurnServing(listeners, **options)
    user = serving.client()
    user.allocate((ADDITIONAL_ADDRESS_FAMILY, 2))
    return serving, user


class TestWhereARelayMayLead:
    """CVE-2018-4058, CVE-2020-26262 (GHSA-6g6j-r9rf-cm7p), CVE-2026-27624 (GHSA-j8mm-mpf8-gvjg); Slack's relay of 2017."""

    @pytest.mark.req("RFC8656-073", "RFC8656-096")
    @pytest.mark.parametrize("own", HOSTS.values(), ids=HOSTS)
    @pytest.mark.parametrize("host", PROBED)
    def test_none_of_twenty_five_special_purpose_peers_gets_a_permission_or_a_channel(self, host, own):
        _, user = dual(own)
        assert user.permit(written(host)) == 403
        assert user.bind(0x4000, written(host)) == 403
        assert sent_to_peers(user.indicate(written(host), b"GET /latest/meta-data/"), user.relays[0]) == []
        assert sent_to_peers(user.send(encode_channel_data(0x4000, b"x")), user.relays[0]) == []

    def test_there_are_twenty_five(self):
        assert len(set(PROBED)) == 25

    def test_one_forbidden_peer_among_allowed_ones_forbids_all(self):
        _, user = dual()
        assert user.permit(PEER, written("169.254.169.254")) == 403
        assert sent_to_peers(user.indicate(PEER, b"x"), user.relays[0]) == []

    @pytest.mark.req("RFC8656-118")
    @pytest.mark.parametrize("host", ["2001:0:4136:e378:8000:63bf:3fff:fdd2", "2002:808:808::1"])
    def test_tunnelled_clients_get_no_allocation_and_tunnelled_peers_no_channel(self, host):
        serving, user = dual(peer_policy=PeerPolicy(allow=["2001::/32", "2002::/16"]))
        assert user.bind(0x4000, written(host)) == 403
        assert user.permit(written(host)) == 403
        tunnelled = serving.client(Address(host, 1234), socket=OF[UDP])
        assert tunnelled.code(Method.ALLOCATE, UDP_RELAY) == 403

    @pytest.mark.parametrize("host", [*PROBED[:2], "169.254.169.254", "10.0.0.1"])
    def test_a_connect_leads_nowhere_either(self, host):
        serving = TurnServing(policy={"tcp_relay": True})
        user = serving.stream()
        assert user.code(Method.ALLOCATE, TCP_RELAY) == 0
        before = len(serving.opened)
        assert user.code(CONNECT, (XOR_PEER_ADDRESS, Address(host, 80))) == 403
        assert len(serving.opened) == before

    def test_ports_cannot_be_scanned_by_connects_unless_that_was_asked_for(self):
        user = TurnServing().stream()
        assert user.code(Method.ALLOCATE, TCP_RELAY) == 442


class TestLoops:
    """coturn#584: a relay whose peer is the relay."""

    @pytest.mark.parametrize("transport", [UDP, TCP], ids=lambda one: one.value)
    @pytest.mark.parametrize("policy", [PeerPolicy(), PeerPolicy(allow=[HOST])], ids=["default", "opened"])
    def test_no_listener_is_a_peer(self, policy, transport):
        serving = TurnServing(peer_policy=policy, policy={"tcp_relay": True})
        user = serving.client() if transport is UDP else serving.stream()
        if transport is UDP:
            user.allocate()
            user.permit(Address(HOST, 1))
            assert user.bind(0x4000, Address(HOST, 3478)) == 403
            request = encode(Method.ALLOCATE, MessageClass.REQUEST, bytes(12), [UDP_RELAY])
            assert sent_to_peers(user.indicate(Address(HOST, 3478), request), user.relays[0]) == []
        else:
            assert user.code(Method.ALLOCATE, TCP_RELAY) == 0
            assert user.code(CONNECT, (XOR_PEER_ADDRESS, Address(HOST, 3478))) == 403

    def test_an_allocation_is_no_peer_of_its_own(self):
        serving = TurnServing()
        user = serving.client()
        user.allocate()
        (own,) = user.relayed
        user.permit(own)
        sent = sent_to_peers(user.indicate(own, b"round"), user.relays[0])
        # Whoever sends to himself hears himself once: what a relayed address receives ends at its client.
        assert sent == [(own, b"round")]
        assert len(user.hear(own, b"round")) == 1


class TestPadding:
    """CVE-2020-4067 (GHSA-c8r8-8vp5-6gcm): what was in the memory before went out as padding."""

    @given(st.lists(st.binary(max_size=9), min_size=1, max_size=8))
    def test_padding_is_zeros_whatever_was_sent_before(self, payloads):
        serving = TurnServing()
        user = serving.stream()
        user.allocate()
        user.permit(PEER)
        answers = []
        for payload in payloads:
            answers += user.hear(PEER, b"\xff" * 9 + payload)
        for answer in answers:
            assert decode_untrusted(answer).get(DATA).startswith(b"\xff" * 9)
            assert padding_of(answer) == bytes(len(padding_of(answer)))
        assert user.bind(0x4000, PEER) == 0
        for payload in payloads:
            (frame,) = user.hear(PEER, b"\xff" + payload)
            assert frame[4:] == b"\xff" + payload + bytes(-len(b"\xff" + payload) % 4)

    def test_so_it_is_in_answers_to_strangers_and_to_users(self):
        serving = TurnServing(authentication=long_term(userhash=True))
        stranger = serving.client(STRANGER)
        challenge = encode(Method.ALLOCATE, MessageClass.REQUEST, bytes(12), [UDP_RELAY])
        (answer,) = stranger.answers(stranger.send(challenge))
        assert padding_of(answer) == bytes(len(padding_of(answer))) != b""


def padding_of(message):
    """Every padding byte of a message."""
    found, at = b"", 20
    while at < len(message):
        length = int.from_bytes(message[at + 2 : at + 4], "big")
        found += message[at + 4 + length : at + 4 + length + -length % 4]
        at += 4 + length + -length % 4
    return found


class TestWhatCanBeGuessed:
    """CVE-2025-69217: nonces and relay ports from a generator that can be foretold."""

    def test_ports_and_nonces_are_what_entropy_makes_of_them_and_nothing_else(self):
        def seen(seed):
            drawn = iter(range(seed, 10**9))

            def entropy(size):
                words = (next(drawn) * 0x9E3779B97F4A7C15 % 2**64 for _ in range(-(-size // 8)))
                return b"".join(word.to_bytes(8, "big") for word in words)[:size]

            serving = TurnServing(entropy=entropy, authentication=long_term(entropy=entropy))
            users = [serving.client(CLIENT._replace(port=2000 + number)) for number in range(4)]
            for user in users:
                user.allocate()
            return [user.relayed for user in users], [user.nonce for user in users]

        assert seen(1) == seen(1)
        (ports, nonces), (other_ports, other_nonces) = seen(1), seen(2)
        assert all(one != other for one, other in zip(ports + nonces, other_ports + other_nonces, strict=True))

    def test_who_knows_one_relayed_address_does_not_know_the_next(self):
        serving = TurnServing()
        ports = []
        for number in range(100):
            user = serving.client(CLIENT._replace(port=2000 + number))
            user.allocate()
            ports.append(user.relayed[0].port)
        steps = [after - before for before, after in pairwise(ports)]
        assert len(set(steps)) > 90
        assert max(ports) - min(ports) > 8192

    def test_a_nonce_of_another_client_another_listener_or_another_transport_is_stale(self):
        serving = TurnServing()
        user = serving.client()
        user.allocate()
        for thief in (serving.client(STRANGER), serving.client(socket=OF[DTLS]), serving.stream()):
            thief.nonce = user.nonce
            assert code_of(thief.answer(thief.request(Method.ALLOCATE, UDP_RELAY))) == 438

    def test_a_nonce_is_good_for_minutes_and_a_changed_one_never(self):
        serving = TurnServing()
        user = serving.client()
        user.allocate()
        old = user.nonce
        user.nonce = old[:-1] + ("A" if old[-1] != "A" else "B")
        assert code_of(user.answer(user.request(Method.REFRESH))) == 438
        serving.at(START + 599)
        user.nonce = old
        assert code_of(user.answer(user.request(Method.REFRESH))) == 0
        serving.at(START + 601)
        assert code_of(user.answer(user.request(Method.REFRESH))) == 438


class TestParsers:
    """CVE-2026-40613 (a misaligned read), CVE-2026-43994 (a token that was longer than its buffer)."""

    @given(st.binary(max_size=120))
    def test_no_datagram_and_no_stream_makes_the_server_raise(self, data):
        serving = TurnServing(policy={"tcp_relay": True, "mobility": True})
        user = serving.client()
        user.allocate()
        user.send(data)
        user.send(data[:2] + len(data).to_bytes(2, "big") + data)
        serving.feed(user.relays[0], (PEER, data))
        serving.client(STRANGER).send(data)
        serving.stream(STRANGER).send(data)

    @pytest.mark.parametrize("offset", [1, 2, 3])
    def test_a_message_is_read_wherever_it_begins_in_a_stream(self, offset):
        serving = TurnServing()
        user = serving.stream()
        request = encode(Method.ALLOCATE, MessageClass.REQUEST, bytes(12), [UDP_RELAY])
        assert user.send(request[:offset]) == []
        assert code_of(user.answer(request[offset:])) == 401

    @pytest.mark.parametrize("length", [0, 1, 2, 3, 255, 1000, 1400])
    def test_a_token_of_any_length_is_answered_with_401(self, length):
        keys = [TokenKey("north", b"n" * 32)]
        serving = TurnServing(authentication=ThirdPartyServerAuthentication(server_name=REALM_TEXT, keys=keys))
        user = serving.client()
        for token in (bytes(length), b"\xff" * length):
            assert user.code(Method.ALLOCATE, UDP_RELAY, (ACCESS_TOKEN, token)) == 401


class TestMobility:
    """GHSA-f6hc-79w3-p8pq (a move went round the quota), GHSA-hpq3-g7x4-h7xx (moves exhausted the memory)."""

    def test_a_move_is_not_another_allocation_and_does_not_free_a_place_for_one(self):
        serving = TurnServing(policy={"mobility": True}, limits=TurnLimits(allocations_per_user=1))
        user = serving.client()
        ticket = user.allocate((MOBILITY_TICKET, b"")).get(MOBILITY_TICKET)
        moved = serving.client(CLIENT._replace(port=9999))
        assert moved.code(Method.REFRESH, (MOBILITY_TICKET, ticket)) == 0
        assert len(serving.server.allocations(now=serving.now)) == 1
        other = serving.client(CLIENT._replace(port=7777))
        assert other.code(Method.ALLOCATE, UDP_RELAY) == 486

    def test_a_storm_of_moves_leaves_one_allocation_and_one_move_under_way(self):
        serving = TurnServing(policy={"mobility": True})
        user = serving.client()
        ticket = user.allocate((MOBILITY_TICKET, b"")).get(MOBILITY_TICKET)
        for port in range(3000, 3200):
            mover = serving.client(CLIENT._replace(port=port))
            answer = mover.ask(Method.REFRESH, (MOBILITY_TICKET, ticket))
            ticket = answer.get(MOBILITY_TICKET) or ticket
        assert len(serving.server.allocations(now=serving.now)) == 1
        data = serving.server._data
        assert sum(len(clients) for clients in data.arriving.values()) <= 1
        assert sum(len(clients) for clients in data.clients.values()) <= 2

    def test_a_forged_ticket_moves_nothing(self):
        serving = TurnServing(policy={"mobility": True})
        user = serving.client()
        ticket = user.allocate((MOBILITY_TICKET, b"")).get(MOBILITY_TICKET)
        thief = serving.client(STRANGER)
        for forged in (bytes(len(ticket)), ticket[:-1] + bytes((ticket[-1] ^ 1,)), ticket[:-1]):
            assert thief.code(Method.REFRESH, (MOBILITY_TICKET, forged)) == 400
        eve = serving.client(STRANGER, user="bob")
        assert eve.code(Method.REFRESH, (MOBILITY_TICKET, ticket)) == 441


class TestWhoIsLetIn:
    """coturn without a word about users serves everybody."""

    @pytest.mark.req("RFC8656-025")
    def test_a_server_without_credentials_does_not_exist_and_says_how_to_make_some(self):
        with pytest.raises(LocalProtocolError, match="make credentials, for example"):
            TurnServer(authentication=None)

    def test_an_unknown_user_a_wrong_password_and_an_empty_one_get_the_same_answer(self):
        serving = TurnServing()
        answers = []
        for name in ("alice", "nobody"):
            user = serving.client(user=name)
            user.nonce = user.answer(encode(Method.ALLOCATE, MessageClass.REQUEST, bytes(12), [UDP_RELAY])).get(NONCE)
            for password in ("", "guessed", "wonderlan"):
                key = long_term_key(name, REALM_TEXT, password or "x")
                listed = [UDP_RELAY, (USERNAME, name), (REALM, REALM_TEXT), (NONCE, user.nonce)]
                answers.append(user.answer(encode(Method.ALLOCATE, MessageClass.REQUEST, bytes(12), listed, key=key)).data)
        assert len(set(answers)) == 1
        assert code_of(decode_untrusted(answers[0])) == 401

    def test_they_cost_as_many_hmacs(self, monkeypatch):
        serving, count = TurnServing(), []
        verify = Message.verify
        monkeypatch.setattr(Message, "verify", lambda *args: count.append(1) or verify(*args))
        costs = []
        for name in ("alice", "nobody"):
            user = serving.client(user=name)
            request = user.request(Method.REFRESH)
            count.clear()
            user.send(request)
            costs.append(len(count))
        assert costs[0] == costs[1] == 1

    def test_what_is_compared_with_a_secret_is_compared_in_constant_time(self):
        # The one comparison of each kind, read in the source: `==` stops at the first difference.
        import inspect

        from sansice.stun import _message
        from sansice.stun._authentication import _nonce, _token_cipher
        from sansice.turn._server import _tickets

        for module in (_message, _nonce, _token_cipher, _tickets):
            assert "compare_digest(" in inspect.getsource(module)


class TestReflection:
    """Somebody else's address in the source of a request: what is sent there is little, and not often."""

    HEADERS = 28  # bytes of IPv4 and UDP

    @pytest.mark.parametrize("size", [20, 24, 28, 32, 36, 60, 100])
    def test_no_answer_to_a_stranger_is_more_than_twice_the_question_with_headers(self, size):
        attributes = [UDP_RELAY] if size >= 28 else []
        padding = size - 20 - 8 * len(attributes)
        if padding:
            attributes.append((SOFTWARE, "s" * (padding - 4)))
        for method in (Method.ALLOCATE, Method.REFRESH, PERMIT, BIND, CONNECT, Method.CONNECTION_BIND, Method.BINDING):
            serving = TurnServing()
            request = encode(method, MessageClass.REQUEST, bytes(12), attributes)
            assert len(request) == size
            answers = serving.client(STRANGER).answers(serving.client(STRANGER).send(request))
            for answer in answers:
                assert len(answer) + self.HEADERS <= 2 * (size + self.HEADERS)
            assert len(answers) <= 1

    def test_a_request_too_short_for_an_allocate_is_dropped_and_counted(self):
        serving = TurnServing()
        stranger = serving.client(STRANGER)
        for method in (Method.ALLOCATE, Method.REFRESH, PERMIT, BIND):
            assert stranger.send(encode(method, MessageClass.REQUEST, bytes(12))) == []
        assert serving.stats.dropped[DropReason.TOO_SHORT] == 4

    def test_strangers_are_limited_by_default_and_a_prefix_gets_no_more_for_being_many(self):
        serving = TurnServing(policy={"stun": StunServerConfig()})
        request = encode(Method.ALLOCATE, MessageClass.REQUEST, bytes(12), [UDP_RELAY])
        batch = [(Address(f"192.0.2.{number % 256}", 1024 + number), request) for number in range(5000)]
        sent = serving.feed(OF[UDP], *batch)
        assert 0 < len(sent) <= 200
        assert serving.stats.dropped[DropReason.RATE_LIMITED] >= 4800

    def test_software_is_told_to_nobody(self):
        serving = TurnServing()
        user = serving.client()
        assert SOFTWARE not in user.allocate()
        challenge = user.answer(encode(Method.ALLOCATE, MessageClass.REQUEST, bytes(12), [UDP_RELAY]))
        assert SOFTWARE not in challenge and not challenge.get(ERROR_CODE).reason


class TestLabels:
    """coturn#780: a metric for each user name, of which anybody can make up any number."""

    def test_no_counter_is_named_by_a_user_or_a_peer(self):
        serving = TurnServing()
        for number in range(50):
            serving.client(CLIENT._replace(port=3000 + number), user=f"user{number}").code(Method.ALLOCATE, UDP_RELAY)
        assert all(isinstance(reason, DropReason) for reason in serving.stats.dropped)
        assert all(isinstance(code, int) for code in serving.stats.stun.errors)
