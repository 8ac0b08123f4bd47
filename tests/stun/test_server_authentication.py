import os

import pytest
from hypothesis import given, strategies as st

from sansice.machine import Address, DropReason
from sansice.simulation._contract._inspect import weigh
from sansice.stun import (
    ERROR_CODE,
    NONCE,
    PASSWORD_ALGORITHM,
    PASSWORD_ALGORITHMS,
    PASSWORD_MD5,
    PASSWORD_SHA256,
    PENDING,
    REALM,
    USERHASH,
    USERNAME,
    XOR_MAPPED_ADDRESS,
    Attribute,
    Authenticated,
    Awaiting,
    ErrorCode,
    Ignored,
    IntegrityAlgorithm,
    IntegrityKey,
    MessageClass,
    Method,
    NonceIssuer,
    NonceState,
    PasswordAlgorithm,
    Rejected,
    SecurityFeatures,
    ServerAuthentication,
    ShortTermServerAuthentication,
    StaticUsers,
    TimeLimitedSecrets,
    UserKeys,
    decode_untrusted,
    encode,
    long_term_key,
    nonce_features,
    shapes,
    short_term_key,
    userhash,
)

SERVER_REALM = "example.org"
CLIENT = Address("198.51.100.7", 40000)
OTHER = Address("198.51.100.7", 40001)
TID = bytes(range(12))
USERS = {"user": "pass", "other": "word"}
LIST = (PASSWORD_SHA256, PASSWORD_MD5)
SHA1, SHA256, BOTH = IntegrityAlgorithm
MD5_KEY = long_term_key("user", SERVER_REALM, "pass")
SHA256_KEY = long_term_key("user", SERVER_REALM, "pass", sha256=True)
NAME = "\u30de\u30c8\u30ea\u30c3\u30af\u30b9"
DAY = 86400.0


def long_term(users=USERS, **options):
    options.setdefault("lookup_key", StaticUsers(users, SERVER_REALM))
    return ServerAuthentication(realm=SERVER_REALM, **options)


def short_term(users=USERS, **options):
    options.setdefault("lookup_key", StaticUsers(users))
    return ShortTermServerAuthentication(**options)


def request(*attributes, key=None, algorithm=SHA256, kind=MessageClass.REQUEST, **options):
    return decode_untrusted(encode(Method.BINDING, kind, TID, attributes, key=key, algorithm=algorithm, **options))


def ask(server, message, source=CLIENT, *, now=0.0, unix=0.0, **options):
    return server.authenticate(message, source, now=now, unix=unix, **options)


def nonce_of(rejected):
    return dict(rejected.attributes)[NONCE]


def challenged(server, source=CLIENT, now=0.0):
    """The nonce of a challenge to a bare request."""
    return nonce_of(ask(server, request(), source, now=now))


def signed(nonce, *, name=(USERNAME, "user"), realm=SERVER_REALM, listed=LIST, chosen=PASSWORD_SHA256, **integrity):
    """An honest request, but for what is given; what is None is left out."""
    integrity = {"key": SHA256_KEY, "algorithm": SHA256, **integrity}
    values = [name, (NONCE, nonce), (REALM, realm), (PASSWORD_ALGORITHMS, listed), (PASSWORD_ALGORITHM, chosen)]
    return request(*(one for one in values if one is not None and one[1] is not None), **integrity)


def legacy(nonce, **options):
    """A request as before RFC 8489."""
    return signed(nonce, **{"listed": None, "chosen": None, "key": MD5_KEY, "algorithm": SHA1, **options})


def raw(code, value):
    """Any bytes as the value of an attribute."""
    return Attribute(code, "RAW", shapes.OPAQUE), value


def assert_challenge(result, code, drop):
    assert type(result) is Rejected
    assert (result.code, result.drop) == (code, drop)
    assert [attribute for attribute, _ in result.attributes] == [REALM, NONCE, PASSWORD_ALGORITHMS]
    assert dict(result.attributes)[REALM] == SERVER_REALM
    assert dict(result.attributes)[PASSWORD_ALGORITHMS] == LIST


def assert_bad_request(result, drop):
    assert result == Rejected(400, "Bad Request", (), drop)


