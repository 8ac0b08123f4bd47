"""Asking a proxy: the request, and answers in any pieces."""

import pytest

from sansice.machine import Address, ProxyOptions
from sansice.simulation._world._proxy_client import MAX_ANSWER, ProxyClient, ProxyError

PROXY = Address("10.0.0.5", 3128)
REMOTE = Address("2001:db8::9", 443)


def client(**options):
    return ProxyClient(ProxyOptions(PROXY, **options), REMOTE)


def test_the_request_names_the_server_twice():
    assert client().request() == b"CONNECT [2001:db8::9]:443 HTTP/1.1\r\nHost: [2001:db8::9]:443\r\n\r\n"


@pytest.mark.parametrize(
    ("options", "encoded"),
    [
        ({"username": "Aladdin", "password": "open sesame"}, b"QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),  # RFC 7617 2
        ({"username": "u"}, b"dTo="),
    ],
)
def test_who_has_credentials_says_them(options, encoded):
    assert b"\r\nProxy-Authorization: Basic " + encoded + b"\r\n\r\n" in client(**options).request()


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n", b"HTTP/1.0 200\n\n", b"HTTP/1.1 204 \r\n\r\n"]
)
def test_a_good_answer_may_come_in_any_pieces_and_what_follows_is_the_servers(answer):
    for cut in range(len(answer) + 1):
        asking = client()
        first = asking.receive(answer[:cut])
        assert (first is None) is (cut < len(answer))
        if first is None:
            assert asking.receive(answer[cut:] + b"hello") == b"hello"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", r"the proxy 10\.0\.0\.5:3128 answered 403 Forbidden"),
        (b"HTTP/1.1 407\r\n\r\n", "answered 407$"),
        (b"220 mail.example ESMTP\r\n\r\n", "no HTTP proxy"),
        (b"\x15\x03\x03\x00\x02\x02\x28\r\n\r\n", "no HTTP proxy"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * MAX_ANSWER, "does not end"),
    ],
)
def test_any_other_answer_says_what_it_was(answer, words):
    with pytest.raises(ProxyError, match=words):
        client().receive(answer)


def test_a_password_is_never_shown():
    assert "secret" not in repr(ProxyOptions(PROXY, "u", "secret"))
