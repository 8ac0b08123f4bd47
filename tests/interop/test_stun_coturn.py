"""Our client asks somebody else's STUN server: coturn, over UDP, TCP, TLS and DTLS, without and with credentials."""

from __future__ import annotations

import pytest
import trio

from _certificates import Authority
from interop._coturn import coturn
from interop._loopback import HOSTS, LIMIT
from sansice import Address, Transport
from sansice.sockets import TlsConfig
from sansice.stun import (
    ALPN_NAT_DISCOVERY,
    ALPN_TURN,
    ERROR_CODE,
    MAPPED_ADDRESS,
    OTHER_ADDRESS,
    REQUESTED_TRANSPORT,
    RESPONSE_ORIGIN,
    XOR_RELAYED_ADDRESS,
    BindingLookup,
    IntegrityAlgorithm,
    LongTermCredentials,
    LookupStep,
    MappedAddressDiscovered,
    Method,
    ServerTarget,
    StunClient,
    StunClientConfig,
    StunError,
    TransactionSucceeded,
    TransactionTimedOut,
    decode_untrusted,
)
from sansice_trio import open_driver, stun_binding

NAME = "stun.example.org"
UDP, TCP, TLS, DTLS = Transport.UDP, Transport.TCP, Transport.TLS, Transport.DTLS
EVERY = pytest.mark.parametrize("transport", [UDP, TCP, TLS, DTLS])
SECURE = pytest.mark.parametrize("transport", [TLS, DTLS])
USER, PASSWORD, REALM = "alice", "Ein Geheimnis", "example.org"
CREDENTIALS = LongTermCredentials(USER, PASSWORD)
UDP_RELAY = 17  # RFC 8656 18.7: an IP protocol number


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """Who vouches for the servers."""
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def certificate(authority):
    return authority.issue(NAME)


@pytest.fixture(scope="module")
def server(tmp_path_factory, certificate):
    """A server that answers everybody."""
    with coturn(tmp_path_factory.mktemp("open"), certificate, ["--stun-only"]) as one:
        yield one


@pytest.fixture(scope="module")
def guarded(tmp_path_factory, certificate):
    """A server that answers Binding requests, too, only to those whom it knows."""
    options = ["--secure-stun", "--lt-cred-mech", "--user", f"{USER}:{PASSWORD}", "--realm", REALM, "--stale-nonce"]
    with coturn(tmp_path_factory.mktemp("guarded"), certificate, options) as one:
        yield one


@pytest.fixture
def tls(authority):
    return TlsConfig(ca_file=authority.ca_file)


def uri_of(server, transport):
    return f"stuns:{server.secure}" if transport in (TLS, DTLS) else f"stun:{server.plain}"


def ask(server, transport, **options):
    """`stun_binding` with this server over this transport."""
    options.setdefault("verify_name", NAME)
    return stun_binding(uri_of(server, transport), transports=[transport], **options)


# ------------------------------------------------------------- the mapped address


@EVERY
async def test_a_lookup_learns_the_address_of_its_socket(server, transport, tls):
    lookup = BindingLookup(uri_of(server, transport), transports=[transport], verify_name=NAME)
    with trio.fail_after(LIMIT):
        async with open_driver(lookup, tls=tls) as (driver, events):
            driver.call(lookup.start)
            found = await events.get()
    assert isinstance(found, MappedAddressDiscovered), found
    assert found.target.transport is transport
    assert found.mapped == found.local
    assert found.rtt is not None


@EVERY
async def test_the_address_that_was_bound_to_is_the_one_that_comes_back(server, transport, tls):
    mapped = await ask(server, transport, tls=tls, local=Address(HOSTS[1], 0))
    assert mapped.host == HOSTS[1]


@SECURE
@pytest.mark.parametrize("alpn", [(ALPN_NAT_DISCOVERY,), (ALPN_TURN, ALPN_NAT_DISCOVERY)])
async def test_a_protocol_may_be_offered(server, transport, alpn, tls):
    assert (await ask(server, transport, tls=tls, alpn=alpn)).host == HOSTS[0]


@EVERY
async def test_a_request_with_a_fingerprint_is_answered_with_one(server, transport, tls):
    mapped = await ask(server, transport, tls=tls, config=StunClientConfig(fingerprint=True, software="sansice"))
    assert mapped.host == HOSTS[0]


async def test_a_request_of_rfc3489_is_answered_in_its_own_words(server):
    assert (await ask(server, UDP, config=StunClientConfig(classic=True))).host == HOSTS[0]


# ------------------------------------------------------------- whom we speak with


