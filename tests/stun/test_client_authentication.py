import pytest
from hypothesis import given, strategies as st

from sansice.machine import Address, SocketId
from sansice.stun import (
    ERROR_CODE,
    MAX_CHALLENGES,
    NONCE,
    PASSWORD_ALGORITHM,
    PASSWORD_ALGORITHMS,
    PASSWORD_MD5,
    PASSWORD_SHA256,
    REALM,
    USERHASH,
    USERNAME,
    XOR_MAPPED_ADDRESS,
    Attribute,
    Authenticated,
    ClientAuthentication,
    ErrorCode,
    FailureCause,
    IntegrityAlgorithm,
    LongTermCredentials,
    MessageClass,
    Method,
    PasswordAlgorithm,
    Rejected,
    ServerAuthentication,
    ShortTermCredentials,
    ShortTermServerAuthentication,
    StaticUsers,
    StunTransaction,
    TransactionFailed,
    TransactionSucceeded,
    TransactionTimedOut,
    Verdict,
    decode_untrusted,
    encode,
    long_term_key,
    shapes,
    short_term_key,
    strongest_supported,
    userhash,
)

TID = bytes(range(12))
SOCKET = SocketId(1)
SERVER = Address("192.0.2.1", 3478)
CLIENT = Address("198.51.100.7", 40000)
REALM_TEXT = "example.org"
SHA1, SHA256, BOTH = IntegrityAlgorithm
FINAL, RETRY = Verdict
LIST = (PASSWORD_SHA256, PASSWORD_MD5)
NONE, ALGORITHMS, ANONYMITY, ALL = ("obMatJos2" + bits for bits in ("AAAA", "gAAA", "QAAA", "wAAA"))
OLD = "f//499k954d6OL34oL9FSTvy64sA"  # a nonce as before RFC 8489


def long_term(username="user", password="pass", **options):
    return ClientAuthentication(LongTermCredentials(username, password), **options)


def failed(code, *attributes, authenticated=False, cause=FailureCause.ERROR_RESPONSE, **options):
    data = encode(Method.BINDING, MessageClass.ERROR, TID, [(ERROR_CODE, ErrorCode(code)), *attributes], **options)
    return TransactionFailed(TID, code, "", cause, (), decode_untrusted(data), authenticated)


def succeeded(*attributes, **options):
    data = encode(Method.BINDING, MessageClass.SUCCESS, TID, [(XOR_MAPPED_ADDRESS, CLIENT), *attributes], **options)
    return TransactionSucceeded(TID, decode_untrusted(data), 0.1, CLIENT)


def challenge(nonce=ALGORITHMS, *, code=401, realm=REALM_TEXT, listed=LIST, extra=()):
    values = [(REALM, realm), (NONCE, nonce), (PASSWORD_ALGORITHMS, listed)]
    return failed(code, *(one for one in values if one[1] is not None), *extra)


def challenged(nonce=ALGORITHMS, client=None, **options):
    """A client whose first request was challenged."""
    client = client or long_term()
    assert client.handle_response(challenge(nonce, **options), client.protect()) is RETRY
    return client


def respond(client, event):
    return client.handle_response(event, client.protect())


def values(protection):
    return dict(protection.attributes)


def signs_with(protection, key):
    return protection.key.sha256(b"") == key.sha256(b"")


def raw(attribute, value):
    return Attribute(attribute.code, "RAW", shapes.OPAQUE), value


# ------------------------------------------------------------------- without credentials, and short-term ones


def test_without_credentials_requests_are_bare_and_every_answer_is_final():
    client = ClientAuthentication()
    for event in (succeeded(), challenge(), failed(500)):
        assert respond(client, event) is FINAL
        assert client.protect().attributes == ()
        assert client.protect().key is None
    assert client.protect_indication().key is None
    assert not client.long_term


@pytest.mark.req("RFC8489-074")
@pytest.mark.parametrize(("known", "used"), [(None, BOTH), (SHA1, SHA1), (SHA256, SHA256)])
def test_a_short_term_request_carries_both_attributes_unless_one_is_known_to_do(known, used):
    client = ClientAuthentication(ShortTermCredentials("user", "pass", known))
    protection = client.protect()
    assert protection.attributes == ((USERNAME, "user"),)
    assert protection.algorithm is used
    assert signs_with(protection, short_term_key("pass"))
    assert client.protect_indication() == protection
    assert not client.long_term
    data = encode(Method.BINDING, MessageClass.REQUEST, TID, protection.attributes, key=protection.key, algorithm=used)
    assert decode_untrusted(data).integrity is used


