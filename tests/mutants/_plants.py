"""The planted bugs: one line each, as an implementer might write it."""

from __future__ import annotations

from typing import NamedTuple


class Plant(NamedTuple):
    """A bug: in ``file``, below ``sansice/``, the text ``old``, which occurs once, becomes ``new``.

    A counterexample may have so many ``events``: what shows only when all has settled has more.
    """

    name: str
    file: str
    old: str
    new: str
    events: int = 30


CHECKER, CHECKS, SESSION = "ice/_agent/_checker.py", "ice/_agent/_checks.py", "ice/_agent/_session.py"
AGENT, COMPONENT, CONCLUSION = "ice/_agent/_agent.py", "ice/_agent/_component.py", "ice/_agent/_conclusion.py"
CHECKLIST, PAIRING = "ice/_agent/_checklist.py", "ice/_agent/_pairing.py"
STREAM, BINDING, ROLE = "ice/_agent/_stream.py", "ice/_binding.py", "ice/_role.py"

LONG = 500  # of two minutes with several components, and the data of an application

PLANTS = (
    Plant(
        "missing-triggered-check",
        CHECKER,
        "            if pair.state is not _SUCCEEDED or pair.valid is None:\n                self._trigger(pair, now)",
        "            if pair.state is not _SUCCEEDED or pair.valid is None:\n                pass",
    ),
    Plant(
        "nomination-on-an-unchecked-pair",
        CHECKER,
        "        if nominates:\n            conclusion.count_nomination(pair, number, request, now)",
        "        if nominates:\n            conclusion.nominate(pair, pair, 1, now) if conclusion.best_valid else conclusion.count_nomination(pair, 0, None, now)",  # noqa: E501  (source text)
    ),
    Plant(
        "tiebreaker-not-redrawn",
        CHECKER,
        "        self._session.draw_tiebreaker()\n",
        "        self._session.entropy(8)\n",
    ),
    Plant(
        "late-response-to-a-cancelled-check-ignored",
        CHECKS,
        "        running = self.running.get(message.transaction_id)\n        if running is None:",
        "        running = self.running.get(message.transaction_id)\n        if running is None or running.cancelled:",
    ),
    Plant(
        "role-switch-without-sorting",
        SESSION,
        "pair.valid.local.candidate, pair.valid.remote)\n            checklist.sort()\n",
        "pair.valid.local.candidate, pair.valid.remote)\n",
    ),
    Plant(
        "role-switch-keeps-priorities",
        SESSION,
        "                pair.priority = self.priority(pair.local.candidate, pair.remote)\n",
        "",
    ),
    Plant(
        "consent-renewed-by-requests",
        AGENT,
        "                self._streams[component.stream].handle_request(component, socket, source, message, now=now)\n",
        "                self._streams[component.stream].handle_request(component, socket, source, message, now=now)\n                if (consent := component.consent): consent.pair.answered_at = now; component.renew()\n",  # noqa: E501  (source text)
    ),
    Plant(
        "consent-renewed-by-asking",
        COMPONENT,
        "        consent.asked(transaction_id, now=now)\n",
        "        consent.asked(transaction_id, now=now)\n        pair.answered_at = now\n        self.renew()\n",
    ),
    Plant(
        "consent-checked-after-it-has-ended",
        AGENT,
        "                if now >= component.until:\n                    stream",
        "                if now >= component.until and component._next_check == math.inf:\n                    stream",
    ),
    Plant(
        "response-from-another-address-accepted",
        CHECKS,
        "        if (socket, source) != (running.pair.local.socket, running.pair.remote_address):",
        "        if socket != running.pair.local.socket:",
    ),
    Plant(
        "role-conflict-lost-by-the-larger-tiebreaker",
        ROLE,
        "        return Conflict.REJECT if tiebreaker >= theirs else Conflict.SWITCH",
        "        return Conflict.REJECT if tiebreaker < theirs else Conflict.SWITCH",
    ),
    Plant(
        "role-kept-after-487",
        CHECKER,
        "        self._session.take_role(running.role.opposite)",
        "        self.consider(now)",
    ),
    Plant(
        "foundation-not-thawed",
        CHECKER,
        "        unfreeze_foundation(self._session.lists, pair.foundation)  # RFC 8445 7.2.5.3.3\n",
        "",
    ),
    Plant(
        "data-from-strangers-accepted",
        AGENT,
        "            elif component.is_trusted(source):",
        "            elif component.is_trusted(source) or component.path is not None:",
    ),
    Plant(
        "priority-of-a-host-in-checks",
        CHECKER,
        "    return candidate_priority(_PEER_REFLEXIVE, local.local_preference, local.candidate.component)",
        "    return local.candidate.priority",
    ),
    Plant(
        "retransmission-without-end",
        SESSION,
        "            return config.schedule\n        active",
        "            return attrs.evolve(config.schedule, rc=30)\n        active",
    ),
    Plant(
        "pacing-skipped-for-triggered-checks",
        AGENT,
        "            turns.take(now, session.ta)\n",
        "            turns.take(now, 0 if session.lists[0]._triggered else session.ta)\n",
    ),
    Plant(
        "early-checks-forgotten",
        CHECKER,
        "        early, self._early = self._early.take(self.remote.ufrag), None\n",
        "        early: list[EarlyCheck] = []\n",
    ),
    Plant(
        "use-candidate-in-every-check",
        CHECKER,
        "        nominating = pair.nominating and self._session.role is _CONTROLLING",
        "        nominating = self._session.role is _CONTROLLING",
    ),
    Plant(
        "requests-not-authenticated",
        BINDING,
        "    if not request.verify(key):",
        "    if not request.has_integrity:",
    ),
    Plant(
        "consent-answers-not-authenticated",
        COMPONENT,
        "        elif not self.checker.verify(message):",
        "        elif not message.has_integrity:",
    ),
    Plant(
        "nomination-before-the-answer-forgotten",
        CONCLUSION,
        "        pair.nominate_on_success = self._nominations",
        "        pair.nominate_on_success = self._nominations if pair.state is _SUCCEEDED else 0",
    ),
    Plant(
        "mapped-address-ignored",
        PAIRING,
        "            if known.socket == pair.local.socket and known.candidate.address == mapped:",
        "            if known.socket == pair.local.socket:",
    ),
    Plant(
        "failed-agent-goes-on-answering",
        AGENT,
        "        if component is None or self._session.states[component.stream] in OVER:",
        "        if component is None or self.state is IceState.CLOSED:",
    ),
    Plant(
        "every-nomination-followed",
        CHECKER,
        "        nominates = check.use_candidate and self._session.role is _CONTROLLED and not",
        "        nominates = self._session.role is _CONTROLLED and not",
    ),
    Plant(
        "restart-ends-what-is-in-use",
        COMPONENT,
        "        self.conclusion = checker.conclusions[self.number - 1]\n",
        "        self.conclusion = checker.conclusions[self.number - 1]\n        self.stop()\n",
        LONG,
    ),
    Plant(
        "restart-by-the-peer-ignored",
        STREAM,
        "Told.OF_ANOTHER if self.checker.has_heard_of(description.ufrag) else Told.NEXT",
        "Told.OF_ANOTHER if self.checker.has_heard_of(description.ufrag) else Told.PAST",
        LONG,
    ),
    Plant(
        "restart-goes-on-with-the-old-checklist",
        STREAM,
        "        self.checker, session.lists[self.index] = new, new.list\n",
        "        self.checker = new\n",
        LONG,
    ),
    Plant(
        "trickled-candidates-forgotten",
        STREAM,
        "        return self.checker.add_remote(candidate)\n",
        "        return True\n",
        LONG,
    ),
    Plant(
        "only-the-first-stream-is-checked",
        SESSION,
        "            stream = (self._turn + offset) % count\n",
        "            stream = 0\n",
        LONG,
    ),
    Plant(
        "components-mixed-up",
        STREAM,
        "        component = self.components[pair.local.candidate.component - 1]\n        conclusion = component.conclusion\n        if conclusion.selected",  # noqa: E501  (source text)
        "        component = self.components[0]\n        conclusion = component.conclusion\n        if conclusion.selected",
        LONG,
    ),
    Plant(
        "components-share-a-clock",
        STREAM,
        "number, timer_of(index, number)",
        "number, timer_of(index, 1)",
        LONG,
    ),
    Plant(
        "every-renomination-is-stale",
        CONCLUSION,
        "        return number != 0 and number << _NUMBERED <= self._latest",
        "        return number != 0",
        LONG,
    ),
)
