"""A STUN server under a parent machine that is a TURN server: frames, clients it vouches for, realms by listener."""

import pytest

from _stun_serving import CLIENT, CLIENT6, ID, LISTENERS, TCP, UDP_SOCKET, Serving, binding, closed, told
from sansice.machine import Address, CloseSocket, DropReason, LocalProtocolError, SocketError, SocketErrorKind, SocketId
from sansice.stun import (
    ERROR_CODE,
    LIFETIME,
    NONCE,
    PENDING,
    REALM,
    USERNAME,
    XOR_MAPPED_ADDRESS,
    Allowance,
    CredentialRequested,
    FrameReceived,
    IndicationReceived,
    ListenerFailed,
    MessageClass,
    Method,
    RequestReceived,
    ServerAuthentication,
    StaticUsers,
    StreamClosed,
    StunServer,
    StunServerConfig,
    TransactionId,
    UserKeys,
    decode_untrusted,
    encode,
    long_term_key,
)

GONE = SocketError(SocketErrorKind.RESET)
FRAME = b"\x40\x00\x00\x02hi\0\0"
SOCKET6 = SocketId(2)


def turn(**options):
    """A server as a TURN server has it."""
    return Serving(channel_data=True, methods=(Method.REFRESH, Method.SEND), **options)


def refresh(id=ID):
    return encode(Method.REFRESH, MessageClass.REQUEST, id)


def credentials(realm, **users):
    return ServerAuthentication(realm=realm, lookup_key=StaticUsers(users, realm))


class TestFrames:
    def test_channel_data_comes_out_between_the_messages_that_it_came_between(self):
        serving = turn()
        stream = serving.accept()
        send = encode(Method.SEND, MessageClass.INDICATION, ID)
        outputs = serving.write(stream, FRAME + refresh() + FRAME + send)
        assert [type(output) for output in outputs] == [FrameReceived, RequestReceived, FrameReceived, IndicationReceived]
        assert (outputs[0].path.remote, outputs[0].data) == (CLIENT, b"\x40\x00\x00\x02hi")

    def test_bytes_are_shown_in_hexadecimal(self):
        serving = turn()
        assert "data=400000026869" in repr(serving.write(serving.accept(), FRAME)[0])

    def test_a_server_for_itself_closes_a_stream_with_channel_data(self):
        serving = Serving()
        stream = serving.accept()
        assert closed(serving.write(stream, FRAME)) == [stream]

    def test_frames_are_not_counted_as_requests(self):
        serving = turn(policy={"rate": 1.0, "burst": 1})
        stream = serving.accept()
        assert sum(type(output) is FrameReceived for output in serving.write(stream, 50 * FRAME)) == 50

    @pytest.mark.parametrize("end", ["client", "system", "timeout"])
    def test_the_end_of_a_stream_is_told(self, end):
        serving = turn()
        stream = serving.accept()
        if end == "client":
            outputs = serving.write(stream, b"")
        elif end == "system":
            _, outputs = serving.call(serving.server.handle_socket_failed, stream, GONE)
        else:
            outputs = [output for _, output in serving.at(serving.now + 10)]
        (event,) = told(outputs)
        assert (type(event), event.path.socket) == (StreamClosed, stream)


class TestVouching:
    def test_a_client_that_is_known_costs_its_neighbours_nothing(self):
        serving = turn(policy={"rate": 1.0, "burst": 1})
        for _ in range(10):
            serving.server.handle_vouched_datagrams(UDP_SOCKET, [(CLIENT, binding())], now=serving.now)
        assert len(serving.take()) == 10
        assert len(serving.ask(binding())) == 1

    def test_it_needs_a_listener(self):
        serving = turn()
        serving.server.handle_vouched_datagrams(SocketId(99), [(CLIENT, binding())], now=serving.now)
        serving.call(serving.server.close)
        serving.server.handle_vouched_datagrams(UDP_SOCKET, [(CLIENT, binding())], now=serving.now)
        assert serving.take() == []
        assert serving.stats.dropped[DropReason.UNKNOWN_SOCKET] == 2

    def test_while_draining_nothing_is_served(self):
        serving = turn()
        serving.write(serving.accept(), refresh())
        serving.call(serving.server.drain)
        serving.server.handle_vouched_datagrams(UDP_SOCKET, [(CLIENT, binding())], now=serving.now)
        assert serving.take() == []
        assert serving.stats.dropped[DropReason.CLOSED] == 1

    def test_a_stream_that_is_vouched_for_may_be_idle_until_it_is_not(self):
        serving = turn()
        stream = serving.accept()
        serving.write(stream, binding())
        serving.call(serving.server.vouch_for_stream, stream, True)
        assert serving.at(serving.now + 10_000) == []
        serving.call(serving.server.vouch_for_stream, stream, False)
        assert [when for when, _ in serving.at(serving.now + 120)] == [serving.now] * 2

    def test_its_messages_still_have_to_be_finished(self):
        serving = turn()
        stream = serving.accept()
        serving.write(stream, binding())
        serving.call(serving.server.vouch_for_stream, stream, True)
        serving.write(stream, FRAME[:5])
        serving.call(serving.server.vouch_for_stream, stream, True)
        assert CloseSocket(stream) in [output for _, output in serving.at(serving.now + 10)]

    def test_it_has_a_rate_of_its_own(self):
        serving = turn(policy={"rate": 1.0, "burst": 1, "vouched_rate": 1.0, "vouched_burst": 5})
        stream = serving.accept()
        serving.call(serving.server.vouch_for_stream, stream, True)
        assert len(serving.write(stream, 10 * binding())) == 5
        assert len(serving.ask(binding())) == 1  # the prefix's own has not been touched

    def test_one_that_is_gone_is_passed_over(self):
        serving = turn()
        assert serving.call(serving.server.vouch_for_stream, SocketId(-7), True) == (None, [])

    def test_what_takes_too_long_by_itself_is_refused_by_name(self):
        with pytest.raises(ValueError, match="vouched_rate"):
            StunServerConfig(vouched_rate=0)
        with pytest.raises(ValueError, match="vouched_burst"):
            StunServerConfig(vouched_burst=0)


