"""Asking a proxy: the request, and answers in any pieces."""

import pytest

from sansice._proxy import MAX_HEAD, ProxyClient, ProxyError
from sansice.machine import Address, ProxyOptions

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
        ({"username": "test", "password": "123£"}, b"dGVzdDoxMjPCow=="),  # RFC 7617 2.1
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
        (b"HTTP/1.1 407\r\n\r\n", "answered 407: it wants a user name and password$"),
        (
            b"HTTP/1.1 407 No\r\nproxy-authenticate: Basic realm=x\r\nProxy-Authenticate:NTLM\r\n\r\n",
            r"answered 407 No: it wants a user name and password \(Basic, NTLM\)$",
        ),
        (
            b"HTTP/1.1 407 No\r\nProxy-Authenticate: NTLM, Basic\r\nProxy-Authenticate: NTLM\r\n\r\nProxy-Authenticate: X\r\n",
            r"answered 407 No: it wants a user name and password \(NTLM\)$",
        ),
        (b"HTTP/1.1 502 \xff\xfe\r\n\r\n", "answered 502 .{2}$"),
        (b"HTTP/1.1 502 \x00\x1b[2J" + b"z" * 500 + b"\r\n\r\n", r"answered 502 \?\?\[2Jz{75}$"),
        (b"HTTP/1.1 two hundred\r\n\r\n", "no HTTP proxy"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "no HTTP proxy"),
        (b"HTTP/2", "no HTTP proxy"),
        (b"220 mail.example ESMTP\r\n\r\n", "no HTTP proxy"),
        (b"\x15\x03\x03\x00\x02\x02\x28\r\n\r\n", "no HTTP proxy"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * MAX_HEAD, "does not end"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 65536 + b"\r\n\r\n", "does not end within 8192 bytes"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 403 No\r\n\r\n", "answered 403 No"),
    ],
)
def test_any_other_answer_says_what_it_was(answer, words):
    with pytest.raises(ProxyError, match=words):
        client().receive(answer)


@pytest.mark.parametrize("code", [b"401", b"407"])
def test_who_has_said_who_he_is_is_told_that_it_did_not_help_and_not_what_he_said(code):
    with pytest.raises(ProxyError, match="does not accept the user name and password") as caught:
        client(username="alice", password="secret").receive(b"HTTP/1.1 %b No\r\n\r\n" % code)
    assert "alice" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_an_interim_answer_is_none():
    asking = client()
    assert asking.receive(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 1") is None
    assert asking.receive(b"03 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\nfirst") == b"first"


@pytest.mark.parametrize("excess", [0, 1])
def test_a_head_ends_within_its_bound_or_is_given_up_as_soon_as_that_is_reached(excess):
    head = b"HTTP/1.1 200 OK\r\nx: ".ljust(MAX_HEAD - 4 + excess, b"y")
    asking = client()
    assert asking.receive(head[:-1]) is None
    if excess:
        with pytest.raises(ProxyError, match="does not end within 8192 bytes"):
            asking.receive(head[-1:] + b"\r\n\r")
    else:
        assert asking.receive(head[-1:] + b"\r\n\r\n" + b"hello") == b"hello"


def test_nothing_that_follows_a_head_is_lost_however_much_it_is():
    assert client().receive(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + bytes(65536)) == bytes(65536)


def test_a_name_is_the_proxys_to_look_up():
    asking = client(authority="turn.example.org:443")
    assert asking.request() == b"CONNECT turn.example.org:443 HTTP/1.1\r\nHost: turn.example.org:443\r\n\r\n"


def test_silence_is_told_from_an_answer_without_an_end():
    asking = client()
    assert str(asking.timed_out(30.0)) == "the proxy 10.0.0.5:3128 has not answered within 30 seconds"
    asking.receive(b"HTTP")
    assert str(asking.timed_out(30.0)) == "the proxy 10.0.0.5:3128 has said no more than 4 bytes within 30 seconds"
    assert str(asking.ended()) == "the proxy 10.0.0.5:3128 closed the connection without an answer"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"username": "a:b"}, "no colon"),
        ({"username": "a\r\nX-Evil: 1"}, "username: .* no control characters"),
        ({"username": "a", "password": "\x7f"}, "password: .* no control characters"),
        ({"username": "a" * 256}, "at most 255 characters"),
        ({"authority": "example.org:443\r\nX-Evil: 1"}, "is not HOST:PORT"),
        ({"authority": ""}, "is not HOST:PORT"),
    ],
)
def test_what_would_end_a_line_is_refused(options, words):
    with pytest.raises(ValueError, match=words):
        client(**options)


def test_credentials_are_never_shown():
    text = repr(ProxyOptions(PROXY, "alice", "secret"))
    assert "secret" not in text
    assert "alice" not in text
