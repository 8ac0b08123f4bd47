"""From servers to an allocation: the addresses raced, each refusal handled by its rule (RFC 8656 3.9, 7.3, 7.4; RFC 8305 5)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs

from sansice._enums import IdentityEnum
from sansice._timers import FewTimers
from sansice.machine import Address, LocalProtocolError, SocketId, Transport
from sansice.stun import (
    Method,
    Path,
    ServerTarget,
    StunClient,
    TransactionFailed,
    TransactionId,
    TransactionSucceeded,
)
from sansice.turn._errors import TurnStep

from ._codes import (
    ALLOCATION_MISMATCH,
    BAD_REQUEST,
    FORBIDDEN,
    MOBILITY_FORBIDDEN,
    STALE_NONCE,
    UNAUTHENTICATED,
    UNKNOWN_ATTRIBUTE,
    UNSUPPORTED_FAMILY,
    UNSUPPORTED_TRANSPORT,
    WRONG_CREDENTIALS,
)
from ._config import TurnClientConfig
from ._events import AllocateAttempt, AllocationFailed
from ._farewells import Farewells
from ._grant import Grant, Misfit, read_grant
from ._memory import TurnServerMemory
from ._requests import Outcome, Requests, refusal
from ._wish import AllocateWish

MAX_ADDRESSES = 3  # RFC 8656 7.4: local addresses tried after 437

# RFC 8656 7.4: not repeated before a person has changed something, and the other addresses are most likely the same server's.
_FINAL = (
    BAD_REQUEST,
    UNAUTHENTICATED,
    FORBIDDEN,
    UNKNOWN_ATTRIBUTE,
    UNSUPPORTED_FAMILY,
    WRONG_CREDENTIALS,
    UNSUPPORTED_TRANSPORT,
)
_OF_CREDENTIALS = (UNAUTHENTICATED, STALE_NONCE)
# By how much they say: that a family cannot be reached from here says less than what a server has answered some time ago.
_STEPS = (TurnStep.OPEN, TurnStep.WAIT, TurnStep.AUTHENTICATE, TurnStep.ALLOCATE)


class _Timer(IdentityEnum):
    NEXT = "the next server's turn"
    AGAIN = "another stream to a server, beside one that does not open"
    TIMEOUT = "the whole search"


@attrs.define(eq=False)
class Attempt:
    """An Allocate request to one server.

    Attributes:
        target: whom.
        path: the way there.
        wish: what is asked for.
        id: of the request.
        asked: when it was made.
        addresses: local addresses used so far, this one included.
        local: what the socket is bound to, once it is open.
        challenged: whether the server has wanted credentials, and so exists.
    """

    target: ServerTarget
    path: Path
    wish: AllocateWish
    id: TransactionId
    asked: float
    addresses: int = 1
    local: Address | None = None
    challenged: bool = False


@attrs.frozen
class Won:
    """The end of a race, with an allocation."""

    attempt: Attempt
    grant: Grant


class AllocateRace:
    """Asks servers in order, each some time after the one before or at once when one has failed, until one allocates.

    Over UDP the first that wants credentials, or allocates without, is the one; over TCP, TLS and DTLS the first that a
    connection is open to (RFC 8656 3.9). The others are abandoned, and tried after all if that one refuses. A stream that does
    not open for a while gets another one beside it, once, because a lost SYN is repeated after a second only (RFC 6298 2.1).

    Args:
        targets: the servers, in the order to try.
        wish: what to ask for.
        stun: sends the requests.
        farewells: takes what is abandoned.
        memory: whom to leave alone.
        config: of the client.
        local: what to bind to, if not whatever the system chooses.
        socket: bound to ``local``, and used for what is asked over UDP.
        username: who asks.

    Attributes:
        end: how it ended, once it has.
    """

    __slots__ = (
        "_attempts",
        "_config",
        "_decided",
        "_failed",
        "_farewells",
        "_local",
        "_memory",
        "_socket",
        "_spares",
        "_stun",
        "_targets",
        "_timers",
        "_username",
        "_waits",
        "_wish",
        "end",
        "requests",
    )

    def __init__(
        self,
        targets: Sequence[ServerTarget],
        wish: AllocateWish,
        *,
        stun: StunClient,
        farewells: Farewells,
        memory: TurnServerMemory,
        config: TurnClientConfig,
        local: Address | None,
        socket: SocketId | None,
        username: str | None,
    ) -> None:
        self._targets = list(targets)
        self._wish = wish
        self._stun = stun
        self._farewells = farewells
        self._memory = memory
        self._config = config
        self._local = local
        self._socket = socket
        self._username = username
        self._attempts: dict[TransactionId, Attempt] = {}
        self._decided: Attempt | None = None
        self._failed: list[AllocateAttempt] = []
        self._spares: list[tuple[float, Attempt]] = []  # streams, and when each gets another one beside it
        self._waits: list[float] = []  # until when each server wants to be left alone
        self._timers: FewTimers[_Timer] = FewTimers()
        self.requests = Requests(stun)
        self.end: Won | AllocationFailed | None = None

    def start(self, now: float) -> None:
        """Ask the first server."""
        self._timers.set(_Timer.TIMEOUT, now + self._config.allocate_timeout)
        self._start_next(now)

    def stop(self, now: float) -> None:
        """Ask nobody any more; what is under way is seen to."""
        self._timers.clear()
        self._targets.clear()
        self._spares.clear()
        for attempt in tuple(self._attempts.values()):
            self._abandon(attempt, now)

    # ------------------------------------------------------------- what happens

    def opened(self, path: Path, local: Address, now: float) -> None:
        """A socket is open."""
        for attempt in tuple(self._attempts.values()):
            if attempt.path.socket == path.socket:
                attempt.local = local
                if path.transport is not Transport.UDP:
                    self._decide(attempt, now)

    def redirected(self, transaction_id: TransactionId, path: Path, hostname: str | None) -> None:
        """A request goes on at another server (RFC 8656 7.4, 300)."""
        attempt = self._attempts[transaction_id]
        attempt.path = path
        attempt.target = attempt.target.redirected(path.remote, hostname)

    def check(self, now: float) -> None:
        """Look who has been challenged: a server that wants credentials is there, and is the one (RFC 8656 3.9)."""
        for attempt in tuple(self._attempts.values()):
            if not attempt.challenged and self._stun.challenges(attempt.id):
                attempt.challenged = True
                if self._decided is None:
                    self._decide(attempt, now)

    def handle_timer(self, now: float) -> None:
        """Ask the next server, or give up."""
        while (timer := self._timers.pop_due(now)) is not None:
            if timer is _Timer.NEXT:
                self._start_next(now)
            elif timer is _Timer.AGAIN:
                self._open_again(now)
            else:
                self._give_up(now)

    def deadline(self) -> float:
        """When one of these is due."""
        return self._timers.earliest

    # ------------------------------------------------------------- asking

    def _start_next(self, now: float) -> None:
        while self._targets:
            target = self._targets.pop(0)
            wish = self._wish_for(target, now)
            attempt = None if wish is None else self._start(target, wish, 1, now)
            if attempt is not None:
                self._plan_spare(attempt, now)
                if self._targets and not self._is_sequential:
                    same = self._targets[0].transport is target.transport
                    delay = self._config.attempt_delay if same else self._config.transport_delay
                    self._timers.set(_Timer.NEXT, now + delay)
                return
        if not self._attempts:
            self._fail(now)

    def _plan_spare(self, attempt: Attempt, now: float) -> None:
        """A stream that is not open by then gets another one beside it."""
        if attempt.target.transport.is_stream and not self._is_sequential:
            self._spares.append((now + self._config.reopen_delay, attempt))
            self._timers.set(_Timer.AGAIN, self._spares[0][0])

    def _open_again(self, now: float) -> None:
        while self._spares and self._spares[0][0] <= now:
            _, first = self._spares.pop(0)
            if self._decided is None and first.local is None and first.id in self._attempts:
                self._start(first.target, first.wish, first.addresses, now)
        if self._spares:
            self._timers.set(_Timer.AGAIN, self._spares[0][0])

    @property
    def _is_sequential(self) -> bool:
        """Whether two servers cannot be asked at a time: both sockets would be bound to the same port."""
        return self._socket is None and self._local is not None and self._local.port != 0

    def _wish_for(self, target: ServerTarget, now: float) -> AllocateWish | None:
        """What to ask this server for; ``None`` where it wants to be left alone."""
        wish, server = self._wish, target.address
        if wish.mobility and self._memory.is_mobility_refused(server, now=now):
            if not self._config.relax:
                self._waits.append(math.inf)
                self._note(target, TurnStep.WAIT, "left alone, because it said: mobility is forbidden", MOBILITY_FORBIDDEN)
                return None
            wish = attrs.evolve(wish, mobility=False)
        wait = self._memory.wait(server, families=wish.families, username=self._username, now=now)
        if wait is not None:
            self._waits.append(wait.until)
            self._note(target, TurnStep.WAIT, f"left alone, because it said: {wait.reason}", wait.code)
            return None
        if wish.family == "both":
            if self._memory.is_family_refused(server, 6, now=now):
                return attrs.evolve(wish, family=4)
            if self._memory.is_family_refused(server, 4, now=now):
                return attrs.evolve(wish, family=6)
        return wish

    def _start(self, target: ServerTarget, wish: AllocateWish, addresses: int, now: float) -> Attempt | None:
        shared = self._socket if target.transport is Transport.UDP and addresses == 1 else None
        try:
            path = self._open(target, addresses, now) if shared is None else self._share(shared, target)
        except LocalProtocolError as error:
            self._note(target, TurnStep.OPEN, str(error))
            return None
        return self._ask(target, path, wish, addresses, None if shared is None else self._local, now)

    def _share(self, socket: SocketId, target: ServerTarget) -> Path:
        if self._local is not None and self._local.is_ipv6 != target.address.is_ipv6:
            raise LocalProtocolError(f"{self._local} cannot reach {target.address}: they are of different families")
        path = Path(socket, target.address, Transport.UDP)
        self._stun.share(path)
        return path

    def _open(self, target: ServerTarget, addresses: int, now: float) -> Path:
        local = self._local
        if local is not None and (addresses > 1 or self._socket is not None):
            local = Address(local.host, 0)  # its port is taken; RFC 8656 7.4: another address, after 437
        return self._stun.open(target, local=local, alpn=self._alpn(target), now=now)

    def _alpn(self, target: ServerTarget) -> tuple[str, ...]:
        return self._config.alpn if target.transport.is_secure else ()

    def _ask(
        self, target: ServerTarget, path: Path, wish: AllocateWish, addresses: int, local: Address | None, now: float
    ) -> Attempt | None:
        try:
            transaction_id = self.requests.ask(Method.ALLOCATE, wish.attributes(), path, self._answered, now=now)
        except LocalProtocolError as error:  # too long for this transport
            self._note(target, TurnStep.OPEN, str(error))
            self._stun.release(path, now=now)
            return None
        attempt = self._attempts[transaction_id] = Attempt(target, path, wish, transaction_id, now, addresses, local)
        return attempt

    def _ask_again(self, before: Attempt, wish: AllocateWish, now: float) -> bool:
        attempt = self._ask(before.target, before.path, wish, before.addresses, before.local, now)
        if attempt is None:
            return False  # pragma: no cover - a relaxed wish is shorter than the last: only a nonce that grew makes it too long
        attempt.challenged = before.challenged
        if self._decided is before:
            self._decided = attempt
        return True

    # ------------------------------------------------------------- who it is

    def _decide(self, attempt: Attempt, now: float) -> None:
        """This is the server; the others come after it, should it refuse."""
        if self._decided is not None:
            return
        self._decided = attempt
        self._timers.cancel(_Timer.NEXT)
        others = [other for other in self._attempts.values() if other is not attempt]
        # Two streams to one server are one to try later, and none where it is this one.
        self._targets[:0] = dict.fromkeys(other.target for other in others if other.target != attempt.target)
        for other in others:
            self._abandon(other, now)

    def _abandon(self, attempt: Attempt, now: float) -> None:
        del self._attempts[attempt.id]
        self.requests.release(attempt.id)
        self._farewells.abandon(attempt.id, attempt.path, now)

    # ------------------------------------------------------------- answers

    def _answered(self, outcome: Outcome, now: float) -> None:
        attempt = self._attempts.pop(outcome.id)
        if isinstance(outcome, TransactionSucceeded):
            self._take(attempt, outcome, now)
        elif not self._repeats(attempt, outcome, now):
            self._refused(attempt, outcome, now)

    def _take(self, attempt: Attempt, outcome: TransactionSucceeded, now: float) -> None:
        server = attempt.path.remote
        grant = read_grant(outcome.response, attempt.wish, self._config.understood)
        if isinstance(grant, Misfit):
            if grant.family:
                self._memory.misfit(server, grant.reason)
                self._waits.append(math.inf)
            self._note(attempt.target, TurnStep.ALLOCATE, grant.reason)
            self._farewells.delete(attempt.path, now)  # RFC 8656 7.3
            self._try_next(now)
            return
        if grant.refused is not None:
            family = 6 if grant.refused.family == 2 else 4
            self._memory.refused_family(server, family, grant.refused.code, now=now)
        if outcome.rtt is not None:
            attempt.asked = now - outcome.rtt
        self.end = Won(attempt, grant)
        self.stop(now)

    def _repeats(self, attempt: Attempt, outcome: Outcome, now: float) -> bool:
        """Ask the same server again, where a rule says so."""
        if not isinstance(outcome, TransactionFailed):
            return False
        wish = attempt.wish.relaxed(outcome.code, outcome.unknown_attributes) if self._config.relax else None
        if wish is not None:
            if outcome.code == MOBILITY_FORBIDDEN:  # RFC 8016 3.1.4: not asked for again
                self._remember(attempt, MOBILITY_FORBIDDEN, outcome.reason, now)
            return self._ask_again(attempt, wish, now)
        if outcome.code == ALLOCATION_MISMATCH and attempt.addresses < MAX_ADDRESSES:
            self._stun.release(attempt.path, now=now)
            if self._decided is attempt:
                self._decided = None
            return self._start(attempt.target, attempt.wish, attempt.addresses + 1, now) is not None
        return False

    def _refused(self, attempt: Attempt, outcome: Outcome, now: float) -> None:
        code, reason = refusal(outcome) if not isinstance(outcome, TransactionSucceeded) else (None, "")
        step = _step_of(code) if attempt.local is not None else TurnStep.OPEN
        self._note(attempt.target, step, reason, code)
        server, families = attempt.path.remote, attempt.wish.families
        if code is not None:
            self._remember(attempt, code, reason, now)
            wait = self._memory.wait(server, families=families, username=self._username, now=now)
            if wait is not None:
                self._waits.append(wait.until)
        if code is None and (self._username is None or not self._stun.is_bare(server)):
            # The server has heard all that it needs and has perhaps allocated: it may be the answer that was lost.
            self._farewells.delete(attempt.path, now)
        else:
            self._stun.release(attempt.path, now=now)
        if code in _FINAL:
            self._targets.clear()
            self.stop(now)
            self._fail(now)
        else:
            self._try_next(now)

    def _remember(self, attempt: Attempt, code: int, reason: str, now: float) -> None:
        families = attempt.wish.families
        self._memory.refused(attempt.path.remote, code, reason, families=families, username=self._username, now=now)

    def _try_next(self, now: float) -> None:
        """After a failure nobody is the one: whoever was decided on has failed, for the others were abandoned."""
        self._decided = None
        self._timers.cancel(_Timer.NEXT)
        self._start_next(now)

    # ------------------------------------------------------------- giving up

    def _give_up(self, now: float) -> None:
        for attempt in self._attempts.values():
            if attempt.local is None:
                proxy = attempt.target.proxy
                through = "" if proxy is None else f" through the proxy {proxy.address}"
                self._note(attempt.target, TurnStep.OPEN, f"not connected{through} in time")
            else:
                self._note(attempt.target, TurnStep.ALLOCATE, "no answer in time")
        self.stop(now)
        self._fail(now)

    def _note(self, target: ServerTarget, step: TurnStep, reason: str, code: int | None = None) -> None:
        attempt = AllocateAttempt(target, step, reason, code)
        if attempt not in self._failed:  # two streams to one server tell the same
            self._failed.append(attempt)

    def _fail(self, now: float) -> None:
        self._timers.clear()
        step = max((one.step for one in self._failed), key=_STEPS.index)
        codes = [one.code for one in self._failed if one.step is step and one.code is not None]
        words = "; ".join(f"{one.target} ({one.target.transport.value}): {one.reason}" for one in self._failed)
        answered = sum(one.step is not TurnStep.OPEN for one in self._failed)
        retry = max(0.0, min(self._waits) - now) if self._waits and len(self._waits) == answered else 0.0
        self.end = AllocationFailed(step, words, codes[-1] if codes else None, tuple(self._failed), retry)


def _step_of(code: int | None) -> TurnStep:
    return TurnStep.AUTHENTICATE if code in _OF_CREDENTIALS else TurnStep.ALLOCATE
