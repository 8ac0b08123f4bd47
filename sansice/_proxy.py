"""Opening a stream through an HTTP proxy, without I/O: CONNECT (RFC 9110 9.3.6).

A driver opens the connection to the proxy, writes `ProxyClient.request`, and gives what comes to `ProxyClient.receive` until
that returns: from there on the connection is the server's, and TLS may begin on it.
"""

from __future__ import annotations

import base64
import re

from .machine import Address, ProxyOptions

MAX_HEAD = 8192  # bytes of all that a proxy says before the tunnel begins: what servers commonly take of a client

_VERSION = b"HTTP/1."
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})(?: ([^\r\n]*))?\r?\n")
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_WANTED = re.compile(rb"^proxy-authenticate:[ \t]*([!-+\--~]+)", re.IGNORECASE | re.MULTILINE)
_MAX_REASON = 80  # characters of what a proxy says: the text goes to a person, and perhaps into a log
_WANT_CREDENTIALS = (401, 407)  # RFC 9110 15.5.8; and 401, as which tinyproxy refuses wrong ones


class ProxyError(Exception):
    """The proxy does not want to, or is none; the text is for a person, and has no credentials in it."""


class ProxyClient:
    """One request to a proxy. It is never repeated: what a proxy has refused it refuses again.

    Args:
        options: who to ask, and as whom.
        remote: where to, unless the options name it.
    """

    __slots__ = ("_head", "_options", "_remote")

    def __init__(self, options: ProxyOptions, remote: Address) -> None:
        self._options = options
        self._remote = remote
        self._head = bytearray()

    def request(self) -> bytes:
        """What to send."""
        options = self._options
        authority = options.authority or str(self._remote)
        lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
        if options.username is not None:
            # RFC 7617 2.1: UTF-8 is the encoding that servers can say they want, and the only one that suits all names.
            credentials = f"{options.username}:{options.password or ''}".encode()
            lines.append(f"Proxy-Authorization: Basic {base64.b64encode(credentials).decode()}")
        return "".join(f"{line}\r\n" for line in [*lines, ""]).encode()

    def receive(self, data: bytes) -> bytes | None:
        """Take what the proxy sends; once it lets us through, return what follows its answer, which is the server's.

        Raises:
            ProxyError: the answer is another than 2xx, or is none.
        """
        self._head += data
        while True:
            if not self._head.startswith(_VERSION[: len(self._head)]):
                raise ProxyError(f"{self._options.address} is no HTTP proxy")
            end = _HEAD_END.search(self._head, 0, MAX_HEAD)
            if end is None:
                if len(self._head) >= MAX_HEAD:
                    raise ProxyError(f"the answer of the proxy {self._options.address} does not end within {MAX_HEAD} bytes")
                return None
            status = _STATUS.match(self._head)
            if status is None:
                raise ProxyError(f"{self._options.address} is no HTTP proxy")
            code = int(status[1])
            if code // 100 == 2:
                # RFC 9110 9.3.6: the tunnel begins behind the head, whatever that says of a body.
                return bytes(self._head[end.end() :])
            if code // 100 != 1:
                raise ProxyError(self._refusal(code, bytes(status[2] or b""), bytes(self._head[: end.end()])))
            del self._head[: end.end()]  # RFC 9110 15.2: not the answer yet

    def timed_out(self, seconds: float) -> ProxyError:
        """Why the connection is given up: no whole answer came."""
        said = f"has said no more than {len(self._head)} bytes" if self._head else "has not answered"
        return ProxyError(f"the proxy {self._options.address} {said} within {seconds:g} seconds")

    def ended(self) -> ProxyError:
        """Why the connection is given up: the proxy ended it."""
        return ProxyError(f"the proxy {self._options.address} closed the connection without an answer")

    def _refusal(self, code: int, reason: bytes, head: bytes) -> str:
        text = f"the proxy {self._options.address} answered {code} {_printable(reason)}".rstrip()
        if code not in _WANT_CREDENTIALS:
            return text
        if self._options.username is not None:
            return f"{text}: it does not accept the user name and password"
        schemes = ", ".join(dict.fromkeys(_printable(scheme) for scheme in _WANTED.findall(head)))
        return f"{text}: it wants a user name and password" + (f" ({schemes})" if schemes else "")


def _printable(words: bytes) -> str:
    text = words.decode("ascii", "replace")
    return "".join(character if character.isprintable() else "?" for character in text)[:_MAX_REASON]
