"""A server that asks for credentials: who is answered how, keys that come later, redirection."""

import math

import pytest

from _stun_serving import CLIENT, CLIENT6, DTLS, ID, OF, TCP, TLS, UDP, Serving, binding, classic
from sansice.machine import Address, DropReason, LocalProtocolError, SendDatagram
from sansice.stun import (
    ALTERNATE_DOMAIN,
    ALTERNATE_SERVER,
    ERROR_CODE,
    MESSAGE_INTEGRITY,
    MESSAGE_INTEGRITY_SHA256,
    NONCE,
    PADDING,
    PASSWORD_ALGORITHMS,
    PASSWORD_SHA256,
    PENDING,
    REALM,
    UNKNOWN_ATTRIBUTES,
    USERHASH,
    USERNAME,
    XOR_MAPPED_ADDRESS,
    Attribute,
    ClientAuthentication,
    CredentialRequested,
    ErrorCode,
    Ignored,
    IndicationReceived,
    IntegrityAlgorithm,
    LongTermCredentials,
    MessageClass,
    Method,
    RequestId,
    RequestReceived,
    ServerAuthentication,
    ShortTermServerAuthentication,
    StaticUsers,
    StunServer,
    StunServerConfig,
    TransactionFailed,
    UserKeys,
    decode_untrusted,
    encode,
    long_term_key,
    shapes,
    short_term_key,
)

REALM_TEXT = "example.org"
USER, PASSWORD = "user", "TheMatrIX"
UNKNOWN = Attribute(0x7FF0, "UNKNOWN", shapes.OPAQUE)
UNLIMITED = {"rate": None}


def zeros(count):
    return bytes(count)


def long_term(lookup_key=None, **options):
    users = lookup_key or StaticUsers({USER: PASSWORD}, REALM_TEXT)
    return ServerAuthentication(realm=REALM_TEXT, lookup_key=users, entropy=zeros, **options)


def short_term(lookup_key=None):
    return ShortTermServerAuthentication(lookup_key=lookup_key or StaticUsers({USER: PASSWORD}), entropy=zeros)


def later(username, realm, unix):
    return PENDING


class Client:
    """One user's half of the long-term mechanism, as `StunClient` does it."""

    def __init__(self, serving, password=PASSWORD, source=CLIENT, socket=OF[UDP]):
        self.serving, self.source, self.socket = serving, source, socket
        self.authentication = ClientAuthentication(LongTermCredentials(USER, password))

    def request(self, attributes=(), method=Method.BINDING, id=ID):
        sent = self.authentication.protect()
        listed = [*attributes, *sent.attributes]
        return encode(method, MessageClass.REQUEST, id, listed, key=sent.key, algorithm=sent.algorithm)

    def meet(self):
        """Ask without credentials and learn from the 401; returns it."""
        response = self.serving.answer(self.request(), self.source, self.socket)
        failed = TransactionFailed(ID, response.get(ERROR_CODE).code, "", response=response)
        self.authentication.handle_response(failed, ClientAuthentication().protect())
        return response

    def ask(self, attributes=()):
        return self.serving.answer(self.request(attributes), self.source, self.socket)


@pytest.fixture
def guarded():
    return Serving(authentication=long_term(), policy=UNLIMITED)


@pytest.fixture
def client(guarded):
    return Client(guarded)


# Long-term


@pytest.mark.req("RFC8489-089", "RFC8489-092", "RFC8489-050")
def test_a_request_without_integrity_is_challenged(client, guarded):
    challenge = client.meet()
    assert challenge.get(ERROR_CODE).code == 401
    assert (challenge.get(REALM), NONCE in challenge, PASSWORD_ALGORITHMS in challenge) == (REALM_TEXT, True, True)
    assert USERNAME not in challenge
    assert USERHASH not in challenge
    assert not challenge.has_integrity
    assert guarded.stats.errors == {401: 1}


