"""Third-party authorization, both halves against each other (RFC 7635)."""

import math

import attrs
import pytest
from hypothesis import given, strategies as st

from sansice.machine import Address, DropReason, LocalProtocolError, SocketId
from sansice.stun import (
    ACCESS_TOKEN,
    ERROR_CODE,
    LIFETIME,
    MESSAGE_INTEGRITY,
    NONCE,
    PASSWORD_ALGORITHMS,
    PENDING,
    REALM,
    THIRD_PARTY_AUTHORIZATION,
    UNKNOWN_ATTRIBUTES,
    USERNAME,
    AccessToken,
    Authenticated,
    Awaiting,
    ClientAuthentication,
    ErrorCode,
    Ignored,
    IntegrityAlgorithm,
    IntegrityKey,
    LongTermCredentials,
    MessageClass,
    Method,
    Rejected,
    ServerAuthentication,
    StaticUsers,
    StunTransaction,
    ThirdPartyServerAuthentication,
    TokenAlgorithm,
    TokenContents,
    TokenKey,
    TransactionSucceeded,
    TransactionTimedOut,
    UserKeys,
    Verdict,
    decode_untrusted,
    encode,
    encode_token,
)
from sansice.stun._message import Message

CLIENT = Address("198.51.100.7", 40000)
SERVER = Address("203.0.113.1", 3478)
AT = "udp 203.0.113.1:3478"
TID = bytes(range(12))
NAME = "turn1@example.com"
UNIX = 1_400_000_000.0
NORTH = TokenKey("north", b"n" * 32)
SOUTH = TokenKey("south", b"s" * 16, TokenAlgorithm.A128GCM)
MAC_KEY = b"m" * 20
SHA1, SHA256 = IntegrityAlgorithm.SHA1, IntegrityAlgorithm.SHA256


def make(**options):
    return ThirdPartyServerAuthentication(**{"server_name": NAME, "keys": [NORTH, SOUTH], "realm": "example.com", **options})


def both_kinds(**options):
    return make(lookup_key=StaticUsers({"user": "pass"}, "example.com"), **options)


def token(*, made=UNIX, lifetime=3600, key=NORTH, name=NAME, mac_key=MAC_KEY):
    return encode_token(TokenContents(mac_key, made, lifetime), key, name, nonce=b"n" * 12)


def credentials(first_party=None, key=NORTH, **options):
    return AccessToken(key.kid, token(key=key, **options), MAC_KEY, first_party)


def ask(server, message, source=CLIENT, *, now=0.0, unix=UNIX, at=AT, **options):
    return server.authenticate(message, source, now=now, unix=unix, at=at, **options)


def bare(method=Method.ALLOCATE):
    return decode_untrusted(encode(method, MessageClass.REQUEST, TID))


def signed(server, *extra, key=MAC_KEY, method=Method.ALLOCATE, algorithm=SHA1, kid="north", without=(), nonce=None):
    if nonce is None:
        nonce = dict(ask(server, bare()).attributes)[NONCE]
    common = [(USERNAME, kid), (REALM, "example.com"), (NONCE, nonce)]
    listed = [*extra, *((attribute, value) for attribute, value in common if attribute not in without)]
    return decode_untrusted(encode(method, MessageClass.REQUEST, TID, listed, key=IntegrityKey(key), algorithm=algorithm))


def with_token(server, shown=None, **options):
    return signed(server, (ACCESS_TOKEN, token() if shown is None else shown), **options)


def code(result):
    return result.code if type(result) is Rejected else type(result)


@pytest.mark.req("RFC7635-001")
@pytest.mark.parametrize("server", [make(), both_kinds()])
def test_who_shows_nothing_is_told_the_servers_name_a_realm_and_a_nonce(server):
    result = ask(server, bare())
    attributes = dict(result.attributes)
    assert (result.code, result.drop) == (401, DropReason.MISSING_ATTRIBUTE)
    assert attributes[THIRD_PARTY_AUTHORIZATION] == NAME
    assert attributes[REALM] == "example.com"
    assert set(attributes) == {THIRD_PARTY_AUTHORIZATION, REALM, NONCE, PASSWORD_ALGORITHMS}