@pytest.mark.req("RFC8489-082")
@pytest.mark.parametrize("make", [succeeded, lambda **options: failed(487, authenticated=True, **options)])
@pytest.mark.parametrize(("answered", "learned"), [(SHA1, SHA1), (SHA256, SHA256), (BOTH, SHA256)])
def test_later_short_term_requests_use_what_the_first_response_used(make, answered, learned):
    client = ClientAuthentication(ShortTermCredentials("user", "pass"))
    key = client.protect().key
    assert respond(client, make(key=key, algorithm=answered)) is FINAL
    assert client.protect().algorithm is learned
    assert (client.protect().attributes, client.protect().key) == (((USERNAME, "user"),), key)
    other = SHA1 if learned is SHA256 else SHA256
    respond(client, make(key=key, algorithm=other))
    assert client.protect().algorithm is learned


def test_nothing_is_learned_from_what_is_not_authentic():
    client = ClientAuthentication(ShortTermCredentials("user", "pass"))
    for event in (failed(401), TransactionFailed(TID, None, "lost", FailureCause.CLOSED)):
        assert respond(client, event) is FINAL
        assert client.protect().algorithm is BOTH


# ------------------------------------------------------------------- the first challenge


@pytest.mark.req("RFC8489-087")
def test_the_first_long_term_request_is_bare():
    client = long_term()
    assert client.protect().attributes == ()
    assert client.protect().key is None
    assert client.long_term


@pytest.mark.req("RFC8489-083")
def test_indications_are_never_protected_by_long_term_credentials():
    for client in (long_term(), challenged()):
        assert client.protect_indication().attributes == ()
        assert client.protect_indication().key is None


@pytest.mark.req("RFC8489-102")
@pytest.mark.parametrize(
    ("nonce", "name"),
    [
        (OLD, (USERNAME, "user")),
        (NONE, (USERNAME, "user")),
        (ALGORITHMS, (USERNAME, "user")),
        (ANONYMITY, (USERHASH, userhash("user", REALM_TEXT))),
        (ALL + "more", (USERHASH, userhash("user", REALM_TEXT))),
    ],
)
def test_the_retry_has_realm_and_nonce_and_the_name_or_where_the_server_can_its_hash(nonce, name):
    protection = challenged(nonce).protect()
    assert protection.attributes == (
        name,
        (NONCE, nonce),
        (REALM, REALM_TEXT),
        (PASSWORD_ALGORITHMS, LIST),
        (PASSWORD_ALGORITHM, PASSWORD_SHA256),
    )


@pytest.mark.req("RFC8489-103", "RFC8489-109")
@pytest.mark.parametrize(
    ("listed", "chosen"),
    [
        ((PASSWORD_SHA256, PASSWORD_MD5), PASSWORD_SHA256),
        ((PASSWORD_MD5, PASSWORD_SHA256), PASSWORD_MD5),
        ((PasswordAlgorithm(0x7777, b"salty"), PASSWORD_MD5), PASSWORD_MD5),
    ],
)
def test_the_list_is_echoed_and_its_first_supported_algorithm_used_with_sha256(listed, chosen):
    protection = challenged(listed=listed).protect()
    assert values(protection)[PASSWORD_ALGORITHMS] == listed
    assert values(protection)[PASSWORD_ALGORITHM] == chosen
    assert signs_with(protection, long_term_key("user", REALM_TEXT, "pass", sha256=chosen == PASSWORD_SHA256))
    assert protection.algorithm is SHA256


def test_turn_chooses_otherwise():
    client = challenged(client=long_term(choose=strongest_supported), listed=(PASSWORD_MD5, PASSWORD_SHA256))
    assert values(client.protect())[PASSWORD_ALGORITHM] == PASSWORD_SHA256