@pytest.mark.req("RFC8489-051", "RFC8489-053", "RFC8489-100")
def test_an_authenticated_request_is_answered_under_the_users_key(client, guarded):
    client.meet()
    response = client.ask()
    assert response.get(XOR_MAPPED_ADDRESS) == CLIENT
    assert response.integrity is IntegrityAlgorithm.SHA256
    assert response.verify(long_term_key(USER, REALM_TEXT, PASSWORD, sha256=True))
    assert (guarded.stats.responses, guarded.stats.errors) == (1, {401: 1})


@pytest.mark.req("RFC8489-133")
def test_the_realm_is_told_as_opaque_string_prepares_it():
    authentication = ServerAuthentication(realm="A\u030a\u00a0b", lookup_key=StaticUsers({}))
    assert Serving(authentication=authentication).answer(binding()).get(REALM) == "\u00c5 b"


@pytest.mark.req("RFC8489-090")
def test_no_two_clients_share_a_nonce(guarded):
    sources = [CLIENT, CLIENT._replace(port=1), CLIENT._replace(host="192.0.2.2")]
    nonces = {Client(guarded, source=source).meet().get(NONCE) for source in sources}
    assert len(nonces) == 3


@pytest.mark.req("RFC8489-096", "RFC8489-097")
def test_a_wrong_password_and_an_unknown_user_are_challenged_alike(guarded):
    wrong = Client(guarded, password="wrong")
    wrong.meet()
    challenge = wrong.ask()
    assert challenge.get(ERROR_CODE).code == 401
    assert (challenge.get(REALM), NONCE in challenge, PASSWORD_ALGORITHMS in challenge) == (REALM_TEXT, True, True)
    assert guarded.stats.dropped[DropReason.BAD_INTEGRITY] == 1
    guarded.server.replace_authentication(long_term(StaticUsers({"other": "x"}, REALM_TEXT)), now=guarded.now)
    assert wrong.ask().data == challenge.data
    assert guarded.stats.dropped[DropReason.BAD_USERNAME] == 1


@pytest.mark.req("RFC8489-098", "RFC8489-099")
def test_a_nonce_of_yesterday_is_refused_with_a_new_one_but_only_to_who_knows_the_password(client, guarded):
    nonce = client.meet().get(NONCE)
    stranger = Client(guarded, password="wrong")
    stranger.meet()
    guarded.now += 86400
    stale = client.ask()
    assert stale.get(ERROR_CODE).code == 438
    assert stale.get(REALM) == REALM_TEXT
    assert stale.get(NONCE) != nonce
    assert PASSWORD_ALGORITHMS in stale
    assert stranger.ask().get(ERROR_CODE).code == 401


def test_a_nonce_of_another_client_is_refused(client, guarded):
    client.meet()
    client.source = CLIENT._replace(port=1)
    assert client.ask().get(ERROR_CODE).code == 438


@pytest.mark.req("RFC8489-093")
def test_integrity_without_a_name_is_a_bad_request_and_teaches_nothing(guarded):
    response = guarded.answer(binding(key=short_term_key("x")))
    assert response.get(ERROR_CODE) == ErrorCode(400)
    assert [code for code, _ in response.attributes()] == [ERROR_CODE.code]


@pytest.mark.req("RFC8489-045")
def test_who_is_not_authenticated_is_not_told_what_is_unknown(guarded):
    client = Client(guarded, password="wrong")
    client.meet()
    refused = client.ask([(UNKNOWN, b"")])
    assert refused.get(ERROR_CODE).code == 401


@pytest.mark.req("RFC8489-046", "RFC8489-051")
def test_an_authenticated_420_is_protected_and_has_words(client):
    client.meet()
    response = client.ask([(UNKNOWN, b"")])
    assert response.get(ERROR_CODE) == ErrorCode(420, "Unknown Attribute")
    assert response.get(UNKNOWN_ATTRIBUTES) == (0x7FF0,)
    assert response.verify(long_term_key(USER, REALM_TEXT, PASSWORD, sha256=True))


@pytest.mark.req("RFC8489-083")
def test_long_term_credentials_do_not_cover_indications():
    serving = Serving(authentication=long_term(), methods=[Method.SEND])
    (event,) = serving.ask(encode(Method.SEND, MessageClass.INDICATION, ID))
    assert type(event) is IndicationReceived