def test_the_realm_is_the_servers_name_unless_told_otherwise():
    assert make(realm=None).realm == NAME


@pytest.mark.req("RFC7635-002")
@pytest.mark.parametrize("algorithm", [SHA1, SHA256])
def test_a_token_lets_in_whoever_has_its_session_key(algorithm):
    server = make()
    result = ask(server, with_token(server, algorithm=algorithm))
    assert (result.username, result.key.secret, result.algorithm) == (NAME, MAC_KEY, algorithm)
    assert (result.session.timestamp, result.session.lifetime) == (UNIX, 3600)


def test_the_key_is_found_by_its_name():
    server = make()
    assert ask(server, with_token(server, token(key=SOUTH), kid="south")).session.username == "south"
    assert ask(server, with_token(server, token(key=SOUTH), kid="north")).drop is DropReason.BAD_TOKEN


def test_a_session_counts_for_itself_and_not_for_everybody_with_that_key():
    server = make()
    one, again, other = (
        ask(server, with_token(server, token(mac_key=key, made=made), key=key))
        for key, made in ((MAC_KEY, UNIX), (MAC_KEY, UNIX + 1), (b"o" * 20, UNIX))
    )
    assert one.session.account == again.session.account != other.session.account
    assert one.session.account.startswith("north ")


FORGED = {
    "of an unknown key": lambda server: with_token(server, kid="nobody"),
    "for another server": lambda server: with_token(server, token(name="turn2@example.com")),
    "cut short": lambda server: with_token(server, token()[:-1]),
    "empty": lambda server: with_token(server, b""),
    "made with another key": lambda server: with_token(server, token(key=TokenKey("north", b"x" * 32))),
    "without the session key": lambda server: with_token(server, key=b"x" * 20),
    "that was forged with an empty session key": lambda server: with_token(server, b"\0\0", key=b""),
}


@pytest.mark.req("RFC7635-006", "RFC7635-007")
@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_a_token_that_is_not_right_is_answered_like_no_token_at_all(forge):
    server = make()
    result, expected = ask(server, forge(server)), ask(server, bare())
    assert (result.code, result.reason, result.attributes) == (expected.code, expected.reason, expected.attributes)
    assert result.drop in (DropReason.BAD_TOKEN, DropReason.BAD_INTEGRITY)


def test_every_wrong_token_costs_the_same_hmacs_and_one_decryption(monkeypatch):
    server, count = make(), []
    monkeypatch.setattr(Message, "verify", lambda *_: count.append("hmac"))
    for message in [forge(server) for forge in FORGED.values()]:
        count.clear()
        ask(server, message)
        assert count == ["hmac"]


@pytest.mark.req("RFC7635-007")
@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (0.0, Authenticated),
        (104.9, Authenticated),
        (105.0, 401),
        (1000.0, 401),
        (-104.9, Authenticated),  # the authorization server's clock is ahead
        (-105.0, 401),
        (math.inf, 401),  # nobody has told this server what time it is
    ],
)
def test_a_token_is_good_for_its_lifetime_and_five_seconds(age, expected):
    server = make()
    message = with_token(server, token(lifetime=100))
    assert code(ask(server, message, unix=UNIX + age)) == expected


def test_a_long_term_key_that_has_expired_opens_nothing():
    server = make(keys=[attrs.evolve(NORTH, expires=UNIX + 10)])
    message = with_token(server)
    assert code(ask(server, message, unix=UNIX + 9.9)) is Authenticated
    assert ask(server, message, unix=UNIX + 10).drop is DropReason.BAD_TOKEN


