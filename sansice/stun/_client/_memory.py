"""What a client knows of servers between requests: how long they take, and how requests to them are authenticated."""

from __future__ import annotations

from collections import OrderedDict

import attrs

from sansice.machine import Address
from sansice.stun._authentication._client import ClientAuthentication
from sansice.stun._authentication._credentials import AccessToken, Credentials
from sansice.stun._paths import Path
from sansice.stun._rto import RtoCache
from sansice.stun._schedule import Schedule
from sansice.stun._security import AlgorithmChoice, first_supported

from ._config import StunClientConfig

MAX_IDENTITIES = 1024  # ours: servers whose realm and nonce are remembered, as many as have an RTO


class ServerMemory:
    """By server: round-trip times by its IP address (RFC 8489 6.2.1), authentication by address and port (9.1.5).

    Args:
        config: of the client.
        credentials: for every server.
        choose: picks password algorithms.
    """

    __slots__ = ("_authentications", "_choose", "_config", "_credentials", "_rtos")

    def __init__(
        self,
        config: StunClientConfig,
        credentials: Credentials | None,
        choose: AlgorithmChoice = first_supported,
    ) -> None:
        self._config = config
        self._choose = choose
        self._credentials = credentials
        self._authentications: OrderedDict[Address, ClientAuthentication] = OrderedDict()
        self._rtos = RtoCache(initial=config.schedule.rto)

    def schedule(self, path: Path, now: float) -> Schedule:
        """The schedule of the next request: it starts from what earlier answers taught."""
        schedule = self._config.schedule
        if path.reliable:
            return schedule
        rto = max(self._rtos.rto(path.remote.host, now=now), min(self._config.least_rto, schedule.rto))
        return schedule if rto == schedule.rto else attrs.evolve(schedule, rto=rto, minimum_rto=0.0)

    def finished(self, path: Path, rtt: float | None, now: float) -> None:
        """A transaction has ended; ``rtt`` where it taught one."""
        if not path.reliable:
            self._rtos.finished(path.remote.host, rtt, now=now)

    def authentication(self, remote: Address) -> ClientAuthentication:
        """What is known of this server; of an unknown one, nothing yet, and nothing is remembered by asking."""
        return self._authentications.get(remote) or ClientAuthentication(self._credentials, choose=self._choose)

    def renew(self, token: AccessToken) -> None:
        """Show another access token to every server."""
        self._credentials = token
        for authentication in self._authentications.values():
            authentication.renew(token)

    def remember(self, remote: Address, authentication: ClientAuthentication) -> ClientAuthentication:
        """Keep what `authentication` said; the server that was asked least recently is forgotten first."""
        self._authentications[remote] = authentication
        self._authentications.move_to_end(remote)
        if len(self._authentications) > MAX_IDENTITIES:
            self._authentications.popitem(last=False)
        return authentication
