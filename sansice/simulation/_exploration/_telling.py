"""Moments in words, for the stories of breaches."""

from __future__ import annotations

from sansice.ice import AgentEvent, IceStateChanged, PairSelected, PairValidated
from sansice.machine import Action, CloseSocket, Event, OpenSocket, SendStream
from sansice.stun import USE_CANDIDATE, Message

from ._evidence import InputKind, Moment, error_of, role_of


def describe(moment: Moment) -> str:
    """One line for a person: when, who, what was fed, what came of it."""
    fed = moment.text or moment.kind.value
    if moment.kind is InputKind.DATAGRAM and moment.path is not None:
        fed = f"{_name(moment.message, moment.data)} from {moment.path[1]}"
        if moment.message is not None and not moment.authentic:
            fed += " (not authentic)"
    did = [f"{_name(sent.message, sent.data)} to {sent.path[1]}" for sent in moment.sent]
    did += [_done(action) for action in moment.others]
    told = [_told(event) for event in moment.events]
    return f"{moment.now:9.3f} s  {moment.end.name}: {fed}" + (f" -> {'; '.join([*did, *told])}" if did or told else "")


def _done(action: Action) -> str:
    if isinstance(action, OpenSocket):
        return f"open socket {action.socket}" + ("" if action.remote is None else f" to {action.remote}")
    if isinstance(action, CloseSocket):
        return f"close socket {action.socket}"
    return f"{len(action.data)} bytes on socket {action.socket}" if isinstance(action, SendStream) else type(action).__name__


def _told(event: Event) -> str:
    if isinstance(event, AgentEvent):
        return f"agent {event.agent}: {_told(event.event)}"
    if isinstance(event, IceStateChanged):
        return event.new.value
    if isinstance(event, (PairSelected, PairValidated)):
        return f"{type(event).__name__} {event.pair.local.address} - {event.pair.remote.address}"
    return type(event).__name__


def _name(message: Message | None, data: bytes) -> str:
    if message is None:
        return f"data ({len(data)} bytes)"
    role, _ = role_of(message)
    words = [message.message_class.name.lower(), message.transaction_id.hex()[:6]]
    words += [role.value] if role is not None else []
    words += ["USE-CANDIDATE"] if USE_CANDIDATE in message else []
    error = error_of(message)
    return " ".join([*words, *([str(error)] if error is not None else [])])
