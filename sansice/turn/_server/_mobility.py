"""Clients that move to another address and keep their allocation (RFC 8016 3).

A client that shows its ticket from a new 5-tuple is at two places for a while: its requests and data are served at both, and
data for it goes to the old one until the first data comes from the new one, or the old one closes. Then it has *arrived*.
"""

from __future__ import annotations

from typing import Protocol, cast

from sansice.machine import DecodeError, SocketId
from sansice.stun import MOBILITY_TICKET, Message, Path

from ._allocation import TCP_PROTOCOL, Allocation, AllocationId, Mobile
from ._refusal import BAD_REQUEST, MISMATCH, MOBILITY_FORBIDDEN, WRONG_CREDENTIALS, Refusal
from ._relay import DataPath
from ._tickets import Ticket, Tickets

OLD_TICKET_LIFETIME = 30.0  # seconds; RFC 8016 3.2.2: at least, to know a repeated request by

NOBODY_READS = 2**62
"""Bytes that wait on the stream of a client that has left it and not yet said where to: more than any bound, so that data for
it is dropped."""


class AllocationTable(Protocol):
    """Where allocations are found."""

    def get(self, id: AllocationId) -> Allocation | None:
        """The allocation of that id, if it still exists."""
        ...


class Mobility:
    """Gives tickets, takes them, and knows who is on the move.

    At most one move of an allocation is under way: what a client can have of it is bounded by its allocations.

    Args:
        tickets: makes and reads them.
        allocations: by id.
        data: relays to where clients are.
        enabled: whether clients may move at all.
    """

    __slots__ = ("_allocations", "_data", "_enabled", "_tickets")

    def __init__(self, tickets: Tickets, allocations: AllocationTable, data: DataPath, *, enabled: bool) -> None:
        self._tickets = tickets
        self._allocations = allocations
        self._data = data
        self._enabled = enabled

    # ------------------------------------------------------------- requests

    def judge_allocate(self, request: Message, path: Path, *, authenticated: bool) -> bool | Refusal:
        """Whether an Allocate request wants a ticket, or why it gets none (RFC 8016 3.1.2).

        Whoever could be anybody does not move: without credentials the path must be secure (RFC 8016 5).
        """
        ticket = _ticket_of(request)
        if ticket is None:
            return False
        if ticket:
            return BAD_REQUEST
        return True if self._enabled and (authenticated or path.transport.is_secure) else MOBILITY_FORBIDDEN

    def enroll(self, allocation: Allocation) -> None:
        """Give an allocation its first ticket."""
        allocation.mobile = Mobile(allocation, self._tickets.issue(allocation.id))

    def read(self, request: Message) -> Ticket | Refusal | None:
        """What the ticket in a Refresh request says; ``None`` where there is no ticket (RFC 8016 3.2.2)."""
        ticket = _ticket_of(request)
        if ticket is None:
            return None
        if not self._enabled:
            return MOBILITY_FORBIDDEN
        try:
            return self._tickets.read_untrusted(ticket)
        except DecodeError:
            return BAD_REQUEST

    def judge_refresh(self, ticket: Ticket, path: Path, username: str, *, now: float) -> Mobile | Refusal:
        """Whose ticket it is, if it is good there (RFC 8016 3.2.2).

        Args:
            ticket: of whichever process has the key: one before this one, or beside it, may have counted the same ids.
            path: where the request came from.
            username: who sent it.
            now: monotonic seconds.
        """
        allocation = self._allocations.get(AllocationId(ticket.allocation)) if ticket.worker == self._tickets.worker else None
        mobile = None if allocation is None else allocation.mobile
        if allocation is None or mobile is None:
            return MISMATCH
        # An old ticket says nothing any more, but that the answer to it may have been lost.
        is_repeated = ticket.text == mobile.old_ticket and path == mobile.moved_to and now < mobile.old_until
        is_new = ticket.text == mobile.ticket and path != (mobile.arriving or allocation.path)
        if not is_repeated and not is_new:
            return BAD_REQUEST
        if username != allocation.username:
            return WRONG_CREDENTIALS
        if self._data.find(path.socket, path.remote) not in (None, allocation):
            return MISMATCH
        if allocation.protocol == TCP_PROTOCOL and not path.reliable:  # RFC 6062 4.1: the control connection is a stream
            return BAD_REQUEST
        return mobile

    # ------------------------------------------------------------- moves

    def move(self, mobile: Mobile, ticket: Ticket, path: Path, *, now: float) -> None:
        """Begin a move that `judge_refresh` has allowed, and have another ticket; a repeated request changes nothing."""
        if ticket.text != mobile.ticket:
            return
        self.cancel(mobile)
        allocation = mobile.allocation
        if path != allocation.path:
            mobile.arriving = path
            self._data.expect(allocation, path)
        mobile.old_ticket = mobile.ticket
        mobile.ticket = self._tickets.issue(allocation.id)
        mobile.moved_to = path
        mobile.old_until = now + OLD_TICKET_LIFETIME

    def arrive(self, mobile: Mobile) -> Path | None:
        """The new 5-tuple is the only one from now on; the one that was left, or ``None`` where nobody is on the move."""
        allocation, path = mobile.allocation, mobile.arriving
        if path is None:
            return None
        left = allocation.path
        self._data.remove(allocation)
        mobile.arriving = None
        mobile.has_left = False
        allocation.path = path
        allocation.unsent = 0
        self._data.add(allocation)
        return left

    def cancel(self, mobile: Mobile) -> None:
        """Nobody arrives: the old 5-tuple is the only one."""
        path, mobile.arriving = mobile.arriving, None
        if path is not None:
            self._data.expect_no_more(path)

    def cancel_all(self, socket: SocketId) -> None:
        """Nobody arrives at a listener that is gone."""
        for allocation in list(self._data.arriving.get(socket, {}).values()):
            self.cancel(cast(Mobile, allocation.mobile))

    def leave(self, allocation: Allocation, path: Path) -> bool:
        """A stream of a client has closed; whether its allocation stays, because there is or will be another way to it."""
        mobile = allocation.mobile
        if mobile is None:
            return False
        if path == mobile.arriving:
            self.cancel(mobile)
        elif mobile.arriving is None:
            mobile.has_left = True
            allocation.unsent = NOBODY_READS
        return True


def paths_of(allocation: Allocation) -> tuple[Path, ...]:
    """Where the client of an allocation is, or may be."""
    mobile = allocation.mobile
    return (allocation.path,) if mobile is None or mobile.arriving is None else (allocation.path, mobile.arriving)


def _ticket_of(request: Message) -> bytes | None:
    """The value of MOBILITY-TICKET, which is never malformed: any bytes will do."""
    return request.get(MOBILITY_TICKET)