@pytest.mark.req("RFC8489-103")
@pytest.mark.parametrize("listed", [(PasswordAlgorithm(0x7777),), (), (PasswordAlgorithm(2, b"salt"),)])
def test_without_an_algorithm_that_is_supported_there_is_no_retry(listed):
    client = long_term()
    assert respond(client, challenge(listed=listed)) is FINAL
    assert client.protect().key is None
    assert "none of its password algorithms" in client.problem


@pytest.mark.parametrize("nonce", [OLD, NONE])
def test_a_server_that_lists_no_algorithms_gets_md5_and_sha1(nonce):
    protection = challenged(nonce, listed=None).protect()
    assert protection.attributes == ((USERNAME, "user"), (NONCE, nonce), (REALM, REALM_TEXT))
    assert protection.algorithm is SHA1
    assert signs_with(protection, long_term_key("user", REALM_TEXT, "pass"))


@pytest.mark.parametrize("cookie", ["obMatJos2AAAB", "obMatJos2AAAD"])
def test_a_server_that_counts_the_bits_of_its_nonce_from_the_other_end_is_served_by_its_list(cookie):
    protection = challenged(cookie).protect()
    assert values(protection)[USERNAME] == "user"
    assert values(protection)[PASSWORD_ALGORITHM] == PASSWORD_SHA256
    assert protection.algorithm is SHA256


@pytest.mark.req("RFC8489-101")
@pytest.mark.parametrize("code", [401, 438])
@pytest.mark.parametrize("nonce", [ALGORITHMS, ALL])
def test_algorithms_that_are_promised_and_withheld_end_it(code, nonce):
    for client in (long_term(), challenged()):
        before = client.protect()
        assert respond(client, challenge(nonce, code=code, listed=None)) is FINAL
        assert client.protect() is before
        assert "somebody removed them" in client.problem


@pytest.mark.req("RFC8489-109")
@pytest.mark.parametrize("code", [401, 438])
def test_who_removes_list_and_promise_later_does_not_bring_back_md5_and_sha1(code):
    client = challenged()
    assert respond(client, challenge(OLD, code=code, realm="example.net", listed=None)) is RETRY
    protection = client.protect()
    assert (values(protection)[PASSWORD_ALGORITHMS], values(protection)[PASSWORD_ALGORITHM]) == (LIST, PASSWORD_SHA256)
    assert protection.algorithm is SHA256


@pytest.mark.req("RFC8489-136")
def test_a_choice_of_the_servers_is_ignored():
    client = challenged(extra=[(PASSWORD_ALGORITHM, PASSWORD_MD5)])
    assert values(client.protect())[PASSWORD_ALGORITHM] == PASSWORD_SHA256


@pytest.mark.parametrize(
    ("event", "problem"),
    [
        (challenge(realm=None), "no realm or no nonce"),
        (challenge(nonce=None), "no realm or no nonce"),
        (challenge(realm=""), "no realm or no nonce"),
        (challenge(realm=None, code=438), "no realm or no nonce"),
        (failed(401, raw(REALM, b"\xff"), (NONCE, OLD)), "cannot be read: malformed attribute: REALM"),
        (failed(401, (REALM, "r"), raw(NONCE, b"\xff")), "cannot be read: malformed attribute: NONCE"),
        (
            failed(401, (REALM, "r"), (NONCE, OLD), raw(PASSWORD_ALGORITHMS, b"\0")),
            "cannot be read: malformed attribute: PASSWORD-ALGORITHMS",
        ),
        (failed(401, raw(REALM, b"r" * 600), (NONCE, OLD)), "cannot be answered: 600 characters"),
        (failed(401, (REALM, "r"), raw(NONCE, b"n" * 600)), "cannot be answered: 600 characters"),
        (challenge(realm="ex\tample"), "cannot be answered: U"),
    ],
)
def test_a_challenge_that_cannot_be_answered_ends_it(event, problem):
    client = long_term()
    assert respond(client, event) is FINAL
    assert client.protect().key is None
    assert problem in client.problem


# ------------------------------------------------------------------- later on


