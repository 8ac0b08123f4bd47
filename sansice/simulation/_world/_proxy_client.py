"""Opening a stream through an HTTP proxy: CONNECT (RFC 9110 9.3.6)."""

from __future__ import annotations

import base64
import re

from sansice.machine import Address, ProxyOptions

MAX_ANSWER = 8192  # bytes of an answer's head, what servers commonly take; what is longer is no proxy's

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})(?: ([^\r\n]*))?\r?\n")
_HEAD_END = re.compile(rb"\r?\n\r?\n")


class ProxyError(Exception):
    """The proxy does not want to, or is none; the text is for a person."""


class ProxyClient:
    """One request to a proxy.

    Args:
        options: who to ask, and as whom.
        remote: where to.
    """

    __slots__ = ("_answer", "_options", "_remote")

    def __init__(self, options: ProxyOptions, remote: Address) -> None:
        self._options = options
        self._remote = remote
        self._answer = bytearray()

    def request(self) -> bytes:
        """What to send."""
        lines = [f"CONNECT {self._remote} HTTP/1.1", f"Host: {self._remote}"]
        options = self._options
        if options.username is not None:
            credentials = f"{options.username}:{options.password or ''}".encode()
            lines.append(f"Proxy-Authorization: Basic {base64.b64encode(credentials).decode()}")  # RFC 7617 2
        return "".join(f"{line}\r\n" for line in [*lines, ""]).encode()

    def receive(self, data: bytes) -> bytes | None:
        """Take what the proxy sends; once its answer is whole, return what follows it, which is the server's.

        Raises:
            ProxyError: the answer is another than 2xx, or is none.
        """
        self._answer += data
        end = _HEAD_END.search(self._answer)
        if end is None:
            if len(self._answer) > MAX_ANSWER:
                raise ProxyError(f"the answer of {self._options.address} does not end")
            return None
        status = _STATUS.match(self._answer)
        if status is None:
            raise ProxyError(f"{self._options.address} is no HTTP proxy")
        code, reason = status[1].decode(), (status[2] or b"").decode("ascii", "replace")
        if not code.startswith("2"):
            raise ProxyError(f"the proxy {self._options.address} answered {code} {reason}".rstrip())
        return bytes(self._answer[end.end() :])
