"""Offer and answer: what ICE demands of both, in order (RFC 8839 4.3, 4.4; RFC 3264)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import attrs

from sansice._enums import IdentityEnum
from sansice.ice._candidate import Candidate
from sansice.ice._description import Description
from sansice.ice._session_description import TRICKLE, SessionDescription
from sansice.machine import LocalProtocolError

from ._attributes import RemoteCandidate
from ._changes import carry_on, check_unchanged, restarted_streams
from ._mismatch import find_mismatches
from ._session import SessionSdp
from ._subsequent import StreamOutcome, named_candidates, needs_offer


class SignalingState(IdentityEnum):
    """Whose offer waits for an answer, in the words of W3C's ``RTCSignalingState``."""

    STABLE = "stable"
    HAVE_LOCAL_OFFER = "have-local-offer"
    HAVE_REMOTE_OFFER = "have-remote-offer"


class SignalingEvent(IdentityEnum):
    """What changes it."""

    SEND_OFFER = "our offer"
    RECEIVE_OFFER = "the peer's offer"
    SEND_ANSWER = "our answer"
    RECEIVE_ANSWER = "the peer's answer"
    ROLL_BACK = "the offer failed"


_S, _E = SignalingState, SignalingEvent
SIGNALING_TRANSITIONS = MappingProxyType(
    {
        _S.STABLE: {_E.SEND_OFFER: _S.HAVE_LOCAL_OFFER, _E.RECEIVE_OFFER: _S.HAVE_REMOTE_OFFER},
        _S.HAVE_LOCAL_OFFER: {_E.SEND_OFFER: _S.HAVE_LOCAL_OFFER, _E.RECEIVE_ANSWER: _S.STABLE, _E.ROLL_BACK: _S.STABLE},
        _S.HAVE_REMOTE_OFFER: {
            _E.RECEIVE_OFFER: _S.HAVE_REMOTE_OFFER,
            _E.SEND_ANSWER: _S.STABLE,
            _E.ROLL_BACK: _S.STABLE,
        },
    }
)


class MismatchPolicy(IdentityEnum):
    """What a default destination that is no candidate means (RFC 8839 4.2.5)."""

    STOP = "something rewrote the addresses: such streams do without ICE"
    CONTINUE = "nothing: as browsers see it, of whose servers some write any default"


class IceUse(IdentityEnum):
    """Whether a stream uses ICE."""

    ICE = "both sides use ICE"
    NONE = "the peer does not know ICE"
    MISMATCH = "addresses were rewritten on the way, so that ICE is not used"


@attrs.frozen
class RemoteIce:
    """What the peer's offer or answer means for ICE; by the names of sections that have a stream of their own.

    Attributes:
        uses: whether each stream uses ICE.
        descriptions: of those that do: what an agent must be told.
        restarted: those of which the peer has other credentials than before.
        remote_candidates: what a controlling peer says it has selected; see `judge_remote_candidates`.
    """

    uses: Mapping[str, IceUse]
    descriptions: Mapping[str, Description]
    restarted: tuple[str, ...] = ()
    remote_candidates: Mapping[str, tuple[RemoteCandidate, ...]] = MappingProxyType({})

    @property
    def description(self) -> SessionDescription | None:
        """What `IceAgent.set_remote` takes, if its streams are these; ``None``: no stream uses ICE."""
        return SessionDescription(self.descriptions.values(), mids=self.descriptions) if self.descriptions else None


_NOTHING: Mapping[str, StreamOutcome] = MappingProxyType({})


