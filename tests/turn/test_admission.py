"""What an unknown sender costs whomever he says he is: challenges are at most twice as large as what they answer.

The headers of IP and UDP are counted. The shortest Allocate request that there is, which libwebrtc sends, is always challenged.
"""

import pytest

from _turn_serving import CLIENT, DTLS, OF, UDP_RELAY, USERS, TurnServing, code_of
from sansice.machine import Address, DropReason, LocalProtocolError, SocketId
from sansice.stun import (
    LIFETIME,
    NONCE,
    PASSWORD_ALGORITHMS,
    PASSWORD_SHA256,
    REALM,
    SOFTWARE,
    USERNAME,
    MessageClass,
    Method,
    ServerAuthentication,
    StaticUsers,
    ThirdPartyServerAuthentication,
    TokenKey,
    TransactionId,
    encode,
    long_term_key,
    nonce_features,
)
from sansice.turn import TurnServer

ALLOCATE = Method.ALLOCATE
ID = TransactionId(bytes(12))
SHORTEST = encode(ALLOCATE, MessageClass.REQUEST, ID, [UDP_RELAY])
LONGEST_REALM = 36
"""Characters with which a plain challenge for the shortest request is as large as it may be."""


def serving(realm, **options):
    return TurnServing(authentication=ServerAuthentication(realm=realm, lookup_key=StaticUsers(USERS, realm), **options))


def factor(request, answers, headers=28):
    """How many times as large an answer is."""
    (answer,) = answers
    return (headers + len(answer)) / (headers + len(request))


@pytest.mark.parametrize("length", range(1, LONGEST_REALM + 1))
def test_the_shortest_allocate_request_is_answered_with_at_most_twice_its_size(length):
    user = serving(length * "r").client()
    answers = user.answers(user.send(SHORTEST))
    assert factor(SHORTEST, answers) <= 2
    answer = user.answer(SHORTEST)
    assert (code_of(answer), answer.get(REALM)) == (401, length * "r")


@pytest.mark.parametrize("attributes", [[], [(LIFETIME, 600)], [(SOFTWARE, "x" * 40)], [(SOFTWARE, "x" * 120)]])
@pytest.mark.parametrize("fingerprint", [False, True])
def test_no_other_is_answered_with_more(attributes, fingerprint):
    request = encode(ALLOCATE, MessageClass.REQUEST, ID, [UDP_RELAY, *attributes], fingerprint=fingerprint)
    user = serving("a.realm.of.thirty.characters.x").client()
    assert factor(request, user.answers(user.send(request))) <= 2


def test_a_challenge_is_whole_where_there_is_room_for_it():
    request = encode(ALLOCATE, MessageClass.REQUEST, ID, [UDP_RELAY, (SOFTWARE, "x" * 40)])
    answer = serving("turn.example.com").client().answer(request)
    assert PASSWORD_ALGORITHMS in answer
    assert nonce_features(answer.get(NONCE))


def test_and_where_nobody_can_forge_a_source():
    world = serving("turn.example.com")
    for user in (world.client(socket=OF[DTLS]), world.stream()):
        assert PASSWORD_ALGORITHMS in user.answer(SHORTEST)


def test_over_ipv6_there_is_more_room():
    user = serving("turn.example.com").client(Address("2001:db8:1::1", 5), socket=SocketId(2))
    assert PASSWORD_ALGORITHMS in user.answer(SHORTEST)


class TestPlainChallenges:
    """They have no cookie and no algorithms, like those of RFC 5389."""

    REALM = "turn.example.com"

    def allocate(self, user, nonce):
        key = long_term_key("alice", self.REALM, USERS["alice"])
        given = [(USERNAME, "alice"), (REALM, self.REALM), (NONCE, nonce)]
        return user.answer(encode(ALLOCATE, MessageClass.REQUEST, TransactionId(bytes(range(12))), [UDP_RELAY, *given], key=key))

    def test_whoever_is_told_so_little_can_do_with_it(self):
        user = serving(self.REALM).client()
        answer = user.answer(SHORTEST)
        assert PASSWORD_ALGORITHMS not in answer
        assert code_of(self.allocate(user, answer.get(NONCE))) == 0

    def test_their_nonces_are_bound_to_the_client_as_well(self):
        world = serving(self.REALM)
        nonce = world.client().answer(SHORTEST).get(NONCE)
        assert code_of(self.allocate(world.client(CLIENT._replace(port=9)), nonce)) == 438

    def test_they_expire_as_well(self):
        world = serving(self.REALM, nonce_lifetime=60.0)
        user = world.client()
        nonce = user.answer(SHORTEST).get(NONCE)
        world.at(world.now + 60)
        assert code_of(self.allocate(user, nonce)) == 438

    def test_they_are_of_no_use_where_md5_is_not_allowed(self):
        user = serving(self.REALM, algorithms=[PASSWORD_SHA256]).client()
        answer = user.answer(SHORTEST)
        assert PASSWORD_ALGORITHMS in answer


class TestTooLongNames:
    def test_a_realm_with_which_the_shortest_request_could_not_be_answered_is_refused_at_once(self):
        with pytest.raises(LocalProtocolError, match="realm"):
            serving((LONGEST_REALM + 1) * "r")

    def test_in_bytes(self):
        key = TokenKey("kid", bytes(32))
        with pytest.raises(LocalProtocolError, match="realm"):
            TurnServer(authentication=ThirdPartyServerAuthentication(server_name="turn.example-company.com", keys=[key]))
        TurnServer(authentication=ThirdPartyServerAuthentication(server_name="turn.example.com", keys=[key]))

    def test_so_is_one_that_comes_later(self):
        world = serving("short")
        long = ServerAuthentication(realm=40 * "r", lookup_key=StaticUsers(USERS, 40 * "r"))
        with pytest.raises(LocalProtocolError, match="realm"):
            world.server.replace_authentication(long, now=world.now)

    def test_without_md5_there_is_less_room(self):
        serving(16 * "r", algorithms=[PASSWORD_SHA256])
        with pytest.raises(LocalProtocolError, match="realm"):
            serving(17 * "r", algorithms=[PASSWORD_SHA256])


def test_what_is_too_short_for_an_allocate_request_is_not_answered_at_all():
    world = TurnServing()
    assert world.client().send(encode(Method.REFRESH, MessageClass.REQUEST, ID)) == []
    assert world.stats.dropped[DropReason.TOO_SHORT] == 1
