"""Invariants about what counts: only what the peer's key proves, on the path on which it was asked."""

from __future__ import annotations

from collections.abc import Mapping

from sansice.ice import CandidatePair, DataReceived, IceRole, PairSelected, PairState, PairValidated
from sansice.machine import Address
from sansice.stun import PRIORITY, XOR_MAPPED_ADDRESS, MessageClass

from ._evidence import ROLE_CONFLICT, End, Moment, Path, role_of
from ._invariant import Invariant

PEER_REFLEXIVE_PREFERENCE = 110  # RFC 8445 5.1.2.2


class DataIsTrusted(Invariant):
    """See ``rule``."""

    rule = "data is delivered only from addresses that an authenticated check or its answer came from"

    def after(self, moment: Moment) -> str | None:
        """The source of each datagram of data that was delivered."""
        if moment.path is None or not any(isinstance(event, DataReceived) for event in moment.events):
            return None
        source = moment.path[1]
        return None if source in moment.end.validated else f"{moment.end.name} delivered data from {source}"


class StrangersChangeNothing(Invariant):
    """See ``rule``."""

    rule = "a message without the right credentials changes neither state, role, pairs nor candidates (RFC 8489 9.1)"

    def after(self, moment: Moment) -> str | None:
        """What was to be seen before must be seen after."""
        message = moment.message
        if message is None or moment.authentic or not moment.end.is_live:
            return None
        if message.message_class is MessageClass.INDICATION or (moment.asked is not None and not moment.asked.is_check):
            return None
        agent, before, name = moment.end.agent, moment.before, moment.end.name
        if (agent.state, agent.role, agent.selected_pair) != before[:3] or moment.events:
            return f"{name} acted on a message that nobody with the password wrote"
        if moment.path is not None and moment.is_request:
            source = moment.path[1]
            known = [remote for remote in agent.remote_candidates if remote.address == source and remote.type.value == "prflx"]
            if known and source not in moment.end.validated:
                return f"{name} learned the candidate {source} from a message that nobody with the password wrote"
        return None


class PairsAreChecked(Invariant):
    """See ``rule``."""

    rule = "a pair is valid only by the peer's answer from where the check went, and is what that answer mapped (RFC 8445 7.2.5)"

    def after(self, moment: Moment) -> str | None:
        """Every pair that is told as valid or as selected."""
        for event in moment.events:
            if isinstance(event, (PairValidated, PairSelected)):
                finding = self._judge(moment.end, event.pair)
                if finding is not None:
                    return finding
        return None

    def _judge(self, end: End, pair: CandidatePair) -> str | None:
        path = end.path_of(pair)
        if path is None or path not in end.answered:
            return f"{end.name} uses {_text(pair)}, on which no check of its own was answered"
        if pair.local.address not in end.mapped[path]:
            return f"{end.name} uses {_text(pair)}, but the peer sees it as {end.mapped[path][-1]}"
        return None


class NominationsAreDue(Invariant):
    """See ``rule``."""

    rule = "only the controlling end nominates, and only what is valid; the other selects nothing else (RFC 8445 8.1.1)"

    def after(self, moment: Moment) -> str | None:
        """Every USE-CANDIDATE sent, and every selection."""
        end = moment.end
        for sent in moment.sent:
            asked = None if sent.message is None else end.asked.get(sent.message.transaction_id)
            if asked is not None and asked.nominates and asked.role is not IceRole.CONTROLLING:
                return f"{end.name} nominates while it is controlled"
            if asked is not None and asked.nominates and asked.path not in end.answered:
                return f"{end.name} nominates {asked.path[1]}, from where no check of its own was answered"
        for event in moment.events:
            if isinstance(event, PairSelected) and not self._was_nominated(moment, end.path_of(event.pair)):
                return f"{end.name} selected {_text(event.pair)}, which nobody nominated"
        return None

    def _was_nominated(self, moment: Moment, path: Path | None) -> bool:
        asked = moment.asked
        by_us = asked is not None and asked.nominates and moment.is_success and asked.path == path
        return by_us or path in moment.end.nominated


class NominationsAreFollowed(Invariant):
    """See ``rule``."""

    rule = "the controlled end selects what was nominated as soon as its own check there has succeeded (RFC 8445 7.3.1.5)"

    def __init__(self, ends: Mapping[str, End]) -> None:
        super().__init__(ends)
        self._nominated: dict[str, Path] = {}  # the latest one counts

    def after(self, moment: Moment) -> str | None:
        """At the peer's nomination, and at the answer to a check of what it nominated."""
        end, path = moment.end, moment.path
        if end.agent.role is not moment.before.role or end.agent.role is IceRole.CONTROLLING:
            self._nominated.pop(end.name, None)  # nominations of another role are void
            return None
        if path is not None and moment.nominates:
            self._nominated[end.name] = path
        answered = moment.is_good_answer and moment.is_success and moment.is_first
        if not answered or path != self._nominated.get(end.name) or not end.is_live or end.agent.selected_pair is not None:
            return None
        if any(asked.in_doubt for asked in end.asked.values() if asked.path == path):  # with its check the nomination failed
            return None
        pair = None if path is None else end.pair_on(path)
        if pair is None or pair.state is not PairState.SUCCEEDED:  # consent was lost there before
            return None
        return f"{end.name} had its check of {pair.remote.address} answered, which was nominated, and selected nothing"


