"""``stun:``, ``stuns:``, ``turn:`` and ``turns:`` URIs (RFC 7064, RFC 7065)."""

from __future__ import annotations

import re

import attrs

from sansice.machine import Address

DEFAULT_PORT = 3478  # RFC 8489 8.1, RFC 7064 3.2, RFC 7065 3.2
DEFAULT_SECURE_PORT = 5349  # of TLS and DTLS alike (RFC 7350 3)

_SCHEMES = ("stun", "stuns", "turn", "turns")
_MAX_NAME = 253  # RFC 1035 2.3.4: 255 bytes on the wire, two of which the text has not
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)  # RFC 1123 2.1; an underscore as in RFC 2782
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
_TRANSPORT = re.compile(r"[A-Za-z0-9._~-]+", re.ASCII)  # RFC 7065 3.1: 1*unreserved
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})", re.ASCII)
_QUERY = "transport="


@attrs.frozen
class ServerUri:
    """Where a STUN or TURN server is, as people write it: ``stun:example.org``, ``turns:[2001:db8::1]:443?transport=tcp``.

    `parse` and `of` check and canonicalise; the constructor does neither. Equal URIs have equal fields.

    Attributes:
        scheme: ``"stun"``, ``"stuns"``, ``"turn"`` or ``"turns"``.
        host: a canonical IPv4 or IPv6 literal without brackets, or a name in lower case without a trailing dot.
        port: ``None`` where the URI has none, and DNS or the default decides.
        transport: of ``turn`` and ``turns``: ``"udp"``, ``"tcp"`` or another token, in lower case, which the
            resolution may not know; ``None`` where the URI has none.
    """

    scheme: str
    host: str
    port: int | None = None
    transport: str | None = None

    @classmethod
    def of(cls, scheme: str, host: str, port: int | None = None, transport: str | None = None) -> ServerUri:
        """Make a URI of its parts, as a configuration may have them.

        Args:
            scheme: in upper or lower case.
            host: a name or a literal; IPv6 with or without brackets.
            port: 1..65535, or ``None``.
            transport: of ``turn`` and ``turns`` only.

        Raises:
            ValueError: says which part is wrong, and how.
        """
        scheme = scheme.lower()
        if scheme not in _SCHEMES:
            raise ValueError(f"{scheme!r} is none of the schemes stun, stuns, turn and turns")
        if port is not None and not 1 <= port <= 65535:
            raise ValueError(f"port {port} is outside 1..65535")
        if transport is not None:
            if not scheme.startswith("turn"):
                raise ValueError(f"a {scheme} URI has no transport (RFC 7064 3.1)")
            if not _TRANSPORT.fullmatch(transport):
                raise ValueError(f"transport {transport!r} is not made of letters, digits, '-', '.', '_' and '~'")
            transport = transport.lower()
        bracketed = host.startswith("[") and host.endswith("]")
        host = _ipv6(host[1:-1]) if bracketed else _ipv6(host) if ":" in host else _name_or_ipv4(host)
        return cls(scheme, host, port, transport)

    @classmethod
    def parse(cls, text: str) -> ServerUri:
        """Read a URI by the grammar of RFC 7064 3.1 and RFC 7065 3.1.

        Raises:
            ValueError: names what is wrong, and where there is an obvious remedy, the remedy.
        """
        try:
            return cls.of(*_split(text))
        except ValueError as error:
            raise ValueError(f"{text!r}: {error}") from None

    @property
    def is_secure(self) -> bool:
        """Whether the server is to be reached by TLS or DTLS: the flag ``<secure>`` of RFC 5928."""
        return self.scheme in ("stuns", "turns")

    @property
    def is_turn(self) -> bool:
        """Whether it is a TURN server's."""
        return self.scheme in ("turn", "turns")

    @property
    def is_literal(self) -> bool:
        """Whether the host is an IP address and needs no look-up."""
        return ":" in self.host or self.host.rpartition(".")[2].isdigit()

    @property
    def default_port(self) -> int:
        """The port where neither URI nor DNS names one: 3478, and 5349 of a secure scheme."""
        return DEFAULT_SECURE_PORT if self.is_secure else DEFAULT_PORT

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = f":{self.port}" if self.port is not None else ""
        query = f"?{_QUERY}{self.transport}" if self.transport is not None else ""
        return f"{self.scheme}:{host}{port}{query}"


