"""Why a server gave no mapped address, in words for a person."""

from __future__ import annotations

from collections.abc import Mapping

from sansice.machine import DropReason
from sansice.stun._transaction import FailureCause, TransactionFailed, TransactionTimedOut

from ._redirects import TRY_ALTERNATE


def describe_failure(event: TransactionFailed | TransactionTimedOut, dropped: Mapping[DropReason, int], elapsed: float) -> str:
    """What the end of the request means.

    Args:
        event: the end.
        dropped: what came from the server and was not taken.
        elapsed: seconds since the server was first asked.
    """
    if isinstance(event, TransactionTimedOut):
        if event.integrity_violated:
            return "it answers, but with wrong integrity: another password, or somebody in between"
        return describe_silence(True, dropped, elapsed)
    if event.cause is FailureCause.ERROR_RESPONSE:
        return _describe_error(event)
    if event.cause is FailureCause.ICMP:
        return "nobody listens there (an ICMP error came back)"
    return event.reason


def describe_silence(opened: bool, dropped: Mapping[DropReason, int], elapsed: float) -> str:
    """What it means that no valid answer came.

    Args:
        opened: whether the socket was open, the session established.
        dropped: what came from the server and was not taken.
        elapsed: seconds since the server was first asked.
    """
    seconds = f"{round(elapsed, 1):g} s"
    if not opened:
        return f"no connection within {seconds}"
    if not dropped:
        return f"no answer within {seconds}"
    kinds = ", ".join(f"{reason.value} ({'once' if count == 1 else f'{count} times'})" for reason, count in dropped.items())
    return f"it answers, but with nothing that can be used: {kinds}"


def _describe_error(event: TransactionFailed) -> str:
    error = f"error {event.code} {event.reason}".rstrip()
    if event.code == 401:
        return f"it answers only who has a user name and a password: {error}"
    if event.code == TRY_ALTERNATE:
        why = "which leads nowhere new" if event.authenticated else "and only one that a password protects is followed"
        return f"it sends us to another server, {why} (RFC 8489 10): {error}"
    return f"it answers with the {error}"