def test_rfc3489_has_no_credentials_so_its_clients_are_not_answered(guarded):
    assert guarded.ask(classic()) == []
    assert guarded.stats.dropped == {DropReason.BAD_COOKIE: 1}


def test_challenges_are_larger_than_an_answer_may_be_and_count_as_several():
    serving = Serving(authentication=long_term(), policy={"rate": 1.0, "burst": 20})
    challenge = serving.answer(binding())
    assert 2 < len(challenge.data) / 32 < 3
    assert not challenge.get(ERROR_CODE).reason
    sent = 1
    while serving.ask(binding()):
        sent += 1
    assert sent == 8
    # A prefix is sent no more bytes than it would be in plain answers.
    assert sent * len(challenge.data) < (20 + 3) * 32


# Short-term


@pytest.mark.req("RFC8489-078", "RFC8489-051")
@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        (IntegrityAlgorithm.SHA1, MESSAGE_INTEGRITY),
        (IntegrityAlgorithm.SHA256, MESSAGE_INTEGRITY_SHA256),
        (IntegrityAlgorithm.BOTH, MESSAGE_INTEGRITY_SHA256),
    ],
)
def test_the_answer_carries_the_one_integrity_attribute_that_the_client_reads(sent, answered):
    key = short_term_key(PASSWORD)
    response = Serving(authentication=short_term()).answer(binding([(USERNAME, USER)], key=key, algorithm=sent))
    assert [code for code, _ in response.attributes()] == [XOR_MAPPED_ADDRESS.code, answered.code]
    assert response.verify(key)


def test_indications_are_authenticated_with_the_short_term_mechanism():
    serving = Serving(authentication=short_term(), methods=[Method.SEND])
    key = short_term_key(PASSWORD)
    kinds = [
        encode(Method.SEND, MessageClass.INDICATION, ID, [(USERNAME, USER)], key=key),
        encode(Method.SEND, MessageClass.INDICATION, ID, [(USERNAME, USER)], key=short_term_key("wrong")),
    ]
    assert [len(serving.ask(one)) for one in kinds] == [1, 0]
    assert serving.stats.dropped == {DropReason.BAD_INTEGRITY: 1}
    serving.server.replace_authentication(short_term(later), now=serving.now)
    assert serving.ask(kinds[0]) == []
    assert serving.stats.dropped[DropReason.BAD_USERNAME] == 1


# Keys that come later


@pytest.fixture
def asking():
    return Serving(authentication=short_term(later), methods=[Method.REFRESH], policy=UNLIMITED)


def protected(method=Method.BINDING, id=ID):
    return encode(method, MessageClass.REQUEST, id, [(USERNAME, USER)], key=short_term_key(PASSWORD))


KEYS = UserKeys.of_password(USER, PASSWORD)


def test_a_key_that_has_to_be_fetched_is_asked_for_once_and_the_request_answered_with_it(asking):
    (event,) = asking.ask(protected())
    assert event == CredentialRequested(RequestId(1), USER, "")
    assert asking.ask(protected()) == []  # its retransmission
    done, (sent,) = asking.call(asking.server.provide_key, event.id, KEYS)
    assert done
    assert type(sent) is SendDatagram
    assert decode_untrusted(sent.data).verify(short_term_key(PASSWORD))
    assert asking.call(asking.server.provide_key, event.id, KEYS) == (False, [])
    assert asking.server.deadline() == math.inf


def test_an_unknown_user_whose_key_had_to_be_looked_for_is_refused(asking):
    (event,) = asking.ask(protected())
    _, (sent,) = asking.call(asking.server.provide_key, event.id, None)
    assert decode_untrusted(sent.data).get(ERROR_CODE) == ErrorCode(401)


def test_a_key_that_does_not_come_is_a_server_error(asking):
    asking.ask(protected())
    ((when, sent),) = asking.at(1100.0)
    assert when == 1005.0
    assert decode_untrusted(sent.data).get(ERROR_CODE) == ErrorCode(500)


