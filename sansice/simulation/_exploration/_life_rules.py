"""Invariants about an agent's life: deadlines, bounds, consent, and its silence when it is over."""

from __future__ import annotations

import math

from sansice.ice import ConsentExpired
from sansice.stun import Message, MessageClass

from ._evidence import EPSILON, OVER, End, InputKind, Moment, Sent
from ._invariant import Invariant

MAX_FRESH = 4  # datagrams that one input may cause beside repetitions: an answer, a check, a consent check, a keepalive


class DeadlinesAreAhead(Invariant):
    """See ``rule``."""

    rule = "after a timer the next deadline lies ahead; an agent that is over has none (clause 3 of the contract)"

    def after(self, moment: Moment) -> str | None:
        """Asked of the agent itself."""
        deadline, agent = moment.end.agent.deadline(), moment.end.agent
        if moment.kind is InputKind.TIMER and deadline <= moment.now:
            return f"{moment.end.name} had its timer at {moment.now:.6f} s and wants it again at {deadline:.6f} s"
        if agent.state in OVER and deadline != math.inf:
            return f"{moment.end.name} is {agent.state.value} and wants a timer at {deadline:.6f} s"
        return None


class StateIsBounded(Invariant):
    """See ``rule``."""

    rule = "pairs, candidates, transmissions and datagrams an input stay within their bounds (RFC 8445 6.1.2.5, RFC 8489 6.2.1)"

    def after(self, moment: Moment) -> str | None:
        """Counted after every input."""
        end, agent, config = moment.end, moment.end.agent, moment.end.config
        if len(agent.pairs) > config.max_pairs:
            return f"{end.name} has {len(agent.pairs)} pairs, more than {config.max_pairs}"
        remotes = config.max_remote_candidates + config.max_peer_reflexive
        if len(agent.remote_candidates) > remotes:
            return f"{end.name} knows {len(agent.remote_candidates)} remote candidates, more than {remotes}"
        fresh = sum(sent.message is None or _is_first(end, sent.message) for sent in moment.sent)
        if fresh > MAX_FRESH:
            return f"{end.name} sent {fresh} new datagrams because of one input"
        for sent in moment.sent:
            asked = None if sent.message is None else end.asked.get(sent.message.transaction_id)
            if asked is not None and asked.times > (1 if asked.is_consent else config.schedule.rc):
                return f"{end.name} sent the same request for the {asked.times}th time"
        return None


class ConsentEnds(Invariant):
    """See ``rule``."""

    rule = "consent lasts from the peer's last authentic answer for its time, neither longer nor shorter (RFC 7675 5.1)"

    def after(self, moment: Moment) -> str | None:
        """Whether the agent may still send, and when it says that it may not."""
        end, now, timeout = moment.end, moment.now, moment.end.config.consent_timeout
        selected = moment.before.selected
        path = None if selected is None else end.path_of(selected)
        ends_at = end.last_answer(path) + timeout
        granted = -math.inf if path is None else end.consented.get(path, -math.inf) + timeout
        for event in moment.events:
            if isinstance(event, ConsentExpired) and not event.revoked and now < granted - EPSILON:
                return f"{end.name} ended consent at {now:.3f} s, which an answer had extended to {granted:.3f} s"
        overdue = f"{end.name} can send at {now:.3f} s; its peer's last answer allowed it until {ends_at:.3f} s"
        if moment.kind is InputKind.TIMER and end.agent.writable and now > ends_at + EPSILON:
            return overdue
        sends = any(sent.path == path and not _is_answer(sent) for sent in moment.sent)
        return overdue if sends and now > ends_at + EPSILON else None


def _is_first(end: End, message: Message) -> bool:
    """Not a request that was sent before."""
    asked = end.asked.get(message.transaction_id)
    return asked is None or asked.times == 1


def _is_answer(sent: Sent) -> bool:
    return sent.message is not None and sent.message.message_class in (MessageClass.SUCCESS, MessageClass.ERROR)


class TheOverAreSilent(Invariant):
    """See ``rule``."""

    rule = "an agent that has failed or was closed sends nothing (RFC 8445 8.3.2, RFC 7675 5.1)"

    def after(self, moment: Moment) -> str | None:
        """Whatever arrives."""
        if moment.before.state in OVER and moment.sent:
            return f"{moment.end.name} is {moment.before.state.value} and sent {len(moment.sent)} datagrams"
        return None
