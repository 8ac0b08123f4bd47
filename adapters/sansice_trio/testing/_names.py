"""Names: `trio.socket.getaddrinfo` through the name service of the simulated host."""

from __future__ import annotations

import socket
from typing import Any

import trio

from sansice import AddressRecord, RecordKind, ResolveError
from sansice.simulation import Host
from sansice.sockets import Answer

from ._here import here

_ERRORS = {
    ResolveError.NOT_FOUND: (socket.EAI_NONAME, "Name or service not known"),
    ResolveError.TIMEOUT: (socket.EAI_AGAIN, "Temporary failure in name resolution"),
}
_FAILURE = (socket.EAI_FAIL, "Non-recoverable failure in name resolution")

_KINDS = {socket.AF_INET: RecordKind.A, socket.AF_INET6: RecordKind.AAAA}
_LOCALHOST = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}
_PROTOCOLS = {socket.SOCK_STREAM: socket.IPPROTO_TCP, socket.SOCK_DGRAM: socket.IPPROTO_UDP}


class Names(trio.abc.HostnameResolver):
    """Asks the name service of the host that the task is on, see `Network.resolve`."""

    async def getaddrinfo(
        self, host: bytes | None, port: bytes | str | int | None, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> Any:
        """As `socket.getaddrinfo`, for names; both families take their time at once.

        What the host has a way to comes first, IPv6 before IPv4 (RFC 6724 5, rules 1 and 6).
        """
        me = here(f"the name {host!r} is looked up")
        name = (host or b"").decode("ascii")
        number = _port(port)
        families = [one for one in (socket.AF_INET6, socket.AF_INET) if family in (0, one)]
        found = await _look_up(me, name, families)
        ranked = sorted(found, key=lambda one: me.route(one[1]) is None)
        types = [one for one in _PROTOCOLS if type in (0, one) and proto in (0, _PROTOCOLS[one])]
        return [
            (one, kind, _PROTOCOLS[kind], "", (address, number, 0, 0) if one is socket.AF_INET6 else (address, number))
            for one, address in ranked
            for kind in types
        ]

    async def look_up(self, name: str, kind: RecordKind) -> Answer:
        """Records of any kind, for our own adapters."""
        seconds, answer = here(f"the name {name!r} is looked up").names.look_up(name, kind)
        await trio.sleep(seconds)
        return answer

    async def getnameinfo(self, sockaddr: tuple[str, int] | tuple[str, int, int, int], flags: int) -> tuple[str, str]:
        """As `socket.getnameinfo` where no address has a name."""
        await trio.lowlevel.checkpoint()
        if flags & socket.NI_NAMEREQD:
            raise socket.gaierror(*_ERRORS[ResolveError.NOT_FOUND])
        return sockaddr[0], str(sockaddr[1])


async def _look_up(host: Host, name: str, families: list[socket.AddressFamily]) -> list[tuple[socket.AddressFamily, str]]:
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761 6.3
        await trio.lowlevel.checkpoint()
        return [(family, _LOCALHOST[family]) for family in families]
    answers = [(family, *host.names.look_up(name, _KINDS[family])) for family in families]
    await trio.sleep(max((seconds for _, seconds, _ in answers), default=0.0))
    found = [
        (family, record.host)
        for family, _, answer in answers
        if not isinstance(answer, ResolveError)
        for record in answer
        if isinstance(record, AddressRecord)
    ]
    if not found:
        errors = [answer for _, _, answer in answers if isinstance(answer, ResolveError)]
        # One family without records is no failure of the name; one that is not answered is.
        worst = next((error for error in errors if error is not ResolveError.NOT_FOUND), ResolveError.NOT_FOUND)
        raise socket.gaierror(*_ERRORS.get(worst, _FAILURE))
    return found


def _port(port: bytes | str | int | None) -> int:
    if port is None or isinstance(port, int):
        return port or 0
    text = port.decode("ascii") if isinstance(port, bytes) else port
    if text.isdigit():
        return int(text)
    try:
        return socket.getservbyname(text)
    except OSError:
        raise socket.gaierror(socket.EAI_SERVICE, "Servname not supported for ai_socktype") from None