def test_requests_that_wait_for_keys_are_bounded():
    serving = Serving(authentication=short_term(later), policy={"max_pending": 2, "rate": None})
    events = [serving.ask(protected(id=bytes([number] * 12)))[0] for number in range(4)]
    assert [type(one) for one in events] == [CredentialRequested] * 2 + [SendDatagram] * 2


@pytest.mark.parametrize("make", [short_term, long_term, lambda lookup: long_term(lookup, algorithms=[PASSWORD_SHA256])])
def test_who_may_get_no_more_than_he_sends_is_not_told_what_he_lacks(make):
    serving = Serving(authentication=make(lambda name, realm, unix: None), policy={"max_amplification": 1.0})
    assert serving.ask(binding()) == []
    assert serving.server.stats.dropped[DropReason.TOO_SHORT] == 1


@pytest.mark.parametrize(("length", "waits"), [(1900, True), (2100, False)])
def test_a_large_request_does_not_wait_for_keys(length, waits):
    serving = Serving(authentication=short_term(later), policy={"rate": None})
    asked = serving.ask(binding([(USERNAME, USER), (PADDING, bytes(length))], key=short_term_key(PASSWORD)))[0]
    assert type(asked) is (CredentialRequested if waits else SendDatagram)


def test_those_who_wait_for_keys_take_no_places_of_those_who_wait_for_answers():
    keys = {USER: KEYS}
    serving = Serving(
        authentication=short_term(lambda name, realm, unix: keys.get(name, PENDING)),
        policy={"max_pending": 2, "rate": None},
        methods=[Method.REFRESH],
    )
    strangers = [binding([(USERNAME, f"stranger {n}")], key=short_term_key("x"), id=bytes([n] * 12)) for n in range(4)]
    assert [type(serving.ask(one)[0]) for one in strangers] == [CredentialRequested] * 2 + [SendDatagram] * 2
    users = [protected(Method.REFRESH, id=bytes([n] * 12)) for n in range(10, 14)]
    assert [type(serving.ask(one)[0]) for one in users] == [RequestReceived] * 2 + [SendDatagram] * 2
    strangers.append(binding([(USERNAME, "another")], key=short_term_key("x"), id=bytes([9] * 12)))
    assert len(serving.at(1100.0)) == 4
    assert type(serving.ask(strangers[-1])[0]) is CredentialRequested


def test_a_request_of_the_applications_waits_twice_for_its_key_and_for_its_answer(asking):
    (event,) = asking.ask(protected(Method.REFRESH))
    _, (received,) = asking.call(asking.server.provide_key, event.id, KEYS)
    assert type(received) is RequestReceived
    assert received.username == USER
    assert asking.call(asking.server.provide_key, RequestId(2), KEYS) == (False, [])
    _, (sent,) = asking.call(asking.server.respond, received)
    assert decode_untrusted(sent.data).verify(short_term_key(PASSWORD))


def test_a_request_that_waits_for_its_key_cannot_be_answered_by_the_application(asking):
    (event,) = asking.ask(protected(Method.REFRESH))
    waiting = RequestReceived(_path(asking), decode_untrusted(protected(Method.REFRESH)))
    assert asking.call(asking.server.respond, waiting) == (False, [])
    assert asking.call(asking.server.provide_key, event.id, KEYS)[0]


def _path(serving):
    return next(iter(serving.server._pending._unproved.values()))[1].path


def test_a_stream_that_waits_for_a_key_stays_open_for_the_answer(asking):
    stream = asking.accept()
    (event,) = asking.write(stream, protected())
    asking.write(stream, b"")
    _, outputs = asking.call(asking.server.provide_key, event.id, KEYS)
    assert len(outputs) == 2
    assert asking.stats.connections == 0


@pytest.mark.parametrize("id", [0, -1, 2])
def test_an_id_that_was_never_given_is_refused(asking, id):
    asking.ask(protected())
    with pytest.raises(LocalProtocolError, match="CredentialRequested"):
        asking.server.provide_key(id, KEYS, now=asking.now)