@pytest.mark.parametrize("missing", [USERNAME, REALM, NONCE])
def test_a_token_without_what_the_long_term_mechanism_needs_is_a_bad_request(missing):
    server = make()
    assert ask(server, with_token(server, without=(missing,))).code == 400
    session = ask(server, with_token(server)).session
    lacking = signed(server, method=Method.REFRESH, without=(missing,))
    assert ask(server, lacking, session=session).code == 400


def test_a_token_without_integrity_proves_nothing():
    server = make()
    nonce = dict(ask(server, bare()).attributes)[NONCE]
    attributes = [(ACCESS_TOKEN, token()), (USERNAME, "north"), (REALM, "example.com"), (NONCE, nonce)]
    assert ask(server, decode_untrusted(encode(Method.ALLOCATE, MessageClass.REQUEST, TID, attributes))).code == 401


@pytest.mark.parametrize("shows", [True, False])
def test_a_nonce_of_another_client_or_place_is_stale_and_told_last(shows):
    server = make()
    session = ask(server, with_token(server)).session
    message = with_token(server) if shows else signed(server, method=Method.CREATE_PERMISSION)
    for source, at in ((Address("198.51.100.8", 40000), AT), (CLIENT, "tcp 203.0.113.1:3478")):
        result = ask(server, message, source, at=at, session=session)
        assert (result.code, result.drop) == (438, DropReason.STALE_NONCE)
        assert dict(result.attributes)[THIRD_PARTY_AUTHORIZATION] == NAME


@pytest.mark.req("RFC7635-011")
def test_later_requests_are_judged_by_the_session_of_the_token():
    server = make()
    session = ask(server, with_token(server)).session
    message = signed(server, method=Method.CREATE_PERMISSION)
    result = ask(server, message, session=session)
    assert (result.username, result.key.secret, result.session) == (NAME, MAC_KEY, session)
    assert ask(server, message).code == 401
    wrong = ask(server, signed(server, method=Method.CREATE_PERMISSION, key=b"x" * 20), session=session)
    assert (wrong.code, wrong.drop) == (401, DropReason.BAD_INTEGRITY)


@pytest.mark.req("RFC7635-003")
def test_who_has_a_password_and_no_token_gets_in_where_there_are_passwords():
    server = both_kinds()
    client = ClientAuthentication(LongTermCredentials("user", "pass"))
    assert talk(server, client).asked == [401, "user"]
    session = ask(server, with_token(server)).session
    assert talk(server, client, session=session).asked == ["user"]
    assert talk(make(), ClientAuthentication(LongTermCredentials("user", "pass"))).asked == [401, 401]


def test_an_indication_has_no_place_in_it():
    server = make()
    assert ask(server, decode_untrusted(encode(Method.BINDING, MessageClass.INDICATION, TID))) == Ignored(DropReason.BAD_CLASS)


def test_a_user_name_that_cannot_be_read_belongs_to_no_session():
    server = both_kinds()
    session = ask(server, with_token(server)).session
    message = signed(server, method=Method.REFRESH)
    broken = bytearray(message.data)
    place = broken.index(b"north")
    broken[place : place + 5] = b"\xff" * 5
    assert ask(server, decode_untrusted(bytes(broken)), session=session).code == 400


def test_keys_of_users_may_come_later():
    server = make(lookup_key=lambda *_: PENDING)
    client = ClientAuthentication(LongTermCredentials("user", "pass"))
    challenge = dict(ask(server, bare()).attributes)
    event = failure(401, challenge)
    assert client.handle_response(event, client.protect()) is Verdict.RETRY
    protection = client.protect()
    request = encode(
        Method.ALLOCATE, MessageClass.REQUEST, TID, protection.attributes, key=protection.key, algorithm=protection.algorithm
    )
    assert ask(server, decode_untrusted(request)) == Awaiting("user", "example.com")
    found = UserKeys.of_password("user", "pass", "example.com")
    assert type(ask(server, decode_untrusted(request), found=found)) is Authenticated