@pytest.mark.req("RFC8489-088")
def test_later_requests_carry_what_worked_without_being_challenged():
    client = challenged()
    protection = client.protect()
    for _ in range(3):
        assert respond(client, succeeded(key=protection.key, algorithm=SHA256)) is FINAL
        assert client.protect() is protection
    assert (protection.algorithm, values(protection)[NONCE], values(protection)[REALM]) == (SHA256, ALGORITHMS, REALM_TEXT)


@pytest.mark.parametrize("code", [300, 400, 403, 420, 500])
def test_other_errors_are_final_and_change_nothing(code):
    client = challenged()
    before = client.protect()
    assert respond(client, failed(code, (REALM, "other"), (NONCE, "other"))) is FINAL
    assert client.protect() is before


def test_what_ends_without_a_response_is_final():
    assert respond(challenged(), TransactionFailed(TID, None, "lost", FailureCause.CLOSED)) is FINAL


@pytest.mark.req("RFC8489-104")
def test_a_second_401_for_the_same_realm_is_final():
    client = challenged()
    assert respond(client, challenge(ALGORITHMS + "new")) is FINAL
    assert client.problem == "the server refuses the user name or the password"


@pytest.mark.req("RFC8489-104")
def test_a_401_for_another_realm_is_tried_once_with_that_realm():
    client = challenged()
    assert respond(client, challenge(realm="example.net")) is RETRY
    protection = client.protect()
    assert values(protection)[REALM] == "example.net"
    assert signs_with(protection, long_term_key("user", "example.net", "pass", sha256=True))
    assert respond(client, challenge(realm="example.net")) is FINAL


@pytest.mark.req("RFC8489-105")
@pytest.mark.parametrize("realm", [REALM_TEXT, "example.net", None])
def test_a_stale_nonce_is_replaced_by_the_new_one(realm):
    client = challenged(ALL)
    assert respond(client, challenge(ALL + "new", code=438, realm=realm)) is RETRY
    protection = client.protect()
    expected = realm or REALM_TEXT
    assert values(protection) == {
        USERHASH: userhash("user", expected),
        NONCE: ALL + "new",
        REALM: expected,
        PASSWORD_ALGORITHMS: LIST,
        PASSWORD_ALGORITHM: PASSWORD_SHA256,
    }
    assert protection.algorithm is SHA256
    assert signs_with(protection, long_term_key("user", expected, "pass", sha256=True))


def hostile(kind):
    """A server that never has enough."""
    number = 0
    while True:
        number += 1
        yield challenge(f"{ALGORITHMS}{number}", code=438) if kind == "stale" else challenge(realm=f"example{number}.org")


@pytest.mark.parametrize("kind", ["stale", "realms"])
def test_a_server_that_refuses_what_it_has_just_sent_is_not_asked_for_ever(kind):
    client = long_term()
    server = hostile(kind)
    for bare in (1, 0):  # the next request has its tries again
        assert [respond(client, next(server)) for _ in range(bare + MAX_CHALLENGES)] == [RETRY] * (bare + MAX_CHALLENGES)
        assert respond(client, next(server)) is FINAL
        assert client.problem == "the server refuses again and again what it has just sent"


def test_a_success_in_between_allows_as_many_tries_again():
    client = challenged()
    for number in range(5 * MAX_CHALLENGES):
        assert respond(client, challenge(f"{ALGORITHMS}{number}", code=438)) is RETRY
        assert respond(client, succeeded(key=client.protect().key, algorithm=SHA256)) is FINAL


def test_a_bare_success_in_between_does_not():
    client = long_term()
    server = hostile("stale")
    verdicts = []
    for _ in range(10):
        verdicts.append(respond(client, next(server)))
        client.handle_response(succeeded(), ClientAuthentication().protect())
    assert verdicts.count(FINAL) == 3


def test_requests_that_were_on_their_way_together_are_all_tried_again():
    client = long_term()
    bare = client.protect()
    assert [client.handle_response(challenge(f"{ALGORITHMS}{number}"), bare) for number in range(10)] == [RETRY] * 10
    first = client.protect()
    assert values(first)[NONCE] == f"{ALGORITHMS}0"
    stale = [challenge(f"{ALGORITHMS}x{number}", code=438) for number in range(10)]
    assert [client.handle_response(one, first) for one in stale] == [RETRY] * 10
    assert values(client.protect())[NONCE] == f"{ALGORITHMS}x0"


