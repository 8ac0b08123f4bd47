"""Allocations made with access tokens (RFC 7635 9)."""

import pytest

from _turn_serving import (
    CLIENT,
    OF,
    PEER,
    START,
    TCP_RELAY,
    UDP,
    UDP_RELAY,
    TurnServing,
    TurnUser,
    code_of,
    sent_to_peers,
)
from sansice.machine import Address
from sansice.stun import (
    ACCESS_TOKEN,
    CONNECTION_ID,
    LIFETIME,
    NONCE,
    REALM,
    THIRD_PARTY_AUTHORIZATION,
    UNKNOWN_ATTRIBUTES,
    USERNAME,
    XOR_PEER_ADDRESS,
    IntegrityKey,
    MessageClass,
    Method,
    StaticUsers,
    ThirdPartyServerAuthentication,
    TokenContents,
    TokenKey,
    decode_untrusted,
    encode,
    encode_token,
    long_term_key,
)
from sansice.turn import TurnLimits, TurnServerConfig, encode_channel_data

NAME = "turn.example.org"
NORTH, SOUTH = TokenKey("north", b"n" * 32), TokenKey("south", b"s" * 32)
UNIX = 1_400_000_000.0  # at START
REFRESH, PERMIT = Method.REFRESH, Method.CREATE_PERMISSION


class Bearer(TurnUser):
    """A client with a token, which it shows with the requests that may have it."""

    def __init__(self, serving, address=CLIENT, *, made=0.0, lifetime=10_000, key=NORTH, mac_key=b"m" * 20, shows=True):
        super().__init__(serving, OF[UDP], address, "")
        self.shows = shows
        self.renew(made=made, lifetime=lifetime, key=key, mac_key=mac_key)

    def renew(self, *, made, lifetime=10_000, key=NORTH, mac_key=b"m" * 20):
        self.token = encode_token(TokenContents(mac_key, UNIX + made, lifetime), key, NAME, nonce=b"n" * 12)
        self.kid = key.kid
        self.mac_key = mac_key

    def request(self, method, *attributes, id=None, **options):
        if self.nonce is None:
            bare = encode(Method.ALLOCATE, MessageClass.REQUEST, self.id(), [UDP_RELAY])
            self.nonce = self.answer(bare).get(NONCE)
        listed = [*attributes, (USERNAME, self.kid), (REALM, NAME), (NONCE, self.nonce)]
        if self.shows and method in (Method.ALLOCATE, REFRESH, Method.CONNECTION_BIND):
            listed.append((ACCESS_TOKEN, self.token))
        return encode(method, MessageClass.REQUEST, id or self.id(), listed, key=IntegrityKey(self.mac_key), **options)


def serve(**options):
    authentication = ThirdPartyServerAuthentication(server_name=NAME, keys=[NORTH, SOUTH])
    serving = TurnServing(authentication=authentication, **options)
    serving.server.handle_wall_clock(UNIX, now=START)
    return serving


@pytest.mark.req("RFC7635-001", "RFC7635-002", "RFC7635-008")
def test_whoever_has_a_token_gets_an_allocation_and_answers_are_protected_with_its_key():
    serving = serve()
    bearer = Bearer(serving)
    challenge = bearer.answer(encode(Method.ALLOCATE, MessageClass.REQUEST, bytes(12), [UDP_RELAY]))
    assert (code_of(challenge), challenge.get(THIRD_PARTY_AUTHORIZATION)) == (401, NAME)
    answer = bearer.allocate()
    assert answer.verify(IntegrityKey(b"m" * 20))


@pytest.mark.req("RFC7635-011")
def test_permissions_and_channels_need_no_token():
    serving = serve()
    bearer = Bearer(serving)
    bearer.allocate()
    assert bearer.permit(PEER) == 0
    assert bearer.bind(0x4000, PEER) == 0
    assert sent_to_peers(bearer.send(encode_channel_data(0x4000, b"hello")), bearer.relays[0]) == [(PEER, b"hello")]


def test_without_an_allocation_there_is_no_session_to_go_on_with():
    serving = serve()
    bearer = Bearer(serving)
    assert bearer.permit(PEER) == 401
    bearer.allocate()
    assert bearer.code(REFRESH, (LIFETIME, 0)) == 0
    assert bearer.permit(PEER) == 401


def test_the_session_is_of_one_5_tuple():
    serving = serve()
    bearer = Bearer(serving)
    bearer.allocate()
    other = Bearer(serving, CLIENT._replace(port=9))
    assert other.permit(PEER) == 401


@pytest.mark.req("RFC7635-012")
@pytest.mark.parametrize(
    ("asked", "left", "granted"), [(None, 100, 100), (3600, 100, 100), (3600, 1000, 1000), (None, 4000, 600)]
)
def test_nothing_is_granted_for_longer_than_the_token_lasts(asked, left, granted):
    serving = serve()
    bearer = Bearer(serving, lifetime=left)
    wish = [] if asked is None else [(LIFETIME, asked)]
    assert bearer.allocate(*wish).get(LIFETIME) == granted
    (info,) = serving.allocations()
    assert info.lifetime == granted
    serving.at(START + 40)
    bearer.nonce = None
    assert bearer.ask(REFRESH, *wish).get(LIFETIME) == min(granted, left - 40)


@pytest.mark.req("RFC7635-007", "RFC7635-012")
def test_an_allocation_ends_with_its_token_and_cannot_be_refreshed_with_it():
    serving = serve()
    bearer = Bearer(serving, lifetime=100)
    bearer.allocate()
    serving.at(START + 99)
    assert len(serving.allocations()) == 1
    serving.at(START + 100)
    assert len(serving.allocations()) == 0
    serving.at(START + 106)
    assert bearer.code(Method.ALLOCATE, UDP_RELAY) == 401