@pytest.mark.req("RFC7635-009")
def test_a_token_that_nobody_asked_for_is_an_unknown_attribute():
    server = ServerAuthentication(realm="example.com", lookup_key=StaticUsers({"user": "pass"}, "example.com"))
    for message in (
        with_token(server),
        decode_untrusted(encode(Method.ALLOCATE, MessageClass.REQUEST, TID, [(ACCESS_TOKEN, b"t")])),
    ):
        result = ask(server, message)
        assert (result.code, result.attributes) == (420, ((UNKNOWN_ATTRIBUTES, (ACCESS_TOKEN.code,)),))
    indication = decode_untrusted(encode(Method.BINDING, MessageClass.INDICATION, TID, [(ACCESS_TOKEN, b"t")]))
    assert ask(server, indication) == Ignored(DropReason.UNKNOWN_ATTRIBUTE)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"keys": []}, "one or more keys"),
        ({"keys": [NORTH, attrs.evolve(NORTH, key=b"o" * 32)]}, "names of their own"),
        ({"server_name": "", "realm": "example.com"}, "needs a name"),
        ({"server_name": "n" * 800}, r"."),
        ({"realm": "\0"}, "not allowed"),
    ],
)
def test_a_server_that_could_never_let_anybody_in_is_refused(options, match):
    with pytest.raises((ValueError, LocalProtocolError), match=match):
        make(**options)


def test_another_one_can_be_made_with_its_settings():
    server = both_kinds(delta=1.0, nonce_lifetime=60.0, nonce_keys=[b"k" * 16])
    again = ThirdPartyServerAuthentication(lookup_key=server.lookup_key, **server.settings)
    assert again.settings == server.settings
    assert type(ask(again, with_token(server))) is Authenticated


@pytest.mark.parametrize("size", [15, 16, 17, 20])
@pytest.mark.parametrize("short_keys", [False, True])
def test_a_session_key_of_which_only_the_beginning_is_used_counts_only_where_it_is_said_to(size, short_keys):
    server = make(short_keys=short_keys)
    result = ask(server, with_token(server, key=MAC_KEY[:size]))
    if size == 20 or (size == 16 and short_keys):
        assert result.key.secret == MAC_KEY[:size]  # answers are made with it, too
    else:
        assert (result.code, result.drop) == (401, DropReason.BAD_INTEGRITY)


def test_short_keys_are_among_the_settings():
    server = make(short_keys=True)
    assert server.settings["short_keys"] is True
    again = ThirdPartyServerAuthentication(lookup_key=server.lookup_key, **server.settings)
    assert type(ask(again, with_token(server, key=MAC_KEY[:16]))) is Rejected  # of another server's nonces
    assert type(ask(again, with_token(again, key=MAC_KEY[:16]))) is Authenticated


# ------------------------------------------------------------- the client's half


class Talk:
    """Requests of a client until it has its answer."""

    def __init__(self, server, client, *, now=0.0, session=None, method=Method.ALLOCATE, wire=lambda response: response):
        self.asked, self.seen = [], []
        self.event = None
        self.session = session
        for _ in range(6):
            protection = client.protect(method)
            data = encode(
                method, MessageClass.REQUEST, TID, protection.attributes, key=protection.key, algorithm=protection.algorithm
            )
            one = StunTransaction.of_encoded(
                data,
                TID,
                SocketId(1),
                SERVER,
                method=method,
                key=protection.key,
                algorithm=protection.algorithm,
                long_term=client.long_term,
            )
            one.start(now=now)
            message = decode_untrusted(data)
            self.seen.append(message)
            result = ask(server, message, now=now, unix=UNIX + now, session=self.session)
            self.asked.append(result.code if type(result) is Rejected else result.username)
            if type(result) is Authenticated:
                self.session = result.session
                answer = encode(method, MessageClass.SUCCESS, TID, [(LIFETIME, 600)], key=result.key, algorithm=result.algorithm)
            else:
                attributes = [(ERROR_CODE, ErrorCode(result.code, result.reason)), *result.attributes]
                answer = encode(method, MessageClass.ERROR, TID, attributes)
            one.handle_response(decode_untrusted(wire(answer)), now=now)
            while not one.done:
                one.handle_timer(now=one.deadline())
            self.event = one.take_outputs()[-1]
            if type(self.event) is TransactionTimedOut:
                return
            if client.handle_response(self.event, protection) is Verdict.FINAL:
                return
        raise AssertionError("it asks for ever")