# ------------------------------------------------------------------- the challenge


@pytest.mark.req("RFC8489-089", "RFC8489-092")
@pytest.mark.parametrize("attributes", [(), ((USERNAME, "user"), (REALM, SERVER_REALM), (NONCE, "any"))])
def test_a_request_without_integrity_is_told_realm_nonce_and_algorithms_and_nothing_else(attributes):
    assert_challenge(ask(long_term(), request(*attributes)), 401, DropReason.MISSING_ATTRIBUTE)


@pytest.mark.req("RFC8489-090")
def test_clients_are_given_different_nonces_at_the_same_time():
    server = long_term()
    assert challenged(server, CLIENT) != challenged(server, OTHER) != challenged(server, Address("198.51.100.8", 40000))


@pytest.mark.req("RFC8489-091", "RFC8489-084", "RFC8489-085")
@pytest.mark.parametrize("algorithms", [LIST, (PASSWORD_MD5,), (PASSWORD_SHA256,), (PASSWORD_MD5, PASSWORD_SHA256)])
@pytest.mark.parametrize(("userhash", "cookie"), [(False, "obMatJos2gAAA"), (True, "obMatJos2wAAA")])
def test_what_the_server_supports_stands_in_the_nonce(algorithms, userhash, cookie):
    rejected = ask(long_term(algorithms=algorithms, userhash=userhash), request())
    assert dict(rejected.attributes)[PASSWORD_ALGORITHMS] == algorithms
    assert nonce_of(rejected).startswith(cookie)
    features = nonce_features(nonce_of(rejected))
    assert SecurityFeatures.PASSWORD_ALGORITHMS in features
    assert (SecurityFeatures.USERNAME_ANONYMITY in features) is userhash


# ------------------------------------------------------------------- good requests


@pytest.mark.req("RFC8489-100")
@pytest.mark.parametrize(("chosen", "key"), [(PASSWORD_SHA256, SHA256_KEY), (PASSWORD_MD5, MD5_KEY)], ids=["SHA-256", "MD5"])
@pytest.mark.parametrize("algorithm", IntegrityAlgorithm)
def test_whoever_chose_an_algorithm_is_answered_with_sha256(chosen, key, algorithm):
    server = long_term()
    result = ask(server, signed(challenged(server), chosen=chosen, key=key, algorithm=algorithm))
    assert type(result) is Authenticated
    assert (result.username, result.algorithm) == ("user", SHA256)
    assert result.key.sha256(b"") == key.sha256(b"")


@pytest.mark.req("RFC8489-094", "RFC8489-100")
def test_a_client_of_before_rfc8489_is_taken_for_md5_and_answered_with_sha1():
    server = long_term()
    result = ask(server, legacy(challenged(server)))
    assert type(result) is Authenticated
    assert (result.username, result.algorithm) == ("user", SHA1)
    assert result.key.sha1(b"") == MD5_KEY.sha1(b"")
    assert_challenge(ask(server, legacy(challenged(server), key=SHA256_KEY)), 401, DropReason.BAD_INTEGRITY)


def test_a_server_without_md5_refuses_such_a_client():
    server = long_term(algorithms=(PASSWORD_SHA256,))
    assert ask(server, legacy(challenged(server))).code == 401
    assert type(ask(server, signed(challenged(server), listed=(PASSWORD_SHA256,)))) is Authenticated


def test_a_hidden_name_is_found_by_its_hash_and_told_to_the_application():
    server = long_term(userhash=True)
    hidden = (USERHASH, userhash("user", SERVER_REALM))
    result = ask(server, signed(challenged(server), name=hidden))
    assert (type(result), result.username) == (Authenticated, "user")
    assert type(ask(server, signed(challenged(server)))) is Authenticated
    unaware = long_term()
    assert_challenge(ask(unaware, signed(challenged(unaware), name=hidden)), 401, DropReason.BAD_USERNAME)


def test_of_name_and_hash_the_name_counts():
    server = long_term(userhash=True)
    values = [(USERNAME, "user"), (USERHASH, bytes(32)), (REALM, SERVER_REALM), (NONCE, challenged(server))]
    assert type(ask(server, request(*values, key=MD5_KEY, algorithm=SHA1))) is Authenticated


