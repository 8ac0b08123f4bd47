"""The proxy of a network, as it is written."""

import pytest

from sansice import Address, ProxyOptions
from sansice.stun import HttpProxy, as_proxy


@pytest.mark.parametrize(
    ("text", "proxy"),
    [
        ("http://proxy.example.org:8080", HttpProxy("proxy.example.org", 8080)),
        ("HTTP://Proxy.Example.org/", HttpProxy("proxy.example.org", 3128)),
        ("http://[2001:DB8::1]:8080", HttpProxy("2001:db8::1", 8080)),
        ("http://u:p@192.0.2.1:80", HttpProxy("192.0.2.1", 80, "u", "p")),
        ("http://u@192.0.2.1", HttpProxy("192.0.2.1", 3128, "u", "")),
        ("http://u:p:q@r@192.0.2.1", HttpProxy("192.0.2.1", 3128, "u", "p:q@r")),
        ("http://k%C3%B6nig:%40%3A@192.0.2.1", HttpProxy("192.0.2.1", 3128, "könig", "@:")),
    ],
)
def test_a_text_names_host_port_and_user(text, proxy):
    assert HttpProxy.parse(text) == as_proxy(text) == as_proxy(proxy) == proxy


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("proxy:3128", "written http://HOST:PORT"),
        ("https://proxy:3128", "written http://HOST:PORT"),
        ("http://", "not HOST:PORT"),
        ("http://alice:hunter2", "not HOST:PORT"),
        ("http://alice:hunter2@:99999", "not HOST:PORT"),
        ("http://alice:hunter2@proxy/path", "not HOST:PORT"),
        ("http://alice%ff:hunter2@proxy", "not HOST:PORT"),
        ("http://alice:hunter2%0d%0a@proxy", "no control characters"),
        ("http://al%3Aice:hunter2@proxy", "no colon"),
    ],
)
def test_another_text_is_refused_without_saying_who_it_was_about(text, words):
    with pytest.raises(ValueError, match=words) as caught:
        HttpProxy.parse(text)
    assert "alice" not in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("bad", [{"host": "a b"}, {"host": "proxy", "port": 0}, {"host": "proxy", "username": "a:b"}])
def test_what_cannot_be_a_proxy_is_none(bad):
    with pytest.raises(ValueError, match=r"host|port|colon|name"):
        HttpProxy(**bad)


def test_nobody_is_shown_the_credentials():
    proxy = HttpProxy("proxy.example.org", 8080, "alice", "hunter2")
    for text in (repr(proxy), str(proxy)):
        assert "alice" not in text
        assert "hunter2" not in text
    assert str(proxy) == "http://proxy.example.org:8080"
    address = Address("192.0.2.1", 8080)
    assert proxy.options(address, "turn.example:443") == ProxyOptions(address, "alice", "hunter2", "turn.example:443")