def _split(text: str) -> tuple[str, str, int | None, str | None]:
    if any(character.isspace() or not character.isprintable() for character in text):
        raise ValueError("a URI has no white space or control characters in it")
    scheme, colon, rest = text.partition(":")
    if not colon or scheme.lower() not in _SCHEMES:
        raise ValueError("a server's URI begins with stun:, stuns:, turn: or turns:")
    if rest.startswith("//"):
        raise ValueError(f"no // after {scheme}: (write {scheme}:{rest.lstrip('/')})")
    location, question, query = rest.partition("?")
    for character, name in (("#", "fragment"), ("@", "user"), ("/", "path")):
        if character in rest:
            raise ValueError(f"there is no {name} in such a URI, and so no {character!r}")
    host, port = _host_and_port(location)
    return scheme, host, port, _transport(query) if question else None


def _host_and_port(location: str) -> tuple[str, int | None]:
    if location.startswith("["):
        host, bracket, port = location.partition("]")
        if not bracket:
            raise ValueError("'[' without ']'")
        if port and not port.startswith(":"):
            raise ValueError(f"{port!r} after the address is no port")
        return f"{host}]", _port(port[1:])
    if location.count(":") > 1:
        raise ValueError("an IPv6 address goes into square brackets")
    host, _, port = location.partition(":")
    return _unescape(host), _port(port)


def _unescape(host: str) -> str:
    """Undo percent-encoding, which RFC 3986 3.2.2 allows in a name, and nowhere else."""
    name = _ESCAPE.sub(lambda escape: chr(int(escape[1], 16)), host)
    if ":" in name:
        raise ValueError(f"{host!r} is not a host name")
    return name


def _port(digits: str) -> int | None:
    if not digits:
        return None  # RFC 3986 3.2.3: `host:` is the same as `host`
    significant = digits.lstrip("0") or "0"  # RFC 3986 3.2.3: as many digits as one likes
    if not (digits.isascii() and digits.isdigit()) or len(significant) > 5:
        raise ValueError(f"port {digits!r} is not a number in 1..65535")
    return int(significant)


def _transport(query: str) -> str:
    if not query.lower().startswith(_QUERY):
        raise ValueError(f"after '?' comes only {_QUERY}, not {query!r}")
    return query[len(_QUERY) :]


def _ipv6(text: str) -> str:
    if "%" in text:
        raise ValueError(f"{text!r} has a zone, which means nothing to anybody else")
    if ":" not in text:
        raise ValueError(f"{text!r} in square brackets is not an IPv6 address")
    return Address.of(text, 0).host


def _name_or_ipv4(text: str) -> str:
    if not text:
        raise ValueError("the host is missing")
    if not text.isascii():
        raise ValueError(f"{text!r} is not ASCII: write an international name in its ASCII form (xn--...)")
    if _NUMBER.fullmatch(text.lower().rstrip(".").rpartition(".")[2]):
        return Address.of(text, 0).host
    return host_name(text)


def host_name(text: str) -> str:
    """Check and canonicalise a name of the DNS: lower case, without the trailing dot.

    Raises:
        ValueError: it is none. No name ends in a number, but 127.1 and 0x7f000001 are addresses to some systems.
    """
    name = text.lower().removesuffix(".")
    labels = name.split(".")
    for label in labels:
        if not _LABEL.fullmatch(label):
            raise ValueError(f"{text!r} is not a host name: {label!r} is no label of 1..63 letters, digits and inner hyphens")
    if _NUMBER.fullmatch(labels[-1]):
        raise ValueError(f"{text!r} is not a host name: it ends in a number")
    if len(name) > _MAX_NAME:
        raise ValueError(f"a host name has at most {_MAX_NAME} characters, this one {len(name)}")
    return name