@pytest.mark.req("RFC8489-051")
@pytest.mark.parametrize("make", [signed, legacy])
def test_the_response_to_an_authenticated_request_is_protected_as_the_request_was(make):
    server = long_term()
    message = make(challenged(server))
    result = ask(server, message)
    response = decode_untrusted(
        encode(
            Method.BINDING, MessageClass.SUCCESS, TID, [(XOR_MAPPED_ADDRESS, CLIENT)], key=result.key, algorithm=result.algorithm
        )
    )
    assert response.integrity is message.integrity
    assert response.verify(SHA256_KEY if make is signed else MD5_KEY)


# ------------------------------------------------------------------- what is missing or malformed


@pytest.mark.req("RFC8489-093")
@pytest.mark.parametrize("missing", ["name", "realm", "nonce"])
@pytest.mark.parametrize("make", [signed, legacy])
def test_integrity_without_name_realm_or_nonce_is_a_bad_request(missing, make):
    server = long_term(userhash=True)
    options = {"nonce": challenged(server), missing: None}
    assert_bad_request(ask(server, make(**options)), DropReason.MISSING_ATTRIBUTE)


@pytest.mark.parametrize(
    ("bad", "good"),
    [
        (raw(USERNAME.code, b"us\xffer"), USERNAME),
        (raw(USERNAME.code, b"u" * 764), USERNAME),
        (raw(USERHASH.code, bytes(31)), USERNAME),
        (raw(REALM.code, b"\xc3"), REALM),
        (raw(NONCE.code, b"\xed\xa0\x80"), NONCE),
    ],
    ids=["name-utf8", "name-length", "hash-length", "realm-utf8", "nonce-utf8"],
)
def test_what_cannot_be_read_is_a_bad_request(bad, good):
    server = long_term(userhash=True)
    values = {USERNAME: (USERNAME, "user"), REALM: (REALM, SERVER_REALM), NONCE: (NONCE, challenged(server)), good: bad}
    assert_bad_request(ask(server, request(*values.values(), key=MD5_KEY, algorithm=SHA1)), DropReason.BAD_ATTRIBUTE)


def test_a_name_of_513_bytes_is_read_and_unknown():
    server = long_term()
    values = [raw(USERNAME.code, b"u" * 513), (REALM, SERVER_REALM), (NONCE, challenged(server))]
    assert_challenge(ask(server, request(*values, key=MD5_KEY, algorithm=SHA1)), 401, DropReason.BAD_USERNAME)


@pytest.mark.req("RFC8489-095")
@pytest.mark.parametrize(
    "altered",
    [
        {"listed": None},
        {"chosen": None},
        {"listed": (PASSWORD_MD5,), "chosen": PASSWORD_MD5, "key": MD5_KEY},
        {"listed": (PASSWORD_MD5, PASSWORD_SHA256)},
        {"listed": (*LIST, PasswordAlgorithm(0x7777))},
        {"listed": (PasswordAlgorithm(2, b"salt"), PASSWORD_MD5)},
        {"listed": ()},
        {"chosen": PasswordAlgorithm(0x7777)},
        {"chosen": PasswordAlgorithm(2, b"salt")},
    ],
)
def test_the_list_is_the_one_that_was_sent_and_the_choice_is_in_it(altered):
    server = long_term()
    assert_bad_request(ask(server, signed(challenged(server), **altered)), DropReason.BID_DOWN)


def test_a_choice_outside_a_shorter_list_is_refused():
    server = long_term(algorithms=(PASSWORD_SHA256,))
    message = signed(challenged(server), listed=(PASSWORD_SHA256,), chosen=PASSWORD_MD5, key=MD5_KEY)
    assert_bad_request(ask(server, message), DropReason.BID_DOWN)


@pytest.mark.req("RFC8489-083")
def test_indications_have_no_place_in_it():
    server = long_term()
    message = request((USERNAME, "user"), key=MD5_KEY, kind=MessageClass.INDICATION)
    assert ask(server, message) == Ignored(DropReason.BAD_CLASS)
    assert not server.covers_indications


# ------------------------------------------------------------------- wrong credentials