def talk(server, client, **options):
    return Talk(server, client, **options)


def failure(code, attributes):
    listed = [(ERROR_CODE, ErrorCode(code, "")), *attributes.items()]
    one = StunTransaction.of_encoded(
        encode(Method.ALLOCATE, MessageClass.REQUEST, TID), TID, SocketId(1), SERVER, method=Method.ALLOCATE, long_term=True
    )
    one.start(now=0.0)
    one.handle_response(decode_untrusted(encode(Method.ALLOCATE, MessageClass.ERROR, TID, listed)), now=0.0)
    return one.take_outputs()[-1]


@pytest.mark.req("RFC7635-001", "RFC7635-002", "RFC7635-003", "RFC7635-008")
@pytest.mark.parametrize("server", [make(), both_kinds()])
def test_a_client_with_both_shows_its_token_and_no_password(server):
    conversation = talk(server, ClientAuthentication(credentials(LongTermCredentials("user", "pass"))))
    assert conversation.asked == [401, NAME]
    assert type(conversation.event) is TransactionSucceeded
    first, second = conversation.seen
    assert not first.has_integrity and ACCESS_TOKEN not in first
    assert second.get(ACCESS_TOKEN) == token()
    assert second.get(USERNAME) == "north"
    assert second.verify(IntegrityKey(MAC_KEY)) and second.integrity is SHA1
    assert conversation.event.response.verify(IntegrityKey(MAC_KEY))
    assert MESSAGE_INTEGRITY in conversation.event.response


@pytest.mark.req("RFC7635-003")
def test_a_client_with_both_falls_back_to_its_password_where_no_token_is_asked_for():
    server = ServerAuthentication(realm="example.com", lookup_key=StaticUsers({"user": "pass"}, "example.com"))
    conversation = talk(server, ClientAuthentication(credentials(LongTermCredentials("user", "pass"))))
    assert conversation.asked == [401, "user"]
    assert all(ACCESS_TOKEN not in message for message in conversation.seen)


def test_a_client_with_a_token_alone_says_so_where_none_is_asked_for():
    server = ServerAuthentication(realm="example.com", lookup_key=StaticUsers({"user": "pass"}, "example.com"))
    client = ClientAuthentication(credentials())
    assert talk(server, client).asked == [401]
    assert client.problem == "the server asks for a user name and a password, and takes no access tokens"


@pytest.mark.req("RFC7635-010")
def test_a_response_with_another_integrity_is_as_good_as_none():
    def tamper(answer):
        return answer[:-1] + bytes((answer[-1] ^ 1,)) if answer[1] & 0x10 == 0 and answer[0] & 1 else answer

    conversation = talk(make(), ClientAuthentication(credentials()), wire=tamper)
    assert conversation.asked == [401, NAME]
    assert type(conversation.event) is TransactionTimedOut


@pytest.mark.req("RFC7635-011")
def test_only_allocate_and_refresh_show_the_token():
    server, client = make(), ClientAuthentication(credentials())
    session = talk(server, client).session
    shown = {}
    for method in (Method.REFRESH, Method.CREATE_PERMISSION, Method.CHANNEL_BIND, Method.CONNECT, Method.CONNECTION_BIND):
        conversation = talk(server, client, method=method, session=session)
        assert conversation.asked == [NAME]
        shown[method] = ACCESS_TOKEN in conversation.seen[0]
    assert [method for method, has in shown.items() if has] == [Method.REFRESH]
    assert client.protect_indication().key is None