class OfferAnswer:
    """One dialog's offers and answers. It decides about ICE, and leaves media to the application's templates.

    A forked offer has a dialog, and an agent, for each answer: see `fork`.

    Args:
        mismatch: what to do about addresses that something on the way has rewritten.
        trickle: whether the application has a way for trickled candidates: then each offer and answer says so (RFC 8840
            4.1), that of an agent that is complete itself, too (half trickle, RFC 8838 16).
    """

    __slots__ = ("_is_forgotten", "_local", "_mismatch", "_offer", "_received", "_remote", "_state", "_trickle")

    def __init__(self, *, mismatch: MismatchPolicy = MismatchPolicy.STOP, trickle: bool = False) -> None:
        self._mismatch = mismatch
        self._trickle = trickle
        self._state = SignalingState.STABLE
        self._local: SessionSdp | None = None
        self._remote: SessionSdp | None = None
        self._offer: SessionSdp | None = None
        self._received = RemoteIce({}, {})
        self._is_forgotten = False

    @property
    def state(self) -> SignalingState:
        """Whose offer waits for an answer."""
        return self._state

    @property
    def must_restart(self) -> bool:
        """Whether an answer has dropped ICE in mid-session, so that the next offer must restart it (RFC 8839 4.4.3.1)."""
        return self._is_forgotten

    # ------------------------------------------------------------- ours

    def offer(
        self,
        template: SessionSdp,
        session: SessionDescription,
        *,
        outcomes: Mapping[str, StreamOutcome] = _NOTHING,
        controlling: bool = False,
    ) -> SessionSdp:
        """An offer: the template with our ICE parts.

        Args:
            template: the media that the application offers.
            session: the agent's streams, under the names of their sections.
            outcomes: by section, how far its checks are: one that failed is removed, of one that is over there is only the
                nominated candidate (RFC 8839 4.3.4, 4.4.1.2.2). A stream that restarts is described as at first.
            controlling: the agent's role; it says which of the peer's candidates it has selected.

        Raises:
            LocalProtocolError: the peer's offer waits for an answer; a change that only a restart may make; no restart where
                it is due; a section that is not there.
        """
        state = self._next(SignalingEvent.SEND_OFFER)
        local = _descriptions(self._local)
        try:
            told = carry_on(self._said(session), local)
            restarted = restarted_streams(local, _by_mid(told))
            if self._is_forgotten and any(mid in local and mid not in restarted for mid in told.mids):
                raise ValueError("the peer has dropped ICE, so that every stream must restart (RFC 8839 4.4.3.1)")
            going = {mid: outcome for mid, outcome in outcomes.items() if mid not in restarted}
            selected = {mid: outcome for mid, outcome in going.items() if outcome.selected}
            written = template.without_streams([mid for mid, outcome in going.items() if outcome.failed]).with_ice(
                told,
                nominated={mid: outcome.nominated for mid, outcome in selected.items()},
                remote_candidates={mid: outcome.remote_candidates for mid, outcome in selected.items()} if controlling else {},
            )
        except ValueError as error:
            raise LocalProtocolError(f"offer(): {error}") from None
        self._state, self._offer = state, written
        return written

    def answer(
        self, template: SessionSdp, session: SessionDescription | None, *, outcomes: Mapping[str, StreamOutcome] = _NOTHING
    ) -> SessionSdp:
        """The answer to the offer that was received: the template with ICE where the offer uses it, and without elsewhere.

        Args:
            template: the media that the application accepts.
            session: the agent's streams, under the names of their sections; those without ICE are left out.
            outcomes: as for `offer`. Where the offer names candidates of ours that were selected, the answer has these.

        Raises:
            LocalProtocolError: no offer waits; a stream that the offer restarts has its old credentials, or the reverse; a
                section that is not there.
        """
        state = self._next(SignalingEvent.SEND_ANSWER)
        received, local = self._received, _descriptions(self._local)
        try:
            told = None if session is None else _restricted(session, received.descriptions)
            if told is not None:
                told = carry_on(self._said(told), local)
                streams = _by_mid(told)
                _check_restarts(restarted_streams(local, streams), received.restarted, streams, local)
            written = template.with_ice(
                told,
                nominated=self._nominated(told, outcomes),
                mismatched=[mid for mid, use in received.uses.items() if use is IceUse.MISMATCH],
            )
        except ValueError as error:
            raise LocalProtocolError(f"answer(): {error}") from None
        self._state, self._local, self._remote, self._offer = state, written, self._offer, None
        self._is_forgotten = False
        return written

    def _said(self, session: SessionDescription) -> SessionDescription:
        """Our descriptions with the option of those who trickle, if we do."""
        if not self._trickle:
            return session
        streams = [attrs.evolve(one, options=dict.fromkeys((*one.options, TRICKLE))) for one in session]
        return SessionDescription(streams, mids=session.mids)

    def _nominated(
        self, told: SessionDescription | None, outcomes: Mapping[str, StreamOutcome]
    ) -> dict[str, tuple[Candidate, ...]]:
        """The candidates of streams of which the answer has no others."""
        found: dict[str, tuple[Candidate, ...]] = {}
        for mid, stream in _by_mid(told).items():
            outcome = outcomes.get(mid, StreamOutcome())
            if mid in self._received.restarted:
                continue
            named = self._received.remote_candidates.get(mid, ())
            candidates = named_candidates(named, (*outcome.nominated, *stream.candidates)) or outcome.nominated
            if candidates:
                found[mid] = candidates
        return found

    # ------------------------------------------------------------- the peer's

    def receive_offer(self, sdp: SessionSdp) -> RemoteIce:
        """Understand the peer's offer; `answer` comes next.

        Raises:
            LocalProtocolError: our own offer waits for an answer.
            ValueError: the offer must be rejected, for it changes without a restart what only a restart may change (RFC 8839
                4.4.2.1); nothing has changed here.
        """
        state = self._next(SignalingEvent.RECEIVE_OFFER)
        received = self._understand(sdp, sdp.descriptions)
        self._state, self._offer, self._received = state, sdp, received
        return received

    def receive_answer(self, sdp: SessionSdp) -> RemoteIce:
        """Understand the answer to our offer. Where no stream uses ICE any more, the dialog goes on by RFC 3264.

        Raises:
            LocalProtocolError: no offer of ours waits.
            ValueError: the answer restarts what the offer did not, or the reverse, or changes without a restart what only a
                restart may change; nothing has changed here.
        """
        state = self._next(SignalingEvent.RECEIVE_ANSWER)
        offered = _descriptions(self._offer)
        received = self._understand(sdp, offered)
        restarted = restarted_streams(_descriptions(self._local), offered)
        _check_restarts(received.restarted, restarted, received.descriptions, _descriptions(self._remote))
        if IceUse.MISMATCH in received.uses.values() and not any(section.ice.mismatch for section in sdp.sections):
            # It is we who have found it: RFC 8839 4.3.3 ends ICE for the whole session.
            received = RemoteIce(dict.fromkeys(received.uses, IceUse.MISMATCH), {})
        self._is_forgotten = not received.descriptions and bool(_descriptions(self._remote))
        self._state, self._local, self._remote, self._received, self._offer = state, self._offer, sdp, received, None
        return received

    def _understand(self, sdp: SessionSdp, offered: Mapping[str, object]) -> RemoteIce:
        before, tags = _descriptions(self._remote), sdp.tags
        described = {mid: stream for mid, stream in sdp.descriptions.items() if mid in offered}
        restarted = restarted_streams(before, described)
        check_unchanged(before, described, restarted)
        found = find_mismatches(sdp) if self._mismatch is MismatchPolicy.STOP else ()
        mismatched = {tags[mid]: None for mid in found}
        mismatched |= {mid: None for mid, section in sdp.by_mid.items() if section.ice.mismatch}
        uses = {
            tag: IceUse.MISMATCH if tag in mismatched else IceUse.ICE if tag in described else IceUse.NONE
            for tag in dict.fromkeys(tags.values())
        }
        used = {mid: stream for mid, stream in described.items() if uses[mid] is IceUse.ICE}
        remote = {mid: sdp.by_mid[mid].ice.remote_candidates for mid in used}
        return RemoteIce(uses, used, restarted, {mid: named for mid, named in remote.items() if named})

    # ------------------------------------------------------------- both

    def needs_offer(self, outcomes: Mapping[str, StreamOutcome], *, controlling: bool) -> bool:
        """Whether this agent must send another offer now: see the function of this name. Only a controlling agent must."""
        if not controlling or self._local is None or self._remote is None or self._state is not SignalingState.STABLE:
            return False
        return needs_offer(self._local, self._remote, outcomes)

    def roll_back(self) -> None:
        """The offer failed: everything is as if it had never been made (RFC 8839 4.4).

        Raises:
            LocalProtocolError: no offer waits.
        """
        self._state, self._offer = self._next(SignalingEvent.ROLL_BACK), None

    def fork(self) -> OfferAnswer:
        """Another dialog with the same offer, for one more answer to it (RFC 8839 7.3). Each needs an agent of its own.

        Raises:
            LocalProtocolError: no offer of ours waits.
        """
        if self._state is not SignalingState.HAVE_LOCAL_OFFER:
            raise LocalProtocolError("fork(): no offer of ours waits for an answer; fork before the first of them is received")
        twin = OfferAnswer(mismatch=self._mismatch, trickle=self._trickle)
        twin._state, twin._local, twin._remote, twin._offer = self._state, self._local, self._remote, self._offer
        twin._is_forgotten = self._is_forgotten
        return twin

    def _next(self, event: SignalingEvent) -> SignalingState:
        try:
            return SIGNALING_TRANSITIONS[self._state][event]
        except KeyError:
            raise LocalProtocolError(f"{event.value}: not in the state {self._state.value}") from None


def _descriptions(sdp: SessionSdp | None) -> Mapping[str, Description]:
    return {} if sdp is None else sdp.descriptions


def _by_mid(session: SessionDescription | None) -> dict[str, Description]:
    return {} if session is None else dict(zip(session.mids, session.streams, strict=True))


def _restricted(session: SessionDescription, to: Mapping[str, object]) -> SessionDescription | None:
    """The streams of a session that use ICE; ``None`` where none does."""
    kept = {mid: stream for mid, stream in _by_mid(session).items() if mid in to}
    return SessionDescription(kept.values(), mids=kept) if kept else None


def _check_restarts(
    answered: tuple[str, ...], offered: tuple[str, ...], streams: Mapping[str, object], before: Mapping[str, object]
) -> None:
    """An answer restarts the streams that the offer restarts, and no others (RFC 8839 4.4.2.1)."""
    for mid in streams:
        if mid in before and (mid in answered) != (mid in offered):
            said, did = ("restarts", "does not") if mid in offered else ("does not restart", "does")
            raise ValueError(f"section {mid}: the offer {said} ICE, and the answer {did}")