@pytest.mark.req("RFC8489-096")
@pytest.mark.parametrize("name", [(USERNAME, "nobody"), (USERHASH, bytes(32))])
@pytest.mark.parametrize("make", [signed, legacy])
def test_an_unknown_user_is_challenged_again(name, make):
    server = long_term(userhash=True)
    assert_challenge(ask(server, make(challenged(server), name=name)), 401, DropReason.BAD_USERNAME)


@pytest.mark.req("RFC8489-097")
@pytest.mark.parametrize("make", [signed, legacy])
@pytest.mark.parametrize(
    "key", [long_term_key("user", SERVER_REALM, "wrong"), long_term_key("user", "other.org", "pass", sha256=True)]
)
def test_a_wrong_password_is_challenged_again(make, key):
    server = long_term()
    assert_challenge(ask(server, make(challenged(server), key=key)), 401, DropReason.BAD_INTEGRITY)


@pytest.mark.req("RFC8489-077")
@pytest.mark.parametrize("make", [short_term, long_term])
def test_where_both_integrity_attributes_are_present_the_newer_one_decides(make):
    server = make()
    key = short_term_key("pass") if make is short_term else MD5_KEY
    values = [(USERNAME, "user")]
    if make is long_term:
        values += [(REALM, SERVER_REALM), (NONCE, challenged(server))]
    data = encode(Method.BINDING, MessageClass.REQUEST, TID, values, key=key, algorithm=BOTH)
    assert type(ask(server, decode_untrusted(data))) is Authenticated
    corrupt = data[:-1] + bytes((data[-1] ^ 1,))
    assert ask(server, decode_untrusted(corrupt)).code == 401


@pytest.mark.req("RFC8489-127")
@pytest.mark.parametrize("length", [16, 20, 28])
def test_a_truncated_integrity_attribute_is_refused_unless_the_usage_allows_it(length):
    server = short_term()
    key = short_term_key("pass")
    message = request((USERNAME, "user"), key=key, truncate_sha256=length)
    assert ask(server, message).code == 401
    assert message.verify(key, minimum_sha256=length)
    assert not message.verify(key, minimum_sha256=length + 4)
    assert type(ask(server, request((USERNAME, "user"), key=key))) is Authenticated


def answers(server, source=CLIENT):
    """What strangers get who give a wrong name, and a wrong password."""
    nonce = challenged(server, source)
    wrong = long_term_key("user", SERVER_REALM, "wrong", sha256=True)
    return [ask(server, signed(nonce, name=(USERNAME, name), key=wrong), source) for name in ("nobody", "user")]


def test_unknown_users_and_wrong_passwords_get_the_same_answer():
    unknown, wrong = answers(long_term())
    assert (unknown.code, unknown.reason, unknown.attributes) == (wrong.code, wrong.reason, wrong.attributes)


@pytest.fixture
def hmacs(monkeypatch):
    """The HMACs computed so far, by algorithm."""
    computed = []
    for name in ("sha1", "sha256"):
        real = getattr(IntegrityKey, name)
        monkeypatch.setattr(
            IntegrityKey, name, lambda key, data, real=real, name=name: (computed.append(name), real(key, data))[1]
        )
    return computed


SOURCES = {
    "static": (lambda: StaticUsers(USERS, SERVER_REALM), {}),
    "secrets": (lambda: TimeLimitedSecrets("north", "south", "east"), {}),
    "told": (lambda: StaticUsers(USERS, SERVER_REALM), {"keys_per_user": 2}),
}


@pytest.mark.parametrize(("source", "tries"), [("static", 1), ("secrets", 3), ("told", 2)])
@pytest.mark.parametrize("algorithm", [SHA1, SHA256])
def test_unknown_users_wrong_and_right_passwords_cost_as_many_hmacs(hmacs, source, tries, algorithm):
    make, options = SOURCES[source]
    lookup = make()
    server = long_term(lookup_key=lookup, **options)
    nonce = challenged(server)
    name, password = ("user", "pass") if source != "secrets" else TimeLimitedSecrets("south").issue("bob", lifetime=60, unix=0.0)
    right = long_term_key(name, SERVER_REALM, password, sha256=True)
    messages = [
        signed(nonce, name=(USERNAME, given), key=key, algorithm=algorithm)
        for given, key in [("nobody", right), ("1:expired", right), (name, MD5_KEY), (name, right)]
    ]
    costs = []
    for message in messages:
        hmacs.clear()
        ask(server, message, unix=2.0)
        costs.append(list(hmacs))
    one = "sha1" if algorithm is SHA1 else "sha256"
    # The tries; then a nonce is made for those who fail, and checked for the one who does not.
    assert costs == [[one] * tries + ["sha256"]] * 4


