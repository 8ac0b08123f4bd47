"""The planted bugs: one line each, as an implementer might write it."""

from __future__ import annotations

from typing import NamedTuple


class Plant(NamedTuple):
    """A bug: in ``file``, below ``sansice/``, the text ``old``, which occurs once, becomes ``new``."""

    name: str
    file: str
    old: str
    new: str


CHECKER, AGENT = "ice/_agent/_checker.py", "ice/_agent/_agent.py"
CHECKLIST, PAIRING = "ice/_agent/_checklist.py", "ice/_agent/_pairing.py"
BINDING, ROLE = "ice/_binding.py", "ice/_role.py"

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
        "        if nominates:\n            self._count_nomination(pair)",
        "        if nominates:\n            self._nominate(pair, pair) if self.best_valid else self._count_nomination(pair)",
    ),
    Plant(
        "tiebreaker-not-redrawn",
        CHECKER,
        '        self.tiebreaker = int.from_bytes(self._entropy(8), "big")\n',
        "        self._entropy(8)\n",
    ),
    Plant(
        "late-response-to-a-cancelled-check-ignored",
        CHECKER,
        "        running = self._running.get(message.transaction_id)\n        if running is None:",
        "        running = self._running.get(message.transaction_id)\n        if running is None or running.cancelled:",
    ),
    Plant(
        "role-switch-without-sorting",
        PAIRING,
        "pair.valid.local.candidate, pair.valid.remote)\n        self.list.sort()\n",
        "pair.valid.local.candidate, pair.valid.remote)\n",
    ),
    Plant(
        "role-switch-keeps-priorities",
        PAIRING,
        "            pair.priority = self._priority(pair.local.candidate, pair.remote)\n            if pair.valid",
        "            if pair.valid",
    ),
    Plant(
        "consent-renewed-by-requests",
        AGENT,
        "                self._checker.handle_request(socket, source, message, now=now)\n",
        "                self._checker.handle_request(socket, source, message, now=now)\n"
        "                if (consent := self._consent): consent.pair.answered_at = now; self._watch(consent)\n",
    ),
    Plant(
        "consent-renewed-by-asking",
        AGENT,
        "        consent.asked(transaction_id, now=now)\n",
        "        consent.asked(transaction_id, now=now)\n        pair.answered_at = now\n        self._watch(consent)\n",
    ),
    Plant(
        "consent-checked-after-it-has-ended",
        AGENT,
        "            if now >= self._until and self._consent is not None:",
        "            if now >= self._until and self._consent is not None and _CONSENT not in self._timers:",
    ),
    Plant(
        "response-from-another-address-accepted",
        CHECKER,
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
        "        self._take_role(running.role.opposite, now)",
        "        self._consider_nomination(now)",
    ),
    Plant(
        "foundation-not-thawed",
        CHECKER,
        "        unfreeze_foundation((self.list,), pair.foundation)  # RFC 8445 7.2.5.3.3\n",
        "",
    ),
    Plant(
        "data-from-strangers-accepted",
        AGENT,
        "            elif is_trusted(source):",
        "            elif is_trusted(source) or self._path is not None:",
    ),
    Plant(
        "priority-of-a-host-in-checks",
        CHECKER,
        "        return candidate_priority(_PEER_REFLEXIVE, local.local_preference, self.pairing.component)",
        "        return local.candidate.priority",
    ),
    Plant(
        "retransmission-without-end",
        CHECKER,
        "            return config.schedule\n        active",
        "            return attrs.evolve(config.schedule, rc=30)\n        active",
    ),
    Plant(
        "pacing-skipped-for-triggered-checks",
        AGENT,
        "            self._next_slot = now + self._ta\n",
        "            self._next_slot = now + (0 if checker.list._triggered else self._ta)\n",
    ),
    Plant(
        "early-checks-forgotten",
        CHECKER,
        "        early, self._early = self._early, []\n",
        "        early: list[_EarlyCheck] = []\n",
    ),
    Plant(
        "use-candidate-in-every-check",
        CHECKER,
        "        nominating = pair.nominating and self.role is _CONTROLLING",
        "        nominating = self.role is _CONTROLLING",
    ),
    Plant(
        "requests-not-authenticated",
        BINDING,
        "    if not request.verify(key):",
        "    if not request.has_integrity:",
    ),
    Plant(
        "consent-answers-not-authenticated",
        AGENT,
        "        elif not self._checker.verify(message):",
        "        elif not message.has_integrity:",
    ),
    Plant(
        "nomination-before-the-answer-forgotten",
        CHECKER,
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
        "        if self._state in _OVER or socket not in self._checker.pairing.locals:",
        "        if self._state is IceState.CLOSED or socket not in self._checker.pairing.locals:",
    ),
    Plant(
        "every-nomination-followed",
        CHECKER,
        "        nominates = check.use_candidate and self.role is _CONTROLLED\n",
        "        nominates = self.role is _CONTROLLED\n",
    ),
)
