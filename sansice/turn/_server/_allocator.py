"""Allocate requests, from their arrival to their answer (RFC 8656 7.2)."""

from __future__ import annotations

import math

import attrs

from sansice.machine import Address, CloseMode, CloseSocket, Entropy, Ids, SocketError, SocketErrorKind, SocketId
from sansice.stun import ALTERNATE_SERVER, AddressErrorCode, ErrorCode, Path, RequestReceived, StunServer
from sansice.turn._embedded_addresses import is_tunnelled

from ._allocate import PortWish, RelayWish, judge_allocate, within_token
from ._allocate_answer import allocate_answer
from ._allocations import Allocations, Outputs
from ._answering import answer, refuse
from ._config import TurnServerConfig
from ._events import ResourcesExhausted
from ._limits import Exceeded, Quotas, Resource, User
from ._mobility import Mobility
from ._openings import Opening, Openings
from ._places import OpenRelay, Places
from ._refusal import FORBIDDEN, MISMATCH, NO_CAPACITY, QUOTA_REACHED, Refusal
from ._relay import DataPath
from ._reservations import Reservations
from ._tickets import Tokens

EXHAUSTED_INTERVAL = 60.0
"""Seconds between two `ResourcesExhausted`: a client that tries again and again is not to fill the log."""


class Allocator:
    """Judges who gets what, asks the system for it, and answers when that is decided.

    Args:
        stun: answers.
        config: the server's.
        data: knows who has an allocation.
        allocations: where new ones go.
        places: where there are ports.
        quotas: of the users.
        mobility: gives tickets.
        ids: names the sockets.
        entropy: tokens, and which alternate.
    """

    __slots__ = (
        "_allocations",
        "_config",
        "_data",
        "_entropy",
        "_exhausted_at",
        "_held",
        "_mobility",
        "_openings",
        "_places",
        "_quotas",
        "_refused",
        "_reservations",
        "_stun",
    )

    def __init__(
        self,
        stun: StunServer,
        config: TurnServerConfig,
        data: DataPath,
        allocations: Allocations,
        places: Places,
        quotas: Quotas,
        mobility: Mobility,
        *,
        ids: Ids,
        entropy: Entropy,
    ) -> None:
        self._stun = stun
        self._config = config
        self._data = data
        self._allocations = allocations
        self._places = places
        self._quotas = quotas
        self._mobility = mobility
        self._entropy = entropy
        self._openings = Openings(places, config.open_attempts, ids)
        tokens = Tokens(config.worker, entropy=entropy)
        self._reservations: Reservations[OpenRelay] = Reservations(tokens, config.reservation_lifetime)
        self._held: dict[SocketId, tuple[bytes, User]] = {}  # reserved: by its token, and for whom
        self._exhausted_at = -math.inf
        self._refused = 0

    @property
    def is_busy(self) -> bool:
        """Whether requests wait for sockets."""
        return len(self._openings) > 0

    def awaits(self, path: Path) -> bool:
        """Whether a request of that 5-tuple waits for sockets."""
        return self._openings.find(path.socket, path.remote) is not None

    # ------------------------------------------------------------- requests

    def allocate(self, received: RequestReceived, outputs: Outputs, *, is_draining: bool, now: float) -> None:
        """Serve an Allocate request, at once or when its sockets are decided. The checks come in the order of the RFC."""
        path, message = received.path, received.message
        allocation = self._data.find(path.socket, path.remote)
        if allocation is not None:
            # The same request again gets the same answer (RFC 8656 5), any other is one too many.
            if (allocation.transaction, allocation.username) == (message.transaction_id, received.username or ""):
                answer(self._stun, received, allocate_answer(allocation, now=now), now)
            else:
                refuse(self._stun, received, MISMATCH, now)
            return
        wish = self._judge(received, is_draining=is_draining)
        mobile = self._mobility.judge_allocate(message, path, authenticated=received.username is not None)
        if isinstance(mobile, Refusal) and not isinstance(wish, Refusal):
            wish = mobile
        if isinstance(wish, Refusal):
            refuse(self._stun, received, wish, now)
            return
        user = self._quotas.user(_account_of(received), now=now)
        refusal = self._take(user, wish)
        if refusal is not None:
            refuse(self._stun, received, refusal, now)
            return
        wish = attrs.evolve(wish, lifetime=within_token(wish.lifetime, received.remaining), mobile=mobile is True)
        opening = Opening(received, received.username or "", user, wish)
        if wish.token is not None:
            self._redeem(opening, wish.token, outputs, now)
            return
        # Where there is a choice, the relayed address is at the host by which the client knows the server.
        self._openings.begin(opening, "" if received.local is None else received.local.host, outputs, now=now)
        self._finish_if_done(opening, outputs, now)

    def _judge(self, received: RequestReceived, *, is_draining: bool) -> RelayWish | Refusal:
        path = received.path
        if self.awaits(path):
            return MISMATCH
        if is_tunnelled(path.remote.host):  # RFC 8656 21.4
            return FORBIDDEN
        elsewhere = self._redirection(path.remote, is_draining=is_draining)
        return elsewhere or judge_allocate(received.message, path.transport, self._places.families(), self._config)

    def _redirection(self, client: Address, *, is_draining: bool) -> Refusal | None:
        """Why a new allocation is somebody else's business; ``None`` where it is welcome."""
        config = self._config
        is_full = config.redirect_from is not None and len(self._allocations) >= config.redirect_from
        if not is_draining and not is_full:
            return None
        others = [one for one in config.alternates if one.is_ipv6 is client.is_ipv6]
        if not others:  # RFC 8489 10: an alternate of another family is none
            return NO_CAPACITY if is_draining else None
        chosen = others[int.from_bytes(self._entropy(4), "big") % len(others)] if len(others) > 1 else others[0]
        return Refusal(ErrorCode(300, "Try Alternate"), ((ALTERNATE_SERVER, chosen),))

    def _take(self, user: User, wish: RelayWish) -> Refusal | None:
        """Count an allocation for a user, and the port reserved with it; why not, and then nothing is counted."""
        exceeded = self._quotas.take(user, Resource.ALLOCATIONS)
        if exceeded is not None:
            return QUOTA_REACHED if exceeded is Exceeded.USER else NO_CAPACITY
        if wish.port is PortWish.PAIR and self._quotas.take(user, Resource.RESERVATIONS) is not None:
            self._quotas.give_back(user, Resource.ALLOCATIONS)
            return NO_CAPACITY
        return None

    def _give_back(self, opening: Opening) -> None:
        """Undo `_take`."""
        self._quotas.give_back(opening.user, Resource.ALLOCATIONS)
        if opening.wish.port is PortWish.PAIR:
            self._quotas.give_back(opening.user, Resource.RESERVATIONS)

    # ------------------------------------------------------------- sockets

    def opened(self, socket: SocketId, local: Address, outputs: Outputs, *, now: float) -> bool:
        """A socket is open; whether it was one of these."""
        opening = self._openings.opened(socket, local)
        if opening is not None:
            self._finish_if_done(opening, outputs, now)
        return opening is not None

    def failed(self, socket: SocketId, error: SocketError, outputs: Outputs, *, now: float) -> bool:
        """A socket could not be opened, or died while it was waiting; whether it was one of these."""
        if socket in self._held:
            token, user = self._held[socket]
            held = self._reservations.claim(token, user.account, now=now)
            if held is not None:  # otherwise its time is over, and the timer is late
                self._let_go(held)
            return True
        opening = self._openings.failed(socket, error, outputs, now=now)
        if opening is not None:
            if error.kind is SocketErrorKind.NO_RESOURCES:
                self._note_exhaustion(error, outputs, now)
            self._finish_if_done(opening, outputs, now)
        return opening is not None

    def abandon_socket(self, socket: SocketId, outputs: Outputs) -> None:
        """A listener or a stream is gone: nobody waits any more for what was asked through it."""
        for opening in self._openings.of_socket(socket):
            self._abandon(opening, outputs)

    def clear(self, outputs: Outputs) -> None:
        """Let go of everything that is on its way, or reserved."""
        for opening in self._openings.all():
            self._abandon(opening, outputs)
        for reservation in self._reservations.clear():
            outputs.append(CloseSocket(reservation.held.socket, CloseMode.FLUSH))
            self._let_go(reservation.held)

    def expire(self, outputs: Outputs, *, now: float) -> None:
        """Let go of reserved ports that nobody has asked for."""
        while (reservation := self._reservations.pop_due(now)) is not None:
            outputs.append(CloseSocket(reservation.held.socket, CloseMode.FLUSH))
            self._let_go(reservation.held)

    def deadline(self) -> float:
        """When the next of them is to be let go."""
        return self._reservations.deadline()

    def _abandon(self, opening: Opening, outputs: Outputs) -> None:
        self._openings.abandon(opening, outputs)
        self._give_back(opening)

    def _let_go(self, held: OpenRelay) -> None:
        _, user = self._held.pop(held.socket)
        self._places.give_back(held.local)
        self._quotas.give_back(user, Resource.RESERVATIONS)

    def _note_exhaustion(self, error: SocketError, outputs: Outputs, now: float) -> None:
        self._refused += 1
        if now - self._exhausted_at >= EXHAUSTED_INTERVAL:
            outputs.append(ResourcesExhausted(error.text, self._refused))
            self._exhausted_at = now
            self._refused = 0

    # ------------------------------------------------------------- answers

    def _redeem(self, opening: Opening, token: bytes, outputs: Outputs, now: float) -> None:
        """Make an allocation of a reserved port (RFC 8656 7.2)."""
        held = self._reservations.claim(token, opening.user.account, now=now)
        if held is None:
            self._give_back(opening)
            refuse(self._stun, opening.request, NO_CAPACITY, now)
            return
        del self._held[held.socket]
        self._quotas.give_back(opening.user, Resource.RESERVATIONS)
        self._grant(opening, [held], outputs, now)

    def _finish_if_done(self, opening: Opening, outputs: Outputs, now: float) -> None:
        """Answer a request whose sockets are decided."""
        if not opening.is_done:
            return
        if not self._stun.awaits(opening.request):  # it took too long: the client has been told 500
            self._abandon(opening, outputs)
            return
        self._openings.finish(opening)
        granted = [relays for seat in opening.seats if (relays := seat.relays())]
        if granted:
            self._grant(opening, [first for first, *_ in granted], outputs, now)
        else:
            self._give_back(opening)
            refuse(self._stun, opening.request, NO_CAPACITY, now)

    def _grant(self, opening: Opening, relays: list[OpenRelay], outputs: Outputs, now: float) -> None:
        request, wish = opening.request, opening.wish
        path = request.path
        allocation = self._allocations.open(
            path,
            request.message.transaction_id,
            opening.username,
            opening.user,
            relays,
            wish.lifetime,
            outputs,
            protocol=wish.protocol,
            now=now,
        )
        allocation.failed = wish.unavailable
        allocation.session = request.session
        if wish.mobile:
            self._mobility.enroll(allocation)
        for seat in opening.seats:
            second = seat.relays()[1:]
            if second:
                allocation.token = self._reservations.hold(second[0], opening.user.account, now=now)
                self._held[second[0].socket] = allocation.token, opening.user
            elif not seat.relays():
                allocation.failed = AddressErrorCode(seat.family, NO_CAPACITY.error.code, NO_CAPACITY.error.reason)
        if path.reliable:
            self._stun.vouch_for_stream(path.socket, True, now=now)
        answer(self._stun, request, allocate_answer(allocation, now=now), now)


def _account_of(received: RequestReceived) -> str:
    """Whom an allocation is counted for.

    Tokens all have one user, so each is an account of its own. Where nobody is asked for a name, a host is one: else somebody
    could use up what is there for all.
    """
    if received.session is not None:
        return received.session.account
    return received.username or received.path.remote.host
