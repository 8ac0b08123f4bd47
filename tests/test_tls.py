"""TLS without I/O: two ends, and the bytes between them in the hands of the test."""

import ssl

import pytest

from _certificates import Authority, srv_id
from sansice._tls import TlsStream, client_context, server_context
from sansice._tls_error import TlsError
from sansice.stun import ALPN_NAT_DISCOVERY, ALPN_TURN


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def certificate(authority):
    return authority.issue("stun.example", "192.0.2.1")


def a_client(authority, name="stun.example", *, verify=True, alpn=()):
    return TlsStream(client_context(str(authority.ca_file), verify=verify, alpn=alpn), server_hostname=name)


def a_server(certificate, alpn=()):
    return TlsStream(server_context(str(certificate), None, None, alpn=alpn), server_hostname=None)


def shake(client, server):
    """Pass bytes on until nobody has any; errors come out."""
    client.start()
    while (out := client.take()) or (back := server.take()):
        if out:
            server.receive(out)
        else:
            client.receive(back)


@pytest.fixture
def ends(authority, certificate):
    client, server = a_client(authority), a_server(certificate)
    shake(client, server)
    return client, server


# ---------------------------------------------------------------- the handshake


def test_both_ends_are_ready_after_the_handshake_and_talk(ends):
    client, server = ends
    assert client.is_ready and server.is_ready
    client.send(b"question")
    assert server.receive(client.take()) == b"question"
    server.send(b"answer")
    assert client.receive(server.take()) == b"answer"
    assert not client.at_end


def test_large_data_passes_in_one_piece(ends):
    client, server = ends
    data = bytes(range(256)) * 1000
    client.send(data)
    assert server.receive(client.take()) == data


def test_bytes_may_come_one_by_one(authority, certificate):
    client, server = a_client(authority), a_server(certificate)
    client.start()
    received = b""
    client.send(b"hello")
    while (out := client.take()) or (back := server.take()):
        for byte in out or back:
            received += (server if out else client).receive(bytes([byte]))
    assert received == b"hello"


@pytest.mark.req("RFC8489-038")
def test_nothing_of_the_application_leaves_before_the_certificate_is_verified(authority, certificate):
    client, server = a_client(authority), a_server(certificate)
    client.send(b"a STUN request")
    assert client.take() == b""
    assert client.waiting == 14
    client.start()
    hello = client.take()
    client.send(b", and another")
    assert client.take() == b""
    assert server.receive(hello) == b""
    assert client.receive(server.take()) == b""
    assert client.is_ready
    assert server.receive(client.take()) == b"a STUN request, and another"


WRONG = {
    "another name": lambda good, bad: good.issue("other.example"),
    "a wildcard of another domain": lambda good, bad: good.issue("*.other.example"),
    "a wildcard that would span two labels": lambda good, bad: good.issue("*.example"),
    "a wildcard within a label": lambda good, bad: good.issue("s*.us.example"),
    "a wildcard right of the left-most label": lambda good, bad: good.issue("stun.*.example"),
    "the right common name beside another DNS-ID": lambda good, bad: good.issue("other.example", common_name="stun.us.example"),
    "the right name as URI-ID": lambda good, bad: good.issue("stun:stun.us.example"),
    "the right name as SRV-ID": lambda good, bad: good.issue(srv_id("_stuns.stun.us.example")),
    "an address": lambda good, bad: good.issue("192.0.2.1"),
    "expired": lambda good, bad: good.issue("stun.us.example", expired=True),
    "of an unknown authority": lambda good, bad: bad.issue("stun.us.example"),
}


@pytest.mark.req("RFC8489-038")
@pytest.mark.parametrize("fault", WRONG)
def test_a_certificate_that_is_not_the_servers_ends_the_handshake_and_nothing_leaves(authority, tmp_path, fault):
    certificate = WRONG[fault](authority, Authority(tmp_path, "stranger"))
    client, server = a_client(authority, "stun.us.example"), a_server(certificate)
    client.send(b"a STUN request")
    with pytest.raises(TlsError, match="the certificate was refused"):
        shake(client, server)
    assert not client.is_ready
    with pytest.raises(TlsError, match="alert"):
        server.receive(client.take())
    assert not server.is_ready


@pytest.mark.req("RFC8489-038")
@pytest.mark.parametrize(
    ("names", "common_name", "wanted"),
    [
        (["stun.us.example"], "x", "stun.us.example"),
        (["*.us.example"], "x", "stun.us.example"),
        ([], "stun.us.example", "stun.us.example"),
        (["192.0.2.1"], "x", "192.0.2.1"),
        (["2001:db8::1"], "x", "2001:db8::1"),
    ],
)
def test_a_certificate_identifies_its_server(authority, names, common_name, wanted):
    client, server = a_client(authority, wanted), a_server(authority.issue(*names, common_name=common_name))
    shake(client, server)
    assert client.is_ready


