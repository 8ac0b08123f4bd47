"""Server URLs: what they mean, and what is refused with a sentence that helps."""

import pytest

from sansice.ice import IceServer
from sansice.ice._server import NamedServer, read_servers
from sansice.machine import LocalProtocolError
from sansice.stun import AccessToken, LongTermCredentials, ServerUri


@pytest.mark.parametrize(
    "url",
    [
        "stun:192.0.2.1",
        "STUN:192.0.2.1:19302",
        "stun:[2001:DB8:0::1]:5349",
        "stun:stun.example.org",
        "stuns:stun.example.org",
        "turn:192.0.2.1",
        "turn:turn.example.org:3479?transport=tcp",
        "turns:turn.example.org",
    ],
)
def test_url_is_read_and_kept_as_written(url):
    assert read_servers([IceServer(url)]) == (NamedServer(url, ServerUri.parse(url)),)


def test_servers_keep_their_order_and_come_once():
    servers = [IceServer(["stun:192.0.2.1", "stun:192.0.2.2"]), "stun:192.0.2.3", IceServer("stun:192.0.2.1")]
    assert [one.uri.host for one in read_servers(servers)] == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]


@pytest.mark.parametrize("servers", ["stun:192.0.2.1", IceServer("stun:192.0.2.1")])
def test_one_server_needs_no_list(servers):
    assert [one.uri.host for one in read_servers(servers)] == ["192.0.2.1"]


def test_credentials_are_for_relays_and_shared_by_the_urls_of_a_server():
    stun, udp, tcp = read_servers(
        IceServer(["stun:a.example", "turn:a.example", "turn:a.example?transport=tcp"], "user", "secret")
    )
    assert stun.credentials is None
    assert udp.credentials == tcp.credentials == LongTermCredentials("user", "secret")


def test_name_for_the_certificate_goes_with_the_server():
    (server,) = read_servers(IceServer("turns:192.0.2.1", "user", "secret", verify_name="turn.example"))
    assert server.verify_name == "turn.example"


def test_access_token_stands_alone():
    token = AccessToken("key", b"token", b"k" * 20)
    (server,) = read_servers(IceServer("turn:192.0.2.1", credential=token))
    assert server.credentials is token


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("192.0.2.1", "begins with stun:"),
        ("http://192.0.2.1", "begins with stun:"),
        ("", "begins with stun:"),
        ("stun:", ""),
        ("stun:192.0.2.1:0", "port 0"),
        ("stun:192.0.2.1:3478?transport=udp", "transport"),
    ],
)
def test_url_that_cannot_be_used_is_named_with_the_reason(url, why):
    with pytest.raises(LocalProtocolError) as caught:
        read_servers([IceServer(url)])
    assert repr(url) in str(caught.value)
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("username", "credential", "why"),
    [("user", None, "or neither"), (None, "secret", "or neither"), ("user", "", "OpaqueString")],
)
def test_credentials_that_no_relay_can_be_shown_are_refused(username, credential, why):
    with pytest.raises(LocalProtocolError, match=why):
        read_servers([IceServer("turn:192.0.2.1", username, credential)])


def test_credential_stays_out_of_the_repr():
    server = IceServer("turn:192.0.2.1", "user", "hunter2")
    assert "hunter2" not in repr(server) + repr(read_servers(server))