def test_a_stale_nonce_is_renewed_with_and_without_the_token():
    server, client = make(nonce_lifetime=60.0), ClientAuthentication(credentials())
    session = talk(server, client).session
    assert talk(server, client, now=100.0).asked == [438, NAME]
    assert talk(server, client, now=200.0, method=Method.CHANNEL_BIND, session=session).asked == [438, NAME]


def test_a_token_that_has_expired_is_told_in_words():
    client = ClientAuthentication(credentials(lifetime=10))
    assert talk(make(), client, now=100.0).asked == [401, 401]
    assert client.problem == "the server refuses the access token: it may have expired"


def test_a_new_token_takes_the_place_of_the_old_one_without_another_challenge():
    server, client = make(), ClientAuthentication(credentials(lifetime=10))
    talk(server, client)
    renewed = AccessToken("south", token(key=SOUTH, made=UNIX + 100, mac_key=b"2" * 20), b"2" * 20)
    client.renew(renewed)
    conversation = talk(server, client, now=100.0, method=Method.REFRESH)
    assert conversation.asked == [NAME]
    assert talk(server, client, now=100.0, method=Method.CHANNEL_BIND, session=conversation.session).asked == [NAME]


def test_a_token_may_be_renewed_before_it_was_ever_shown():
    client = ClientAuthentication(credentials(lifetime=10))
    client.renew(credentials())
    assert talk(make(), client, now=100.0).asked == [401, NAME]


def test_a_challenge_to_an_old_token_is_answered_with_the_new_one():
    server, client = make(), ClientAuthentication(credentials(lifetime=10))
    talk(server, client)
    old = client.protect(Method.REFRESH)
    client.renew(credentials(made=UNIX + 100))
    challenge = dict(ask(server, bare(), now=100.0, unix=UNIX + 100).attributes)
    assert client.handle_response(failure(401, challenge), old) is Verdict.RETRY
    assert talk(server, client, now=100.0).asked == [NAME]


@pytest.mark.req("RFC7635-003")
def test_a_stale_nonce_is_no_reason_to_show_a_password_instead():
    server, client = make(), ClientAuthentication(credentials(LongTermCredentials("user", "pass")))
    talk(server, client)
    challenge = dict(ask(server, bare()).attributes)
    del challenge[THIRD_PARTY_AUTHORIZATION]
    assert client.handle_response(failure(438, challenge), client.protect(Method.REFRESH)) is Verdict.RETRY
    assert dict(client.protect(Method.REFRESH).attributes)[ACCESS_TOKEN] == token()


def test_the_password_is_renewed_with_the_token():
    server = ServerAuthentication(realm="example.com", lookup_key=StaticUsers({"user": "pass"}, "example.com"))
    client = ClientAuthentication(credentials(LongTermCredentials("former", "pass")))
    client.renew(credentials(LongTermCredentials("user", "pass")))
    assert talk(server, client).asked == [401, "user"]


def test_only_a_token_can_be_renewed():
    with pytest.raises(LocalProtocolError, match="no access token"):
        ClientAuthentication(LongTermCredentials("user", "pass")).renew(credentials())


@given(st.binary(max_size=100))
def test_no_token_makes_the_server_raise(shown):
    server = make()
    assert ask(server, with_token(server, shown)).code == 401


def test_without_integrity_nothing_else_is_looked_at():
    server = make()
    session = ask(server, with_token(server)).session
    for attributes in ([(ACCESS_TOKEN, token())], [(USERNAME, "north")]):
        message = decode_untrusted(encode(Method.ALLOCATE, MessageClass.REQUEST, TID, attributes))
        assert (ask(server, message).code, ask(server, message, session=session).code) == (401, 401)