class ChecksAreAnswered(Invariant):
    """See ``rule``."""

    rule = "every request is answered to its source, rightly, or dropped with a reason that is counted (RFC 8445 7.3)"

    def after(self, moment: Moment) -> str | None:
        """The answer belongs to the same moment."""
        if not moment.is_request or moment.message is None or moment.path is None:
            return None
        end, path = moment.end, moment.path
        answers = [
            sent
            for sent in moment.sent
            if sent.message is not None
            and sent.message.message_class is not MessageClass.REQUEST
            and sent.message.transaction_id == moment.message.transaction_id
        ]
        if len(answers) > 1 or any(sent.path != path for sent in answers):
            return f"{end.name} answered a check of {path[1]} {len(answers)} times, or elsewhere"
        if not answers:
            dropped = sum(end.agent.stats.dropped.values()) > moment.before.drops
            return None if dropped else f"{end.name} neither answered a check of {path[1]} nor counted it"
        message = answers[0].message
        if message is None or message.message_class is not MessageClass.SUCCESS:
            return None
        if not moment.authentic:
            return f"{end.name} answered a check that nobody with its password wrote"
        if message.get(XOR_MAPPED_ADDRESS) != path[1] or not message.verify(end.key):
            return f"{end.name} answered a check of {path[1]} with another address or key"
        return None


class RolesAreSettled(Invariant):
    """See ``rule``."""

    rule = "a role conflict is won by the larger tiebreaker; who gets a 487 switches and draws anew (RFC 8445 7.2.5.1, 7.3.1.1)"

    def __init__(self, ends: Mapping[str, End]) -> None:
        super().__init__(ends)
        self._tiebreakers: dict[str, int | None] = {}
        self._refused: dict[str, int] = {}

    def after(self, moment: Moment) -> str | None:
        """Conflicting checks, 487s, and the tiebreaker of the checks after one."""
        end = moment.end
        finding = None
        if moment.is_request and moment.authentic and moment.before.state.value not in ("failed", "closed"):
            finding = self._judge_request(moment)
        elif moment.error == ROLE_CONFLICT and moment.is_good_answer and moment.is_first:
            finding = self._judge_refusal(moment)
        for sent in moment.sent:
            asked = None if sent.message is None else end.asked.get(sent.message.transaction_id)
            if asked is None or asked.tiebreaker is None or asked.times > 1:
                continue
            if asked.tiebreaker == self._refused.get(end.name):
                return f"{end.name} was answered 487 and goes on with the tiebreaker {asked.tiebreaker:#x}"
            self._tiebreakers[end.name] = asked.tiebreaker
        return finding

    def _judge_request(self, moment: Moment) -> str | None:
        end, ours = moment.end, self._tiebreakers.get(moment.end.name)
        if moment.message is None or ours is None:
            return None
        role, theirs = role_of(moment.message)
        if role is not moment.before.role or theirs is None:
            return None
        expected = IceRole.CONTROLLING if ours >= theirs else IceRole.CONTROLLED
        if end.agent.role is expected:
            return None
        return f"{end.name} has the tiebreaker {ours:#x}, the peer {theirs:#x}, and {end.name} is {end.agent.role.value}"

    def _judge_refusal(self, moment: Moment) -> str | None:
        end, asked = moment.end, moment.asked
        if asked is None or asked.role is None or not end.is_live or asked.path in end.answered:  # it became needless
            return None
        if not end.listens(asked, moment.now):
            return None
        if asked.tiebreaker is not None and asked.tiebreaker == self._tiebreakers.get(end.name):
            self._refused[end.name] = asked.tiebreaker
        self._tiebreakers[end.name] = None  # drawn anew, and not seen yet
        if end.agent.role is asked.role and end.agent.role is moment.before.role:
            return f"{end.name} was answered 487 and is {end.agent.role.value} still"
        return None


class PrioritiesAreTrue(Invariant):
    """See ``rule``."""

    rule = "a check tells the priority of a peer-reflexive candidate, and who learns one takes it (RFC 8445 7.1.1, 7.3.1.3)"

    def __init__(self, ends: Mapping[str, End]) -> None:
        super().__init__(ends)
        # Checks from one address may tell several: those of different candidates, replayed by one stranger.
        self._told: dict[tuple[str, Address], list[int | None]] = {}

    def after(self, moment: Moment) -> str | None:
        """The attribute of every check, and of every candidate learned from one."""
        end = moment.end
        for sent in moment.sent:
            asked = None if sent.message is None else end.asked.get(sent.message.transaction_id)
            if asked is None or not asked.is_check:
                continue
            priority = asked.message.get(PRIORITY)
            if priority is None or priority >> 24 != PEER_REFLEXIVE_PREFERENCE:
                return f"{end.name} sends a check with the priority {priority}, which is no peer-reflexive one"
        if moment.is_request and moment.authentic and moment.path is not None and moment.message is not None:
            return self._judge_learned(end, moment.path[1], moment.message.get(PRIORITY))
        return None

    def _judge_learned(self, end: End, source: Address, priority: int | None) -> str | None:
        told = self._told.setdefault((end.name, source), [])
        told.append(priority)
        for remote in end.agent.remote_candidates:
            if remote.address == source and remote.type.value == "prflx" and remote.priority not in told:
                return f"{end.name} gave {source} the priority {remote.priority}, and its check said {priority}"
        return None


def _text(pair: CandidatePair) -> str:
    return f"{pair.local.address} - {pair.remote.address}"
