"""The hellos of simulated TLS and DTLS: what is written is read, what is none is refused, and whom a certificate is for."""

import pytest
from hypothesis import given, strategies as st

from sansice.simulation._world._hellos import (
    DTLS_1_2,
    TLS_1_3,
    ClientHello,
    ServerHello,
    TlsError,
    choose_alpn,
    client_hello_untrusted,
    name_to_send,
    refusal,
    server_hello_untrusted,
)

names = st.text("abcdefghij.-", max_size=30)
protocols = st.lists(st.text("abc./", min_size=1, max_size=10), max_size=3).map(tuple)
randoms = st.binary(min_size=32, max_size=32)


@given(randoms, names, protocols, st.none() | st.binary(max_size=40))
def test_a_client_hello_is_read_as_it_was_written(random, name, alpn, cookie):
    hello = ClientHello(random, name, alpn, cookie)
    assert client_hello_untrusted(hello.encode()) == hello


@given(randoms, st.sampled_from([TLS_1_3, DTLS_1_2]), st.sampled_from(["", "stun.turn"]), st.lists(names, max_size=4).map(tuple))
def test_a_server_hello_is_read_as_it_was_written(random, version, alpn, names):
    hello = ServerHello(random, version, alpn, names)
    assert server_hello_untrusted(hello.encode()) == hello


@given(st.binary(max_size=120))
def test_what_is_no_hello_is_an_error_and_nothing_else(data):
    for parse in (client_hello_untrusted, server_hello_untrusted):
        try:
            parse(data)
        except TlsError:
            pass


@pytest.mark.parametrize("parse", [client_hello_untrusted, server_hello_untrusted])
def test_a_hello_that_is_cut_anywhere_is_refused(parse):
    whole = {
        client_hello_untrusted: ClientHello(bytes(32), "a.example", ("x",)).encode(),
        server_hello_untrusted: ServerHello(bytes(32), TLS_1_3, "x", ("a.example",)).encode(),
    }[parse]
    for length in range(len(whole)):
        with pytest.raises(TlsError):
            parse(whole[:length])


@pytest.mark.parametrize(
    ("presented", "expected"),
    [
        ("b.example", "b.example"),
        ("B.Example.", "b.example"),
        ("*.example.org", "b.example.org"),
        ("b.example", "B.example."),
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:DB8:0::1"),
    ],
)
def test_a_certificate_is_for_its_names(presented, expected):
    assert refusal(("other", presented), expected) is None


@pytest.mark.parametrize(
    ("presented", "expected"),
    [
        ("b.example", "c.example"),
        ("b.example", "a.b.example"),
        ("*.example", "b.example"),  # half of the world
        ("*.b.example", "b.example"),
        ("*.b.example.org", "a.c.example.org"),
        ("b*.example.org", "bc.example.org"),
        ("*.0.2.1", "192.0.2.1"),
        ("192.0.2.1", "192.0.2.2"),
        ("b.example", "192.0.2.1"),
        ("192.0.2.1", "b.example"),
        ("b.example", "b..example"),
    ],
)
def test_a_certificate_is_for_nobody_else(presented, expected):
    assert refusal((presented,), expected) == f"the certificate was refused: it is not for {expected}"


def test_only_names_in_ascii_are_sent_and_literals_are_not():
    assert (name_to_send("b.example"), name_to_send("192.0.2.1"), name_to_send("::1")) == ("b.example", "", "")
    for name in ("stün.example", ""):
        with pytest.raises(ValueError, match="not a name in ASCII"):
            name_to_send(name)


def test_the_server_chooses_by_its_own_order_or_nothing():
    assert choose_alpn(("a", "b"), ("b", "a")) == "a"
    assert choose_alpn(("a",), ("b",)) == choose_alpn((), ("b",)) == ""