@given(
    st.lists(
        st.tuples(
            st.sampled_from([REALM, NONCE, PASSWORD_ALGORITHM, PASSWORD_ALGORITHMS]),
            st.binary(max_size=40) | st.sampled_from([b"r", OLD.encode(), ALL.encode(), b"\0\2\0\0", b"\0\1\0\1salt"]),
        ),
        max_size=5,
    ),
    st.sampled_from([401, 438]),
)
def test_whatever_a_challenge_holds_the_next_request_can_be_built(attributes, code):
    for client in (long_term(), challenged(ALL)):
        respond(client, failed(code, *(raw(*one) for one in attributes)))
        one = client.protect()
        encode(Method.BINDING, MessageClass.REQUEST, TID, one.attributes, key=one.key, algorithm=one.algorithm)


def test_protection_shows_no_secrets():
    assert repr(challenged().protect()) == (
        "Protection(algorithm=<IntegrityAlgorithm.SHA256: 'MESSAGE-INTEGRITY-SHA256'>, realm='example.org')"
    )


# ------------------------------------------------------------------- client and server together


class Exchange:
    """A client and a server that authenticate each other, through real messages; ``wire`` may alter what the server says."""

    def __init__(self, client, server, wire=lambda response: response):
        self.client, self.server, self.wire = client, server, wire
        self.asked = []  # what the server thought of each request
        self.now = 0.0

    def request(self):
        """Ask until the client has its final event."""
        for _ in range(10):
            protection = self.client.protect()
            request = encode(
                Method.BINDING,
                MessageClass.REQUEST,
                TID,
                protection.attributes,
                key=protection.key,
                algorithm=protection.algorithm,
            )
            one = StunTransaction.of_encoded(
                request,
                TID,
                SOCKET,
                SERVER,
                key=protection.key,
                algorithm=protection.algorithm,
                long_term=self.client.long_term,
            )
            one.start(now=self.now)
            one.take_outputs()
            result = self.server.authenticate(decode_untrusted(request), CLIENT, now=self.now, unix=self.now)
            self.asked.append(result.code if type(result) is Rejected else result.username)
            one.handle_response(self.wire(self.answer(result)), now=self.now)
            while not one.done:
                one.handle_timer(now=one.deadline())
            event = one.take_outputs()[-1]
            if type(event) is TransactionTimedOut or self.client.handle_response(event, protection) is FINAL:
                return event
        raise AssertionError("it asks for ever")

    @staticmethod
    def answer(result):
        if type(result) is Authenticated:
            mapped = [(XOR_MAPPED_ADDRESS, CLIENT)]
            data = encode(Method.BINDING, MessageClass.SUCCESS, TID, mapped, key=result.key, algorithm=result.algorithm)
        else:
            attributes = [(ERROR_CODE, ErrorCode(result.code, result.reason)), *result.attributes]
            data = encode(Method.BINDING, MessageClass.ERROR, TID, attributes)
        return decode_untrusted(data)


def exchange(password="pass", wire=lambda response: response, **options):
    users = StaticUsers({"user": "pass"}, REALM_TEXT)
    return Exchange(long_term(password=password), ServerAuthentication(realm=REALM_TEXT, lookup_key=users, **options), wire)


@pytest.mark.req("RFC8489-051", "RFC8489-088")
@pytest.mark.parametrize("userhash", [False, True])
@pytest.mark.parametrize("algorithms", [LIST, (PASSWORD_MD5, PASSWORD_SHA256), (PASSWORD_MD5,)])
def test_client_and_server_understand_each_other(userhash, algorithms):
    both = exchange(userhash=userhash, algorithms=algorithms)
    for _ in range(2):
        assert type(both.request()) is TransactionSucceeded
    assert both.asked == [401, "user", "user"]


def test_a_nonce_that_got_old_costs_one_more_request():
    both = exchange(nonce_lifetime=60.0)
    both.request()
    both.now = 1000.0
    assert type(both.request()) is TransactionSucceeded
    assert both.asked == [401, "user", 438, "user"]


def test_a_wrong_password_is_told_after_two_requests():
    both = exchange("wrong")
    assert both.request().code == 401
    assert both.asked == [401, 401]