@pytest.mark.parametrize("make", [SHA1, SHA256])
def test_short_term_users_cost_the_same_whoever_they_are(hmacs, make):
    server = short_term()
    costs = []
    for name, password in [("nobody", "pass"), ("user", "wrong"), ("user", "pass")]:
        message = request((USERNAME, name), key=short_term_key(password), algorithm=make)
        hmacs.clear()
        ask(server, message)
        costs.append(list(hmacs))
    assert costs == [["sha1" if make is SHA1 else "sha256"]] * 3


def test_a_user_without_the_key_of_the_algorithm_is_tried_and_refused(hmacs):
    server = long_term(lookup_key=lambda *_: UserKeys("user", md5=MD5_KEY))
    message = signed(challenged(server))
    hmacs.clear()
    assert_challenge(ask(server, message), 401, DropReason.BAD_INTEGRITY)
    assert hmacs == ["sha256", "sha256"]


@pytest.mark.parametrize("position", [0, 1, 2])
def test_each_of_several_keys_is_good_and_all_are_tried(hmacs, position):
    passwords = ["old", "pass", "new"]
    keys = tuple(UserKeys.of_password("user", password, SERVER_REALM) for password in passwords)
    server = long_term(lookup_key=lambda *_: keys)
    message = signed(challenged(server), key=long_term_key("user", SERVER_REALM, passwords[position], sha256=True))
    hmacs.clear()
    result = ask(server, message)
    assert result.key is keys[position].sha256
    assert hmacs == ["sha256"] * 4


def test_credentials_of_either_secret_hold_until_they_expire():
    old, new = TimeLimitedSecrets("north"), TimeLimitedSecrets("south", "north")
    server = long_term(lookup_key=new)
    for issuer in (old, new):
        name, password = issuer.issue("bob", lifetime=60, unix=1000.0)
        key = long_term_key(name, SERVER_REALM, password, sha256=True)
        message = signed(challenged(server), name=(USERNAME, name), key=key)
        assert ask(server, message, unix=1059.0).username == "1060:bob"
        assert_challenge(ask(server, message, unix=1060.0), 401, DropReason.BAD_USERNAME)


# ------------------------------------------------------------------- nonces


@pytest.mark.req("RFC8489-098")
@pytest.mark.parametrize("make", [signed, legacy])
@pytest.mark.parametrize("later", [60.0, 119.0, 600.0, DAY])
def test_an_old_nonce_is_stale_and_a_new_one_comes_with_the_answer(make, later):
    server = long_term(nonce_lifetime=60.0)
    nonce = challenged(server)
    assert type(ask(server, make(nonce), now=59.9)) is Authenticated
    stale = ask(server, make(nonce), now=later)
    assert_challenge(stale, 438, DropReason.STALE_NONCE)
    assert type(ask(server, make(nonce_of(stale)), now=later)) is Authenticated


@pytest.mark.req("RFC8489-099")
@pytest.mark.parametrize("make", [signed, legacy])
def test_a_wrong_password_with_an_old_nonce_is_a_wrong_password(make):
    server = long_term(nonce_lifetime=60.0)
    nonce = challenged(server)
    wrong = long_term_key("user", SERVER_REALM, "wrong")
    assert_challenge(ask(server, make(nonce, key=wrong), now=DAY), 401, DropReason.BAD_INTEGRITY)
    assert_challenge(ask(server, make(nonce, name=(USERNAME, "nobody")), now=DAY), 401, DropReason.BAD_USERNAME)


@pytest.mark.req("RFC8489-090")
def test_another_clients_nonce_is_stale():
    server = long_term()
    assert_challenge(ask(server, signed(challenged(server, OTHER)), CLIENT), 438, DropReason.STALE_NONCE)


