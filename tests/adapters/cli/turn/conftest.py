"""Relays to be tried, in this process."""

import contextlib

import pytest

from sansice.sockets import TlsConfig
from sansice.turn import PeerPolicy
from sansice_blocking import serve_turn


@pytest.fixture
def relay():
    """Serves: ``with relay("udp:127.0.0.1:0") as service``. Without a policy it relays to itself, and nowhere else here."""

    @contextlib.contextmanager
    def serving(listen="127.0.0.1:0", **options):
        options = {"users": {"alice": "secret"}, "realm": "example.org", **options}
        with serve_turn([listen], **options) as service:
            yield service

    return serving


@pytest.fixture
def uri():
    """The URI of a listener of a service."""

    def of(service, number=0):
        transport, address = service.listening[number]
        scheme = "turns" if transport.is_secure else "turn"
        return f"{scheme}:{address}?transport={'tcp' if transport.is_stream else 'udp'}"

    return of


@pytest.fixture
def loopback():
    """A policy that lets clients reach this machine."""
    return PeerPolicy(allow=["127.0.0.0/8"])


@pytest.fixture
def tls(certificate):
    """What a server presents."""
    return TlsConfig(certificate[0])