def test_verification_can_be_switched_off(authority, tmp_path):
    client = a_client(authority, verify=False)
    shake(client, a_server(Authority(tmp_path, "stranger").issue("other.example")))
    assert client.is_ready


@pytest.mark.req("RFC7443-001", "RFC7443-002")
@pytest.mark.parametrize(
    ("offered", "known", "agreed"),
    [
        ((ALPN_TURN,), ("stun.turn", "stun.nat-discovery"), "stun.turn"),
        (("stun.turn", "stun.nat-discovery"), (ALPN_NAT_DISCOVERY,), "stun.nat-discovery"),
        (("h2",), ("stun.turn",), None),
        ((), ("stun.turn",), None),
        (("stun.turn",), (), None),
    ],
)
def test_the_protocol_is_negotiated(authority, certificate, offered, known, agreed):
    client, server = a_client(authority, alpn=offered), a_server(certificate, alpn=known)
    shake(client, server)
    assert client.alpn == server.alpn == agreed


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_versions_before_1_2_are_refused(authority, certificate, version):
    context = client_context(str(authority.ca_file), verify=True, alpn=())
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    with pytest.raises(TlsError):
        shake(TlsStream(context, server_hostname="stun.example"), a_server(certificate))


def test_compression_and_renegotiation_are_off(authority, certificate):
    for context in (client_context(None, verify=True, alpn=()), server_context(str(certificate), None, None, alpn=())):
        assert context.options & ssl.OP_NO_COMPRESSION
        assert context.options & ssl.OP_NO_RENEGOTIATION
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2


# ---------------------------------------------------------------- the end, and what breaks


@pytest.mark.parametrize(
    "data", [bytes.fromhex("000100002112a442") + bytes(12), b"GET / HTTP/1.1\r\n\r\n", bytes(20), b"\xff" * 20]
)
def test_a_client_that_speaks_no_tls_is_found_out_at_once(certificate, data):
    with pytest.raises(TlsError):
        a_server(certificate).receive(data)


def test_close_notify_is_the_clean_end(ends):
    client, server = ends
    client.send(b"last words")
    client.close()
    assert server.receive(client.take()) == b"last words"
    assert server.at_end
    server.end()
    server.send(b"answer")
    assert client.receive(server.take()) == b"answer"


def test_both_ends_may_close_at_once(ends):
    client, server = ends
    client.close()
    server.close()
    assert server.receive(client.take()) == b""
    assert server.at_end


def test_an_end_without_close_notify_is_a_cut(ends):
    _, server = ends
    with pytest.raises(TlsError, match="without close_notify"):
        server.end()


def test_an_end_during_the_handshake_is_told_as_that(certificate):
    with pytest.raises(TlsError, match="during the handshake"):
        a_server(certificate).end()


def test_a_changed_byte_breaks_the_connection(ends):
    client, server = ends
    client.send(b"question")
    wire = bytearray(client.take())
    wire[-1] ^= 1
    with pytest.raises(TlsError, match="mac"):
        server.receive(bytes(wire))


def test_sending_after_closing_is_an_error(ends):
    client, _ = ends
    client.close()
    with pytest.raises(TlsError):
        client.send(b"x")


def test_closing_twice_or_before_the_handshake_is_harmless(authority, ends):
    client, _ = ends
    client.close()
    client.take()
    client.close()
    early = a_client(authority)
    early.close()
    assert early.take() == b""


@pytest.mark.parametrize("spoken", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n", b"\1\1" + bytes(30)])
def test_a_peer_without_tls_is_called_so(authority, certificate, spoken):
    client = a_client(authority)
    client.start()
    for end in (client, a_server(certificate)):
        with pytest.raises(TlsError, match="the other end does not speak TLS"):
            end.receive(spoken)


# ---------------------------------------------------------------- files


def test_a_key_with_a_password_needs_it_and_nobody_is_asked(authority):
    path = str(authority.issue("stun.example", password="secret"))
    assert server_context(path, None, "secret", alpn=())
    for password in (None, "wrong"):
        with pytest.raises(OSError, match=r"."):
            server_context(path, None, password, alpn=())


def test_files_that_are_not_there_or_empty_are_refused(tmp_path):
    empty = tmp_path / "empty.pem"
    empty.touch()
    for path in (str(empty), str(tmp_path / "none.pem")):
        with pytest.raises(OSError, match=r"."):
            server_context(path, None, None, alpn=())
        with pytest.raises(OSError, match=r"."):
            client_context(path, verify=True, alpn=())