def test_credentials_replaced_in_between_count_for_requests_that_wait(asking):
    (event,) = asking.ask(protected())
    asking.server.replace_authentication(None, now=asking.now)
    _, (sent,) = asking.call(asking.server.provide_key, event.id, None)
    assert not decode_untrusted(sent.data).has_integrity


def test_a_verdict_to_ignore_a_request_is_followed():
    class Silent(ShortTermServerAuthentication):
        def authenticate(self, *arguments, **options):
            return Ignored(DropReason.BAD_USERNAME)

    serving = Serving(authentication=Silent(lookup_key=later, entropy=zeros))
    assert serving.ask(protected()) == []
    assert serving.stats.dropped == {DropReason.BAD_USERNAME: 1}


def test_lookups_are_told_the_wall_clock_and_before_that_that_everything_has_expired():
    seen = []
    serving = Serving(authentication=short_term(lambda name, realm, unix: seen.append(unix)))
    serving.ask(protected())
    serving.server.handle_wall_clock(1.7e9, now=1000.0)
    serving.now = 1010.0
    serving.ask(protected())
    assert seen == [math.inf, 1.7e9 + 10]


# Redirection

ALTERNATES = (Address("198.51.100.9", 3478), Address("2001:db8::9", 3478))


def redirecting(authentication=None, **policy):
    return Serving(authentication=authentication or long_term(), policy={"alternates": ALTERNATES, **UNLIMITED, **policy})


@pytest.mark.req("RFC8489-110", "RFC8489-131")
@pytest.mark.parametrize(("source", "socket"), [(CLIENT, 1), (CLIENT6, 2)])
def test_a_redirection_names_the_clients_family_first_and_is_protected(source, socket):
    client = Client(redirecting(), source=source, socket=socket)
    client.meet()
    response = client.ask()
    assert response.get(ERROR_CODE) == ErrorCode(300, "Try Alternate")
    assert response.get(ALTERNATE_SERVER).is_ipv6 is source.is_ipv6
    assert [code for code, _ in response.attributes()].count(ALTERNATE_SERVER.code) == 2
    assert response.verify(long_term_key(USER, REALM_TEXT, PASSWORD, sha256=True))


@pytest.mark.req("RFC8489-110")
def test_a_client_for_whose_family_there_is_no_alternate_is_served():
    client = Client(redirecting(alternates=ALTERNATES[1:]))
    client.meet()
    assert client.ask().get(XOR_MAPPED_ADDRESS) == CLIENT


@pytest.mark.req("RFC8489-131")
def test_who_is_not_authenticated_is_not_redirected():
    assert redirecting(short_term()).answer(binding()).get(ERROR_CODE) == ErrorCode(400)
    assert Client(redirecting()).meet().get(ERROR_CODE).code == 401
    with pytest.raises(LocalProtocolError, match="only authenticated"):
        StunServer(config=StunServerConfig(alternates=ALTERNATES))
    serving = redirecting()
    with pytest.raises(LocalProtocolError, match="only authenticated"):
        serving.server.replace_authentication(None, now=serving.now)


@pytest.mark.req("RFC8489-111")
@pytest.mark.parametrize("domain", [None, "other.example"])
@pytest.mark.parametrize("algorithm", [IntegrityAlgorithm.SHA1, IntegrityAlgorithm.SHA256])
@pytest.mark.parametrize("transport", [UDP, TCP, TLS, DTLS])
def test_the_domain_of_the_alternates_certificate_is_told_over_tls_to_who_can_read_it(transport, algorithm, domain):
    serving = redirecting(short_term(), alternate_domain=domain)
    data = binding([(USERNAME, USER)], key=short_term_key(PASSWORD), algorithm=algorithm)
    if transport in (TCP, TLS):
        response = serving.reply(serving.accept(transport=transport), data)
    else:
        response = serving.answer(data, socket=OF[transport])
    assert response.get(ERROR_CODE).code == 300
    told = transport in (TLS, DTLS) and algorithm is IntegrityAlgorithm.SHA256
    assert response.get(ALTERNATE_DOMAIN) == (domain if told else None)
