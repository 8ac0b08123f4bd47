"""The sockets of the full agent: which component each is for, what is found through them, and when they are closed."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import TYPE_CHECKING

from sansice.ice._events import CandidateGathered, GatheringCompleted, ServerAnswered, ServerFailed
from sansice.ice._gathering._gatherer import LocalLost, PeerUnreachable
from sansice.ice._gathering._host_list import HostList
from sansice.ice._gathering._local_candidates import LocalFound
from sansice.ice._telling._tally import CheckFailure
from sansice.machine import CloseMode, CloseSocket, SocketError, SocketErrorKind, SocketId, Transport

from ._checks import Checks
from ._component import Component
from ._view import AgentView

if TYPE_CHECKING:
    from sansice.ice._tcp._paths import TcpPaths

    from ._moving import Moving

FREE = -2  # a timer beside those of streams: unselected candidates are released
MOVE = -5  # another: new addresses have waited for long enough
_ADDRESS_GONE = SocketError(SocketErrorKind.ADDRESS_UNAVAILABLE, "the machine has lost the address")


class AgentSockets(AgentView):
    """What `IceAgent` does about sockets, relayed addresses among them; applications use that, not this."""

    __slots__ = ("_checks", "_sockets")

    _checks: Checks
    _sockets: dict[SocketId, Component]  # in the order of opening

    def _begin_gathering(self, hosts: HostList, now: float) -> None:
        """For the first time, or for what has restarted since."""
        self._forget_servers(hosts.names, asked_again=len(self._ungathered) in (0, len(self._streams)))
        self._session.gathered_at = math.inf
        if self._moving is not None:
            self._moving.waiting = None  # these are later ones
        self._gatherer.start(hosts, streams=self._ungathered or None, now=now)
        self._ungathered = ()
        self._know_sockets()

    def _know_sockets(self) -> None:
        for socket, place in self._gatherer.opening.items():
            self._sockets.setdefault(socket, self._streams[place.stream].components[place.component - 1])

    def _move_to(self, hosts: HostList, now: float) -> None:
        """Let go of addresses that are gone at once, and gather from new ones, if there is a use for them and it is time."""
        moving = self._have_moving()
        self._forget_servers(hosts.names, asked_again=False)
        moving.waiting = None
        opens = self._has_use_for_more and self._gatherer.is_lacking(hosts)
        if opens and not moving.may_open(now):
            opens = False
            self._session.timers.set(MOVE, moving.wait(hosts))
        moving.is_under_way = True
        for socket in self._gatherer.update(hosts, opens=opens, is_told=not self._ungathered, now=now):
            component = self._sockets[socket]
            self._close_socket(socket, CloseMode.RESET, now)
            self._lose_socket(component, socket, _ADDRESS_GONE, now)
        if self._relaying is not None:
            self._relaying.lose_hosts(hosts.names, _ADDRESS_GONE, now)
        self._know_sockets()
        self._pass_on(now)
        moving.is_under_way = False
        if hosts.names:
            moving.tell(self._streams, self._gatherer)

    def _have_moving(self) -> Moving:
        if self._moving is None:
            from ._moving import Moving  # most agents stay where they are

            self._moving = Moving(self._session)
        return self._moving

    @property
    def _has_use_for_more(self) -> bool:
        """Whether a pair that is still to come may be used: not where all is selected for good, or over (RFC 8445 8.3)."""
        if self._ungathered:
            return False  # gather() will come, and begin with what there is then
        return self._is_moving or any(stream.is_to_select for stream in self._streams)

    def _lose_socket(self, component: Component, socket: SocketId, error: SocketError, now: float) -> None:
        stream = self._streams[component.stream]
        stream.lose_socket(socket, error, is_moving=self._moving is not None and self._moving.is_under_way, now=now)

    def _pass_on(self, now: float) -> None:
        """Do what the gatherer wants."""
        for output in self._gatherer.take_outputs():
            if isinstance(output, LocalFound):
                self._add_local(output, now)
            elif isinstance(output, LocalLost):
                component = self._sockets.pop(output.socket, None)
                if component is not None:
                    error = SocketError(SocketErrorKind.OTHER, output.reason)
                    self._lose_socket(component, output.socket, error, now)
            elif isinstance(output, PeerUnreachable):
                self._lose_peer(output, now)
            else:
                if isinstance(output, (ServerAnswered, ServerFailed)):
                    self._session.note_server(output)
                elif isinstance(output, GatheringCompleted):
                    self._session.gathered_at, self._session.is_to_consider = now, True
                self._outputs.append(output)
        self._session.silent_since = self._gatherer.silent_since

    def _forget_servers(self, hosts: Collection[str], *, asked_again: bool) -> None:
        """Other addresses, or another generation: what servers said before is of no interest, unless they relay still."""
        known, relays = self._session.servers, self._gatherer.relays
        if known is None or relays is None:
            return
        live = {address for relay in relays.live if relay.granted is not None for _, address in relay.granted.addresses}
        for key, outcome in tuple(known.items()):
            is_used = isinstance(outcome, ServerAnswered) and any(address in live for address in outcome.relayed)
            if not is_used and (asked_again or outcome.local not in hosts):
                del known[key]

    def _lose_peer(self, lost: PeerUnreachable, now: float) -> None:
        component = self._sockets.get(lost.socket)
        if component is None:
            return
        for remote in tuple(component.conclusion.pairing.remotes):
            if remote.host == lost.host and lost.port in (None, remote.port):
                why = CheckFailure.FORBIDDEN if lost.is_refused else CheckFailure.UNREACHABLE
                self._checks.handle_unreachable(lost.socket, remote, why, now=now)

    def _add_local(self, found: LocalFound, now: float) -> None:
        local, candidate = found.local, found.local.candidate
        stream = self._streams[local.stream]
        self._sockets.setdefault(local.socket, stream.components[candidate.component - 1])
        if self._tcp is not None and candidate.transport is Transport.TCP:
            self._tcp.add_base(local.socket, candidate.tcp_type, local.base)
        stream.add_local(local)
        self._permit(now)
        if found.told:
            self._outputs.append(CandidateGathered(local.stream, candidate.component, candidate))

    def _permit(self, now: float) -> None:
        """Have relays let in whom the peer has told, before checks begin: so that the peer's checks come in, too."""
        if self._relaying is not None:
            self._relaying.permit(self._sockets, now)

    @property
    def _is_moving(self) -> bool:
        """Whether a candidate that is still to come may be moved to."""
        return any(conclusion.mover is not None for stream in self._streams for conclusion in stream.checker.conclusions)

    def _free_unselected(self, now: float) -> None:
        """Close the sockets that no selected pair uses (RFC 8445 8.3.1), and let go of what was before a restart."""
        for stream in self._streams:
            stream.forget_former()
        for socket, component in tuple(self._sockets.items()):
            if (component.path is None or socket != component.path[0]) and not component.conclusion.keeps(socket):
                self._streams[component.stream].checker.remove_local(socket, now=now)
                self._close_socket(socket, CloseMode.FLUSH, now)
        if self._tcp is not None:
            self._close_connections(self._tcp)
        if self._is_moving and self._relaying is not None:  # which relays are kept changes with the pair in use
            self._session.timers.set(FREE, now + self._session.config.keepalive_interval)

    def _close_connections(self, tcp: TcpPaths) -> None:
        """Close the connections that no selected pair uses (RFC 6544 8)."""
        for path in tcp.paths():
            component = self._sockets[path[0]]
            if path != component.path and component.conclusion.mover is None:
                tcp.close_path(path)

    def _act_on_losses(self, tcp: TcpPaths, now: float) -> None:
        """Tell the streams of connections that are no more, and of those that could not be opened."""
        losses, tcp.losses = tcp.losses, []
        for loss in losses:
            component = self._sockets.get(loss.socket)
            if component is None:
                continue
            path, used = (loss.socket, loss.remote), component.used
            is_in_use = used is not None and component.path == path
            was_answered = used is not None and is_in_use and tcp.note_loss(path, used.tally.responses_received)
            self._streams[component.stream].lose_connection(
                component, loss, is_in_use=is_in_use, was_answered=was_answered, now=now
            )

    def _close_socket(self, socket: SocketId, mode: CloseMode, now: float) -> None:
        del self._sockets[socket]
        if self._tcp is not None and self._tcp.is_base(socket):
            self._gatherer.forget(socket)
            self._tcp.close_base(socket, mode)
        elif self._relaying is None:
            self._gatherer.forget(socket)
            self._outputs.append(CloseSocket(socket, mode))
        else:
            self._relaying.close_socket(socket, mode, now)
