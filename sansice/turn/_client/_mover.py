"""An allocation taken along to another local address (RFC 8016 3.2)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from sansice._enums import IdentityEnum
from sansice._timers import FewTimers
from sansice.machine import Action, Address, DecodeError, Event, LocalProtocolError
from sansice.stun import (
    LIFETIME,
    MOBILITY_TICKET,
    XOR_MAPPED_ADDRESS,
    Attribute,
    Message,
    Method,
    Path,
    StunClient,
    TransactionSucceeded,
)

from ._codes import ALLOCATION_MISMATCH, may_pass
from ._config import TurnClientConfig
from ._events import AllocationRebound, RebindFailed
from ._requests import Outcome, Requests, refusal

if TYPE_CHECKING:
    from ._allocation import ClientAllocation

LEFT_LIFETIME = 5.0
"""Seconds in which data may still come on the way that was left: the server sends it there until the new one is used."""


class _Timer(IdentityEnum):
    NUDGE = "the server may not have heard anything on the new way"
    LEFT = "nothing comes on the old way any more"
    RETRY = "another try, where there is no way left"


class Mover:
    """The ticket of an allocation, and what is done with it.

    Args:
        allocation: whose.
        ticket: as the server gave it; ``None``: the allocation stays where it is.
        stun: opens sockets and sends requests.
        config: of the client.
        put: takes actions and events.

    Attributes:
        ticket: the one that is good now.
        left: the way that data may still come on.
        is_stranded: the old way is lost, and no other is there yet.
    """

    __slots__ = (
        "_allocation",
        "_config",
        "_going",
        "_local",
        "_put",
        "_requests",
        "_stun",
        "_timers",
        "is_stranded",
        "left",
        "ticket",
    )

    def __init__(
        self,
        allocation: ClientAllocation,
        ticket: bytes | None,
        *,
        stun: StunClient,
        config: TurnClientConfig,
        put: Callable[[Action | Event], None],
    ) -> None:
        self._allocation = allocation
        self._stun = stun
        self._config = config
        self._put = put
        self._requests = Requests(stun)
        self._timers: FewTimers[_Timer] = FewTimers()
        self._going: Path | None = None  # the new way
        self._local: Address | None = None  # what its socket is bound to
        self.ticket: bytes | None = ticket
        self.left: Path | None = None
        self.is_stranded: bool = False

    @property
    def is_asking(self) -> bool:
        """Whether the server is being shown the ticket."""
        return len(self._requests) > 0

    # ------------------------------------------------------------- reasons to move

    def rebind(self, local: Address | None, now: float) -> None:
        """Move, because the local address has changed or is about to.

        Raises:
            LocalProtocolError: the allocation has no ticket, or is on the move.
        """
        if self.ticket is None:
            raise LocalProtocolError("this allocation cannot move: allocate(mobility=True), at a server that has it (RFC 8016)")
        if self.is_asking:
            raise LocalProtocolError("the allocation is on the move already")
        self._go(local, now)

    def strand(self, now: float) -> bool:
        """The way to the server is lost; whether another one is tried."""
        if self.ticket is None:
            return False
        self.is_stranded = True
        if not self.is_asking:
            self._go_or_wait(now)
        return True

    def retrace(self, now: float) -> bool:
        """The server does not know this 5-tuple (437): a NAT may have changed it. Whether the ticket is tried from there."""
        if self.ticket is None:
            return False
        if not self.is_asking and not self.is_stranded:
            with suppress(LocalProtocolError):  # too much waits for this server: the next 437 comes here again
                self._ask(self._allocation.path, now)
        return True

    # ------------------------------------------------------------- moving

    def _go(self, local: Address | None, now: float) -> None:
        target = self._allocation.origin.target
        alpn = self._config.alpn if target.transport.is_secure else ()
        path = self._stun.open(target, local=local, alpn=alpn, now=now)
        try:
            self._ask(path, now)
        except LocalProtocolError:
            self._stun.release(path, now=now)
            raise
        self._going, self._local = path, None
        self._timers.cancel(_Timer.RETRY)  # this is it

    def _go_or_wait(self, now: float) -> None:
        try:
            self._go(None, now)
        except LocalProtocolError:  # too much waits for this server
            self._timers.set(_Timer.RETRY, now + self._config.retry_delay)

    def _ask(self, path: Path, now: float) -> None:
        attributes: list[tuple[Attribute[Any], Any]] = [(MOBILITY_TICKET, self.ticket)]
        if self._allocation.wanted is not None:
            attributes.append((LIFETIME, self._allocation.wanted))
        self._requests.ask(Method.REFRESH, attributes, path, partial(self._answered, path, now), now=now)

    def opened(self, path: Path, local: Address) -> None:
        """A socket is open."""
        if path == self._going:
            self._local = local

    def settle(self, outcome: Outcome, now: float) -> bool:
        """Take the outcome of its request; whether it was that."""
        return self._requests.settle(outcome, now)

    def _answered(self, path: Path, asked: float, outcome: Outcome, now: float) -> None:
        going, self._going = self._going, None
        if isinstance(outcome, TransactionSucceeded):
            self._arrive(path, asked if outcome.rtt is None else now - outcome.rtt, outcome, now)
            return
        code, reason = refusal(outcome)
        if going is not None:
            self._stun.release(going, now=now)
        self._allocation.requests.unpark(now=now)
        is_undecided = may_pass(code)
        if is_undecided and self.is_stranded:
            self._timers.set(_Timer.RETRY, now + self._config.retry_delay)
        elif going is None or self.is_stranded or code == ALLOCATION_MISMATCH:
            if not is_undecided:  # otherwise the next 437 comes here again, or the lifetime ends
                self._allocation.end(reason, code)
        else:
            self._put(RebindFailed(code, reason))

    def _arrive(self, path: Path, asked: float, outcome: TransactionSucceeded, now: float) -> None:
        """Only now may data take the new way (RFC 8016 3.2.2)."""
        allocation = self._allocation
        try:
            ticket, lifetime = outcome.response.get(MOBILITY_TICKET), outcome.response.get(LIFETIME)
        except DecodeError:
            ticket, lifetime = None, None
        self.ticket = ticket
        allocation.mapped = _mapped_in(outcome.response)
        if path != allocation.path:
            self._leave(now)
            allocation.relocate(path, self._local or allocation.origin.local)
        allocation.requests.reroute(path, now=now)
        self.is_stranded = False
        allocation.live(lifetime, asked)
        self._put(AllocationRebound(allocation.origin.local, allocation.lifetime, allocation.mapped))
        self.nudge(now)
        if not path.reliable:  # it may be lost, and whoever only listens sends nothing else until the next sign of life
            self._timers.set(_Timer.NUDGE, now + LEFT_LIFETIME / 2)
        allocation.pump(now)

    def _leave(self, now: float) -> None:
        self._close_left(now)
        if not self.is_stranded:
            self.left = self._allocation.path
            self._timers.set(_Timer.LEFT, now + LEFT_LIFETIME)

    def _close_left(self, now: float) -> None:
        self._timers.cancel(_Timer.LEFT)
        path, self.left = self.left, None
        if path is not None:
            self._stun.release(path, now=now)

    def nudge(self, now: float) -> None:
        """Have the server send data here: it does so once it has received any (RFC 8016 3.2.2), and a Send indication that says
        nothing goes to no peer.
        """
        self._stun.indicate(Method.SEND, path=self._allocation.path, now=now)

    # ------------------------------------------------------------- time, and the end

    def handle_timer(self, now: float) -> None:
        """Nudge once more, close the old way, or try again."""
        while (timer := self._timers.pop_due(now)) is not None:
            if timer is _Timer.LEFT:
                self._close_left(now)
            elif timer is _Timer.NUDGE:
                if not self.is_stranded:
                    self.nudge(now)
            else:
                self._go_or_wait(now)

    def deadline(self) -> float:
        """When one of these is due."""
        return self._timers.earliest

    def stop(self, now: float) -> None:
        """The allocation is given up: nothing is asked, and only its own way is left open."""
        self._requests.forget(now=now)
        self._timers.clear()
        self._close_left(now)
        going, self._going = self._going, None
        if going is not None:
            self._stun.release(going, now=now)


def _mapped_in(response: Message) -> Address | None:
    """How the server sees the client now; RFC 8016 has it neither told nor forbidden, so that some do not tell."""
    try:
        return response.get(XOR_MAPPED_ADDRESS)
    except DecodeError:
        return None