def test_a_nonce_whose_promises_were_taken_away_is_stale_so_that_nobody_is_talked_into_md5():
    server = long_term(userhash=True)
    nonce = challenged(server)
    for cookie in ("obMatJos2AAAA", "obMatJos2gAAA", "obMatJos2QAAA"):
        altered = cookie + nonce[len(cookie) :]
        assert_challenge(ask(server, legacy(altered)), 438, DropReason.STALE_NONCE)
    assert_challenge(ask(server, legacy("f//499k954d6OL34oL9FSTvy64sA")), 438, DropReason.STALE_NONCE)


@pytest.mark.parametrize("chosen", [PasswordAlgorithm(0x7777), PasswordAlgorithm(0), PasswordAlgorithm(2, b"salt")])
def test_an_unknown_algorithm_under_a_nonce_without_promises_fits_nobody(chosen):
    server = long_term()
    assert_challenge(ask(server, signed("plain", chosen=chosen)), 401, DropReason.BAD_INTEGRITY)


def test_a_list_without_a_choice_under_a_nonce_without_promises_means_md5():
    server = long_term()
    assert ask(server, signed("plain", chosen=None, key=MD5_KEY)).code == 438
    assert ask(server, signed("plain", chosen=None)).code == 401


def test_a_realm_that_changed_meanwhile_makes_other_keys():
    before = long_term()
    after = ServerAuthentication(realm="example.net", lookup_key=StaticUsers(USERS, "example.net"))
    result = ask(after, signed(challenged(before)))
    assert (result.code, dict(result.attributes)[REALM]) == (401, "example.net")