@SECURE
async def test_a_certificate_for_another_name_is_refused(server, transport, tls):
    with pytest.raises(StunError, match=r"certificate was refused.*stun\.example\.net") as caught:
        await ask(server, transport, tls=tls, verify_name="stun.example.net")
    assert caught.value.step is LookupStep.OPEN


@SECURE
async def test_a_certificate_of_a_stranger_is_refused(server, transport, tmp_path):
    stranger = Authority(tmp_path, "stranger")
    with pytest.raises(StunError, match="certificate was refused") as caught:
        await ask(server, transport, tls=TlsConfig(ca_file=stranger.ca_file))
    assert caught.value.step is LookupStep.OPEN


# ------------------------------------------------------------- long-term credentials


@EVERY
async def test_a_known_user_is_answered(guarded, transport, tls):
    assert (await ask(guarded, transport, tls=tls, credentials=CREDENTIALS)).host == HOSTS[0]


@EVERY
@pytest.mark.parametrize(
    ("credentials", "why"),
    [
        pytest.param(None, "401", id="nobody"),
        pytest.param(LongTermCredentials(USER, "another"), "refuses the user name or the password", id="wrong password"),
        pytest.param(LongTermCredentials("mallory", PASSWORD), "refuses the user name or the password", id="unknown user"),
    ],
)
async def test_a_stranger_is_told_why_there_is_no_answer(guarded, transport, credentials, why, tls):
    with pytest.raises(StunError, match=why) as caught:
        await ask(guarded, transport, tls=tls, credentials=credentials)
    assert caught.value.step is LookupStep.REQUEST


class Attentive(StunClient):
    """A client that remembers what it was answered: each error code, 0 for success."""

    __slots__ = ("codes",)

    def handle_datagrams(self, socket, batch, *, now):
        messages = [decode_untrusted(data) for _, data in batch]
        self.codes += [getattr(message.get(ERROR_CODE), "code", 0) for message in messages]
        super().handle_datagrams(socket, batch, now=now)


class Asking:
    """A client with credentials and a driver that runs it."""

    def __init__(self, client, driver, events):
        self.client, self._driver, self._events = client, driver, events

    def open(self, address):
        return self._driver.call(self.client.open, ServerTarget(UDP, address, None))

    async def ask(self, path, method=Method.BINDING, attributes=()):
        """What it is answered in the end, and the codes of all the answers on the way."""
        self.client.codes = []
        id = self._driver.call(self.client.request, method, attributes, path=path)
        with trio.fail_after(LIMIT):
            async for event in self._events:
                if getattr(event, "id", None) == id:
                    assert not isinstance(event, TransactionTimedOut)
                    return event, self.client.codes
        raise AssertionError("the driver ended")


@pytest.fixture
async def asking():
    client = Attentive(credentials=CREDENTIALS)
    async with open_driver(client) as (driver, events):
        yield Asking(client, driver, events)


async def test_one_challenge_is_enough_for_all_requests_of_a_socket(guarded, asking):
    path = asking.open(guarded.plain)
    outcomes = [await asking.ask(path) for _ in range(3)]
    assert [codes for _, codes in outcomes] == [[401, 0], [0], [0]]
    for event, _ in outcomes:
        assert isinstance(event, TransactionSucceeded)
        assert event.response.integrity is IntegrityAlgorithm.SHA1  # coturn knows nothing newer


async def test_the_nonce_of_another_socket_is_stale_and_the_new_one_does(guarded, asking):
    # coturn gives each client address a nonce of its own, and ours remembers what the server said last.
    first, second = asking.open(guarded.plain), asking.open(guarded.plain)
    codes = [(await asking.ask(path))[1] for path in (first, second, second, first)]
    assert codes == [[401, 0], [438, 0], [0], [438, 0]]


async def test_any_method_is_authenticated_the_same_way(guarded, asking):
    path = asking.open(guarded.plain)
    event, codes = await asking.ask(path, Method.ALLOCATE, [(REQUESTED_TRANSPORT, UDP_RELAY)])
    assert codes == [401, 0]
    assert event.response.get(XOR_RELAYED_ADDRESS).host == HOSTS[0]


# ------------------------------------------------------------- RFC 5780


async def test_a_server_with_two_addresses_names_the_other_one(server, asking):
    event, codes = await asking.ask(asking.open(server.plain))
    assert codes == [0]
    assert event.response.get(OTHER_ADDRESS) == server.alternate
    assert event.response.get(RESPONSE_ORIGIN) == server.plain
    assert event.response.get(MAPPED_ADDRESS) == event.mapped