def test_the_next_token_goes_on_with_the_allocation_whichever_key_made_it():
    serving = serve()
    bearer = Bearer(serving, lifetime=100)
    bearer.allocate()
    bearer.permit(PEER)
    serving.at(START + 50)
    bearer.renew(made=50.0, lifetime=1000, key=SOUTH, mac_key=b"2" * 20)
    assert bearer.ask(REFRESH, (LIFETIME, 3600)).get(LIFETIME) == 1000
    assert bearer.permit(PEER) == 0
    serving.at(START + 300)
    assert len(serving.allocations()) == 1


def test_the_old_session_key_is_worth_nothing_after_the_next_token():
    serving = serve()
    bearer = Bearer(serving)
    bearer.allocate()
    old = bearer.mac_key
    bearer.renew(made=0.0, mac_key=b"2" * 20)
    assert bearer.code(REFRESH) == 0
    bearer.mac_key, bearer.shows = old, False
    assert bearer.permit(PEER) == 401


def test_a_refresh_without_a_token_is_good_while_the_session_is():
    serving = serve()
    bearer = Bearer(serving, lifetime=1000)
    bearer.allocate()
    bearer.shows = False
    serving.at(START + 500)
    assert bearer.ask(REFRESH).get(LIFETIME) == 500


def test_a_session_ends_with_its_token_however_often_it_is_refreshed_at_the_end():
    serving = serve()
    bearer = Bearer(serving, lifetime=100)
    bearer.allocate()
    bearer.shows = False
    for tenth in range(990, 1060):
        serving.at(START + tenth / 10)
        if bearer.code(REFRESH):
            break
    assert START + 104 < serving.now <= START + 105
    serving.at(START + 106)
    assert len(serving.allocations()) == 0


def test_each_token_has_a_quota_of_its_own():
    serving = serve(limits=TurnLimits(allocations_per_user=2))
    codes = []
    for number in range(6):
        bearer = Bearer(serving, Address("192.0.2.1", 3000 + number), mac_key=bytes((65 + number % 2,)) * 20)
        codes.append(bearer.code(Method.ALLOCATE, UDP_RELAY))
    assert codes == [0, 0, 0, 0, 486, 486]


@pytest.mark.req("RFC7635-009")
def test_a_token_is_unknown_where_nobody_asks_for_one():
    anonymous = TurnServing(authentication=None, policy={"anonymous": True})
    bare = encode(Method.ALLOCATE, MessageClass.REQUEST, bytes(12), [UDP_RELAY, (ACCESS_TOKEN, b"token")])
    for serving in (TurnServing(), anonymous):
        answer = serving.client().answer(bare)
        assert (code_of(answer), answer.get(UNKNOWN_ATTRIBUTES)) == (420, (ACCESS_TOKEN.code,))
    assert TurnServerConfig().anonymous is False


def test_a_password_goes_on_with_no_allocation_of_a_token():
    users = StaticUsers({"alice": "wonderland"}, "example.org")
    authentication = ThirdPartyServerAuthentication(server_name=NAME, keys=[NORTH], realm="example.org", lookup_key=users)
    serving = TurnServing(authentication=authentication)
    serving.server.handle_wall_clock(UNIX, now=START)
    alice = serving.client()
    assert alice.permit(PEER) == 437
    bearer = Bearer(serving)
    bearer.nonce = alice.nonce
    data = bearer.request(Method.ALLOCATE, UDP_RELAY)
    assert code_of(decode_untrusted(bearer.answers(bearer.send(data))[0])) == 0
    assert alice.permit(PEER) == 441


def test_a_connection_with_a_peer_is_bound_by_who_has_the_token_of_its_allocation_and_nobody_else():
    # All tokens have one user, and a CONNECTION-ID can be guessed by who may try often enough.
    users = StaticUsers({NAME: "password"}, NAME)
    authentication = ThirdPartyServerAuthentication(server_name=NAME, keys=[NORTH], lookup_key=users)
    serving = TurnServing(authentication=authentication, policy={"tcp_relay": True})
    serving.server.handle_wall_clock(UNIX, now=START)

    def at_a_stream(port, **options):
        stream = serving.stream(CLIENT._replace(port=port))
        bearer = Bearer(serving, stream.address, **options)
        bearer.socket, bearer.is_stream = stream.socket, True
        return bearer

    owner = at_a_stream(1)
    assert owner.code(Method.ALLOCATE, TCP_RELAY) == 0
    answers = owner.answers(owner.send(owner.request(Method.CONNECT, (XOR_PEER_ADDRESS, PEER))))
    id = (CONNECTION_ID, decode_untrusted(answers[0]).get(CONNECTION_ID))
    assert at_a_stream(2, mac_key=b"thief").code(Method.CONNECTION_BIND, id) == 400
    thief = at_a_stream(3, shows=False, mac_key=long_term_key(NAME, NAME, "password").secret)
    thief.kid = NAME
    assert thief.code(Method.CONNECTION_BIND, id) == 400
    renewed = at_a_stream(4, mac_key=b"renewed")
    assert renewed.code(Method.CONNECTION_BIND, id) == 400
    owner.renew(made=1.0, mac_key=b"renewed")
    assert owner.code(REFRESH) == 0
    assert renewed.code(Method.CONNECTION_BIND, id) == 0