def test_an_allowance_is_a_bucket():
    allowance = Allowance()
    assert [allowance.take(10.0, 3, 100.0) for _ in range(5)] == [True, True, True, False, False]
    assert [allowance.take(10.0, 3, 100.1) for _ in range(2)] == [True, False]
    assert [allowance.take(10.0, 3, 200.0) for _ in range(4)] == [True, True, True, False]


class TestAnswers:
    def test_one_that_need_not_be_remembered_is_given_again_by_the_parent(self):
        serving = turn()
        (first,) = serving.ask(refresh())
        serving.call(serving.server.respond, first, [(LIFETIME, 5)], remember=False)
        (second,) = serving.ask(refresh())
        assert type(second) is RequestReceived

    def test_a_request_knows_where_it_arrived(self):
        (received,) = turn().ask(refresh())
        assert received.local == LISTENERS[0].address

    def test_whether_one_still_waits_can_be_asked(self):
        serving = turn()
        (received,) = serving.ask(refresh())
        assert serving.server.awaits(received)
        serving.at(serving.now + 5)
        assert not serving.server.awaits(received)


class TestRealms:
    NAMES = ("one.example", "two.example")

    @pytest.fixture
    def realms(self):
        return {listener: credentials(self.NAMES[number > 0], user=f"pass{number}") for number, listener in enumerate(LISTENERS)}

    def challenge(self, serving, source, socket):
        return serving.answer(refresh(), source, socket).get(REALM)

    def test_each_listener_has_its_own(self, realms):
        serving = turn(authentication=realms)
        assert self.challenge(serving, CLIENT, UDP_SOCKET) == "one.example"
        assert self.challenge(serving, CLIENT6, SOCKET6) == "two.example"
        assert serving.reply(serving.accept(), refresh()).get(REALM) == "two.example"

    def test_they_may_be_replaced_but_none_left_out(self, realms):
        serving = turn(authentication=realms)
        with pytest.raises(LocalProtocolError, match="says nothing about"):
            serving.server.replace_authentication({LISTENERS[0]: None}, now=serving.now)
        assert self.challenge(serving, CLIENT, UDP_SOCKET) == "one.example"
        serving.server.replace_authentication(credentials("three.example", user="x"), now=serving.now)
        assert self.challenge(serving, CLIENT, UDP_SOCKET) == "three.example"

    def test_nothing_is_listened_at_without_a_word_about_it(self, realms):
        server = StunServer(authentication={LISTENERS[0]: realms[LISTENERS[0]]})
        with pytest.raises(LocalProtocolError, match="says nothing about"):
            server.start(LISTENERS, now=0.0)
        server.start(LISTENERS[:1], now=0.0)

    def test_redirection_needs_credentials_at_each(self, realms):
        config = StunServerConfig(alternates=[Address("203.0.113.1", 3478)])
        StunServer(config=config, authentication=realms)
        for choice in ({}, {**realms, LISTENERS[0]: None}):
            with pytest.raises(LocalProtocolError, match="alternates"):
                StunServer(config=config, authentication=choice)

    def test_keys_that_come_after_the_listener_has_died_open_nothing(self):
        slow = ServerAuthentication(realm="one.example", lookup_key=lambda name, realm, unix: PENDING)
        serving = turn(authentication=slow)
        nonce = serving.answer(refresh()).get(NONCE)
        key = long_term_key("user", "one.example", "guess")
        given = [(USERNAME, "user"), (REALM, "one.example"), (NONCE, nonce)]
        (asked,) = serving.ask(encode(Method.REFRESH, MessageClass.REQUEST, TransactionId(bytes(12)), given, key=key))
        assert type(asked) is CredentialRequested
        _, outputs = serving.call(serving.server.handle_socket_failed, UDP_SOCKET, GONE)
        assert [type(output) for output in outputs] == [ListenerFailed]
        keys = UserKeys.of_password("user", "right", "one.example")
        _, outputs = serving.call(serving.server.provide_key, asked.id, keys)
        assert decode_untrusted(outputs[0].data).get(ERROR_CODE).code == 401


class TestOpenBinding:
    def test_binding_may_be_open_while_the_rest_is_not(self):
        serving = turn(authentication=credentials("one.example", user="x"), policy={"authenticate_binding": False})
        assert serving.answer(binding()).get(XOR_MAPPED_ADDRESS) == CLIENT
        assert serving.answer(refresh()).get(ERROR_CODE).code == 401
        assert serving.reply(serving.accept(CLIENT, TCP), binding()).get(XOR_MAPPED_ADDRESS) == CLIENT

    def test_by_default_it_is_not(self):
        serving = turn(authentication=credentials("one.example", user="x"))
        assert serving.answer(binding()).get(ERROR_CODE).code == 401
