"""Finding a server behind a proxy: the proxy is looked up here, and the server's name by the proxy (RFC 9110 9.3.6)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import cast

from sansice.machine import Action, Address, Entropy, Ids, Machine, QueryId, Record, ResolveError, Transport
from sansice.stun._http_proxy import HttpProxy
from sansice.stun._uri import ServerUri

from ._resolution import TIMEOUT, ResolutionFailed, ServerResolution, ServerResolved
from ._rules import ServerTarget, default_transports, usable_transports


class ProxiedResolution(Machine):
    """Turns one URI into the ways through a proxy; then it is over, in `ServerResolved` or `ResolutionFailed`.

    In use it is a `ServerResolution`. Nobody asks the DNS about the server, which few networks with proxies know about: there are
    no NAPTR and SRV records, and a URI without a port means the default one. What the proxy connects to is TCP or TLS.

    Args:
        uri: the server's.
        proxy: the way out.
        transports: towards the server, in order of preference; TCP and TLS are what is used of them.
        verify_name: what certificates must say, instead of the URI's host.
        families: of the proxy's addresses, the preferred one first.
        ids: of the tree of machines that this one is in.
        timeout: seconds until the proxy's name is given up.
        entropy: as for `ServerResolution`.

    Raises:
        LocalProtocolError: ``verify_name`` is no host name; and as `ServerResolution` does.
    """

    __slots__ = ("_proxy", "_resolution", "_transports", "_uri", "_verify_name")

    def __init__(
        self,
        uri: ServerUri,
        proxy: HttpProxy,
        *,
        transports: Sequence[Transport] | None = None,
        verify_name: str | None = None,
        families: Sequence[int] = (6, 4),
        ids: Ids | None = None,
        timeout: float = TIMEOUT,
        entropy: Entropy = os.urandom,
    ) -> None:
        super().__init__()
        self._uri = uri
        self._proxy = proxy
        allowed = default_transports(uri) if transports is None else tuple(transports)
        # Only NAPTR records make TLS of a turn: URI, and there are none here.
        self._transports = tuple(one for one in allowed if one.is_stream and one.is_secure == uri.is_secure)
        self._verify_name = verify_name
        self._resolution = ServerResolution(
            proxy.uri,
            transports=(Transport.TCP,),
            verify_name=verify_name,  # looked at for its grammar alone, as no certificate is asked of the proxy
            families=families,
            ids=ids,
            timeout=timeout,
            entropy=entropy,
        )

    def start(self, *, now: float) -> None:
        """Begin.

        Raises:
            LocalProtocolError: it was started or cancelled before.
        """
        try:
            self._transports = usable_transports(self._uri, self._transports)
            if self._uri.is_secure and self._uri.is_literal and self._verify_name is None:
                raise ValueError("an IP address says nothing about whose certificate to expect: give the name to verify")
        except ValueError as error:
            self._resolution.cancel(now=now)
            self._outputs.append(ResolutionFailed(f"through a proxy {error}"))
            return
        self._resolution.start(now=now)
        self._absorb()

    def cancel(self, *, now: float) -> None:
        """Forget it: no event follows. Safe at any time, and again."""
        self._resolution.cancel(now=now)

    def handle_resolved(self, query: QueryId, answer: tuple[Record, ...] | ResolveError, *, now: float) -> None:
        """Take an answer of the DNS about the proxy."""
        self._resolution.handle_resolved(query, answer, now=now)
        self._absorb()

    def handle_timer(self, *, now: float) -> None:
        """Give up on questions that have waited too long."""
        self._resolution.handle_timer(now=now)
        self._absorb()

    def deadline(self) -> float:
        """When a question is given up."""
        return self._resolution.deadline()

    def _absorb(self) -> None:
        for output in self._resolution.take_outputs():
            if isinstance(output, Action):
                self._outputs.append(output)
            elif isinstance(output, ServerResolved):
                ways = [(transport, at.address) for transport in self._transports for at in output.targets]
                self._outputs.append(ServerResolved(tuple(self._way(*way) for way in ways)))
            else:
                reason = cast(ResolutionFailed, output).reason
                self._outputs.append(ResolutionFailed(f"the proxy {self._proxy}: {reason}"))

    def _way(self, transport: Transport, at: Address) -> ServerTarget:
        uri = self._uri
        server = Address(uri.host, uri.port if uri.port is not None else uri.default_port)
        name = (self._verify_name or uri.host) if transport.is_secure else None
        if uri.is_literal:
            return ServerTarget(transport, server, name, self._proxy.options(at))
        return ServerTarget(transport, at, name, self._proxy.options(at, str(server)))