def strip(*codes, cookie=None):
    """Someone on the way who takes attributes away, and alters the nonce's cookie."""

    def wire(response):
        kept = [(Attribute(code, "RAW", shapes.OPAQUE), value) for code, value in response.attributes() if code not in codes]
        if cookie is not None:
            kept = [(one, cookie + value[13:] if one.code == NONCE.code else value) for one, value in kept]
        return decode_untrusted(encode(response.method, response.message_class, response.transaction_id, kept))

    return wire


@pytest.mark.req("RFC8489-101")
def test_the_list_taken_away_is_noticed_by_the_client():
    both = exchange(wire=strip(PASSWORD_ALGORITHMS.code))
    assert both.request().code == 401
    assert both.asked == [401]


def test_list_and_promise_taken_away_are_noticed_by_the_server():
    both = exchange(wire=strip(PASSWORD_ALGORITHMS.code, cookie=OLD[:13].encode()))
    assert both.request().code == 438
    assert both.asked == [401, 438, 438, 438]


def test_a_short_term_exchange_settles_on_one_attribute():
    client = ClientAuthentication(ShortTermCredentials("user", "pass"))
    both = Exchange(client, ShortTermServerAuthentication(lookup_key=StaticUsers({"user": "pass"})))
    assert client.protect().algorithm is BOTH
    assert type(both.request()) is TransactionSucceeded
    assert client.protect().algorithm is SHA256
    assert type(both.request()) is TransactionSucceeded


# ------------------------------------------------------------------- published messages


@pytest.fixture
def vector(vectors):
    by_name = {one["name"]: bytes.fromhex(one["hex"]) for one in vectors["vectors"]}
    return by_name.__getitem__


NAME = "\u30de\u30c8\u30ea\u30c3\u30af\u30b9"


def test_the_long_term_request_of_rfc5769_is_what_the_client_sends(vector):
    client = challenged(OLD, long_term(NAME, "TheMatrIX"), listed=None)
    one = client.protect()
    tid = bytes.fromhex("78ad3433c6ad72c029da412e")
    data = encode(Method.BINDING, MessageClass.REQUEST, tid, one.attributes, key=one.key, algorithm=one.algorithm)
    assert data == vector("rfc5769-2.4-request-long-term")


def test_the_request_of_rfc8489_b1_is_what_the_client_sends_but_for_the_list_that_the_sample_lacks(vector):
    # The sample's nonce has its bits from the other end: AAAC is there what QAAA is here.
    nonce = "obMatJos2QAAAf//499k954d6OL34oL9FSTvy64sA"
    one = challenged(nonce, long_term(NAME, "TheMatrIX"), listed=(PASSWORD_SHA256,)).protect()
    sample = decode_untrusted(vector("rfc8489-B.1-corrected"))
    for attribute in (USERHASH, REALM, PASSWORD_ALGORITHM):
        assert values(one)[attribute] == sample.get(attribute)
    attributes = [
        (attribute, sample.get(NONCE) if attribute is NONCE else value)
        for attribute, value in one.attributes
        if attribute is not PASSWORD_ALGORITHMS
    ]
    again = encode(Method.BINDING, MessageClass.REQUEST, sample.transaction_id, attributes, key=one.key, algorithm=one.algorithm)
    assert again == sample.data


def test_the_short_term_responses_of_rfc5769_end_a_transaction(vector):
    client = ClientAuthentication(ShortTermCredentials("evtj:h6vY", "VOkJxbRl1RmTxUk/WvJxBt"))
    for name in ("rfc5769-2.2-response-ipv4", "rfc5769-2.3-response-ipv6"):
        response = decode_untrusted(vector(name))
        sent = client.protect()
        request = encode(
            Method.BINDING, MessageClass.REQUEST, response.transaction_id, sent.attributes, key=sent.key, algorithm=sent.algorithm
        )
        one = StunTransaction(request, SOCKET, SERVER, key=sent.key)
        one.start(now=0.0)
        assert one.handle_response(response, now=0.1)
        event = one.take_outputs()[-1]
        assert type(event) is TransactionSucceeded
        assert client.handle_response(event, sent) is FINAL
        assert client.protect().algorithm is SHA1