def test_a_flood_leaves_nothing_behind():
    server = long_term()
    forged, bare = signed(NonceIssuer().issue(CLIENT, now=0.0), name=(USERNAME, "nobody")), request()
    for now in (0.0, 600.0):  # so that there is a key of before, too
        ask(server, bare, now=now), ask(server, forged, now=now)
    before = weigh(server)
    for number in range(100_000):
        source = Address(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", number & 0xFFFF)
        ask(server, forged if number % 2 else bare, source, now=700 + number / 100)
    assert weigh(server) == before


# ------------------------------------------------------------------- keys that come later


def test_keys_that_are_not_at_hand_are_awaited_and_then_the_request_is_judged():
    asked = []
    server = long_term(lookup_key=lambda *what: asked.append(what) or PENDING, userhash=True)
    nonce = challenged(server)
    assert ask(server, signed(nonce), unix=5.0) == Awaiting("user", SERVER_REALM)
    hidden = userhash("user", SERVER_REALM)
    assert ask(server, signed(nonce, name=(USERHASH, hidden)), unix=6.0) == Awaiting(hidden, SERVER_REALM)
    assert asked == [("user", SERVER_REALM, 5.0), (hidden, SERVER_REALM, 6.0)]
    keys = UserKeys.of_password("user", "pass", SERVER_REALM)
    for found in (keys, (keys,), (UserKeys("user"), keys)):
        assert type(ask(server, signed(nonce), found=found)) is Authenticated
    for found in (None, ()):
        assert_challenge(ask(server, signed(nonce), found=found), 401, DropReason.BAD_USERNAME)
    assert len(asked) == 2


def test_nobody_is_asked_about_for_who_has_no_fresh_nonce():
    # A forger of sources has none, so that he cannot have the server ask, and wait, as often as he likes.
    server = long_term(lookup_key=lambda *_: PENDING)
    nonce = challenged(server)
    forged = nonce[:-1] + ("A" if nonce[-1] != "A" else "B")
    for message, now in ((signed(forged), 0.0), (signed("forged"), 0.0), (signed(nonce), 601.0)):
        assert_challenge(ask(server, message, now=now), 438, DropReason.STALE_NONCE)
    assert ask(server, signed(nonce)) == Awaiting("user", SERVER_REALM)


def test_short_term_keys_may_come_later_too():
    server = short_term(lookup_key=lambda *_: PENDING)
    message = request((USERNAME, "user"), key=short_term_key("pass"))
    assert ask(server, message) == Awaiting("user", "")
    assert type(ask(server, message, found=UserKeys.of_password("user", "pass"))) is Authenticated
    assert ask(server, message, found=None).code == 401


# ------------------------------------------------------------------- the short-term mechanism


@pytest.mark.req("RFC8489-078", "RFC8489-051")
@pytest.mark.parametrize(("asked", "answered"), [(SHA1, SHA1), (SHA256, SHA256), (BOTH, SHA256)])
@pytest.mark.parametrize("kind", [MessageClass.REQUEST, MessageClass.INDICATION])
def test_short_term_requests_are_answered_with_the_one_attribute_that_fits(asked, answered, kind):
    result = ask(short_term(), request((USERNAME, "user"), key=short_term_key("pass"), algorithm=asked, kind=kind))
    assert (type(result), result.username, result.algorithm) == (Authenticated, "user", answered)
    assert result.key.sha1(b"") == short_term_key("pass").sha1(b"")


@pytest.mark.req("RFC8489-075")
@pytest.mark.parametrize(
    ("attributes", "key", "drop"),
    [
        ((), None, DropReason.MISSING_ATTRIBUTE),
        (((USERNAME, "user"),), None, DropReason.MISSING_ATTRIBUTE),
        ((), "pass", DropReason.MISSING_ATTRIBUTE),
        ((raw(USERNAME.code, b"\xff"),), "pass", DropReason.BAD_ATTRIBUTE),
    ],
)
def test_without_name_or_integrity_a_request_is_bad_and_an_indication_is_dropped(attributes, key, drop):
    key = key and short_term_key(key)
    assert_bad_request(ask(short_term(), request(*attributes, key=key)), drop)
    assert ask(short_term(), request(*attributes, key=key, kind=MessageClass.INDICATION)) == Ignored(drop)


@pytest.mark.parametrize(
    ("name", "password", "drop"),
    [
        pytest.param("nobody", "pass", DropReason.BAD_USERNAME, marks=pytest.mark.req("RFC8489-076")),
        pytest.param("user", "wrong", DropReason.BAD_INTEGRITY, marks=pytest.mark.req("RFC8489-077")),
    ],
)
@pytest.mark.parametrize("algorithm", IntegrityAlgorithm)
def test_wrong_names_and_passwords_are_refused_in_the_same_bare_words_and_as_indications_dropped(name, password, drop, algorithm):
    options = {"key": short_term_key(password), "algorithm": algorithm}
    assert ask(short_term(), request((USERNAME, name), **options)) == Rejected(401, "Unauthenticated", (), drop)
    assert ask(short_term(), request((USERNAME, name), kind=MessageClass.INDICATION, **options)) == Ignored(drop)
    assert short_term().covers_indications


# ------------------------------------------------------------------- published messages, and the rest


@pytest.fixture
def vector(vectors):
    by_name = {one["name"]: bytes.fromhex(one["hex"]) for one in vectors["vectors"]}
    return lambda name: decode_untrusted(by_name[name])


@pytest.fixture
def _any_nonce(monkeypatch):
    """The nonces of the published messages are nobody's: let them pass."""
    monkeypatch.setattr(NonceIssuer, "check", lambda *_, **__: NonceState.FRESH)


@pytest.mark.usefixtures("_any_nonce")
def test_the_published_long_term_requests_are_authenticated(vector):
    server = long_term({NAME: "TheMatrIX"}, userhash=True)
    result = ask(server, vector("rfc5769-2.4-request-long-term"))
    assert (type(result), result.username, result.algorithm) == (Authenticated, NAME, SHA1)
    result = ask(server, vector("rfc8489-B.1-corrected"))
    assert (type(result), result.username, result.algorithm) == (Authenticated, NAME, SHA256)
    for name in ("rfc5769-2.4-request-long-term", "rfc8489-B.1-corrected"):
        assert ask(long_term({NAME: "TheMatrix"}, userhash=True), vector(name)).code == 401


def test_the_published_short_term_request_is_authenticated(vector):
    result = ask(short_term({"evtj:h6vY": "VOkJxbRl1RmTxUk/WvJxBt"}), vector("rfc5769-2.1-request"))
    assert (type(result), result.username, result.algorithm) == (Authenticated, "evtj:h6vY", SHA1)


@pytest.mark.parametrize("algorithms", [(), (PasswordAlgorithm(0x7777),), (PASSWORD_MD5, PasswordAlgorithm(2, b"salt"))])
def test_a_server_offers_what_it_supports(algorithms):
    with pytest.raises(ValueError, match="algorithms"):
        long_term(algorithms=algorithms)


@pytest.mark.parametrize("realm", ["", "a" * 128, "ex\tample"])
def test_a_realm_that_cannot_be_sent_is_refused(realm):
    with pytest.raises(ValueError, match=r"empty|limit|not allowed"):
        ServerAuthentication(realm=realm, lookup_key=StaticUsers({}))


ANYTHING = st.lists(
    st.tuples(
        st.sampled_from([USERNAME, USERHASH, REALM, NONCE, PASSWORD_ALGORITHM, PASSWORD_ALGORITHMS]).map(lambda one: one.code),
        st.binary(max_size=40)
        | st.sampled_from([b"user", SERVER_REALM.encode(), b"obMatJos2gAAA", b"\0\2\0\0\0\1\0\0", b"\0\2\0\0"]),
    ),
    max_size=7,
)


@given(ANYTHING, st.sampled_from(IntegrityAlgorithm), st.sampled_from(MessageClass), st.sampled_from([None, SHA256_KEY, MD5_KEY]))
def test_whatever_a_message_holds_it_gets_a_result(attributes, algorithm, kind, key):
    message = request(*(raw(*one) for one in attributes), key=key, algorithm=algorithm, kind=kind)
    for server in (long_term(userhash=True), long_term(lookup_key=TimeLimitedSecrets("north")), short_term()):
        assert type(ask(server, message)) in (Rejected, Ignored)


def test_the_same_entropy_makes_the_same_answers():
    def entropy(size):
        return bytes(size)

    assert ask(long_term(entropy=entropy), request()) == ask(long_term(entropy=entropy), request())
    assert ask(long_term(entropy=os.urandom), request()) != ask(long_term(entropy=os.urandom), request())


def test_results_show_no_keys():
    server = long_term()
    assert "Key" not in repr(ask(server, signed(challenged(server))))


def test_an_error_response_can_be_made_of_every_rejection():
    server = long_term()
    for message in (request(), signed(challenged(server), realm=None), signed("plain")):
        rejected = ask(server, message)
        attributes = [(ERROR_CODE, ErrorCode(rejected.code, rejected.reason)), *rejected.attributes]
        response = decode_untrusted(encode(Method.BINDING, MessageClass.ERROR, TID, attributes))
        assert response.get(ERROR_CODE).code == rejected.code


# Several servers


def test_servers_with_one_nonce_key_take_over_from_each_other_without_another_challenge():
    one, other, stranger = (
        long_term(nonce_keys=[key]) for key in (b"shared by two of them", b"shared by two of them", b"of a third one alone")
    )
    nonce = nonce_of(ask(one, request(), now=5.0, unix=1e9, at="udp 203.0.113.1:3478"))
    message = signed(nonce)
    assert type(ask(other, message, now=70000.0, unix=1e9 + 60, at="udp 203.0.113.1:3478")) is Authenticated
    assert ask(other, message, now=70000.0, unix=1e9 + 60, at="udp 203.0.113.2:3478").code == 438
    assert ask(other, message, now=70000.0, unix=1e9 + 601, at="udp 203.0.113.1:3478").code == 438
    assert ask(stranger, message, now=5.0, unix=1e9, at="udp 203.0.113.1:3478").code == 438


def test_a_nonce_key_is_a_secret_of_its_settings():
    server = long_term(nonce_keys=[b"shared by two of them"])
    again = ServerAuthentication(lookup_key=server.lookup_key, **server.settings)
    nonce = nonce_of(ask(server, request(), unix=1e9))
    assert type(ask(again, signed(nonce), unix=1e9)) is Authenticated
    assert "shared" not in repr(server.settings)
    with pytest.raises(ValueError, match="16 bytes"):
        long_term(nonce_keys=[b"short"])
