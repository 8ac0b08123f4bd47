"""STUN server URLs: what they mean, and what is refused with a sentence that helps."""

import pytest

from sansice.ice import IceServer
from sansice.ice._server import stun_servers
from sansice.machine import LocalProtocolError
from sansice.stun import ServerUri


@pytest.mark.parametrize("url", ["stun:192.0.2.1", "STUN:192.0.2.1:19302", "stun:[2001:DB8:0::1]:5349", "stun:stun.example.org"])
def test_url_is_read_and_kept_as_written(url):
    assert stun_servers([IceServer(url)]) == ((url, ServerUri.parse(url)),)


def test_servers_keep_their_order():
    servers = [IceServer(["stun:192.0.2.1", "stun:192.0.2.2"]), IceServer("stun:192.0.2.3")]
    assert [uri.host for _, uri in stun_servers(servers)] == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("192.0.2.1", "begins with stun:"),
        ("http://192.0.2.1", "begins with stun:"),
        ("", "begins with stun:"),
        ("stuns:192.0.2.1", "only stun:"),
        ("turn:192.0.2.1", "only stun:"),
        ("TURNS:192.0.2.1", "only stun:"),
        ("stun:", ""),
        ("stun:192.0.2.1:0", "port 0"),
        ("stun:192.0.2.1:3478?transport=udp", "transport"),
    ],
)
def test_url_that_cannot_be_used_is_named_with_the_reason(url, why):
    with pytest.raises(LocalProtocolError) as caught:
        stun_servers([IceServer(url)])
    assert repr(url) in str(caught.value)
    assert why in str(caught.value)


def test_credential_stays_out_of_the_repr():
    assert "hunter2" not in repr(IceServer("turn:192.0.2.1", "user", "hunter2"))
