"""The planted bugs: one line each, as an implementer might write it."""

from __future__ import annotations

from typing import NamedTuple


class Plant(NamedTuple):
    """A bug: in ``file``, below ``sansice/``, the text ``old``, which occurs once, becomes ``new``.

    A counterexample may have so many ``events``: what shows only when all has settled has more. It is looked for in the worlds
    of a ``suite``, those of the part that was changed.
    """

    name: str
    file: str
    old: str
    new: str
    events: int = 30
    suite: str = "ice"


CHECKER, CHECKS, SESSION = "ice/_agent/_checker.py", "ice/_agent/_checks.py", "ice/_agent/_session.py"
INPUTS, COMPONENT, CONCLUSION = "ice/_agent/_agent_inputs.py", "ice/_agent/_component.py", "ice/_agent/_conclusion.py"
CHECKLIST, PAIRING = "ice/_agent/_checklist.py", "ice/_agent/_pairing.py"
STREAM, BINDING, ROLE = "ice/_agent/_stream.py", "ice/_binding.py", "ice/_role.py"

RIVALS = "ice/_mux/_rivals.py"
MEMBERS, RESIDENTS, STRANGERS = "ice/_mux/_members.py", "ice/_mux/_residents.py", "ice/_mux/_strangers.py"
RELAYS, MOVER, LITE, LITE_CHECKS = (
    "ice/_gathering/_relays.py",
    "ice/_agent/_mover.py",
    "ice/_lite/_component.py",
    "ice/_lite/_requests.py",
)
TCP, FRAMING = "ice/_tcp/_paths.py", "stun/_framing.py"

DOORSTEP = "ice/_mux/_doorstep.py"
CACHE, RESPONDER = "ice/_mdns/_cache.py", "ice/_mdns/_responder.py"
MDNS, QUERIER = "ice/_mdns/_agent.py", "ice/_mdns/_querier.py"
MOVING, SOCKETS, GATHERER = "ice/_agent/_moving.py", "ice/_agent/_agent_sockets.py", "ice/_gathering/_gatherer.py"

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
        INPUTS,
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
        INPUTS,
        "                if now >= component.until:\n                    stream",
        "                if now >= component.until and component._next_check > 1e9:\n                    stream",
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
        INPUTS,
        "            elif component.is_trusted(source):",
        "            elif component.is_trusted(source) or component.path is not None:",
    ),
    Plant(
        "priority-of-a-host-in-checks",
        CHECKER,
        "    return candidate_priority(_PEER_REFLEXIVE, local.local_preference, candidate.component, candidate.transport)",
        "    return candidate.priority",
    ),
    Plant(
        "retransmission-without-end",
        SESSION,
        "            return config.schedule\n        active",
        "            return attrs.evolve(config.schedule, rc=30)\n        active",
    ),
    Plant(
        "pacing-skipped-for-triggered-checks",
        INPUTS,
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
        "            if known.socket == pair.local.socket and known.address == mapped:",
        "            if known.socket == pair.local.socket:",
    ),
    Plant(
        "failed-agent-goes-on-answering",
        INPUTS,
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
        "        component = self.components[pair.local.candidate.component - 1]\n        conclusion = component.conclusion\n        if conclusion.awaits_restart",  # noqa: E501  (source text)
        "        component = self.components[0]\n        conclusion = component.conclusion\n        if conclusion.awaits_restart",
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
    Plant(
        "route-kept-after-the-agent-is-gone",
        MEMBERS,
        "        sources, self.sources = self.sources, ()\n",
        "        sources, self.sources = (), ()\n",
        LONG,
        "mux",
    ),
    Plant(
        "address-taken-over-by-a-wrong-password",
        RESIDENTS,
        "        if proven and source not in lane.sources and not is_repeated and lane.id in self.lanes:\n            claim(",
        "        if source not in lane.sources and lane.id in self.lanes:\n            (lambda _, *to, now: lane.learn(*to))(",
        60,
        "mux",
    ),
    Plant(
        "address-taken-by-a-check-whoever-holds-it",
        RIVALS,
        "    elif not _holds(owner, source, now) or",
        "    elif owner or",
        LONG,
        "mux",
    ),
    Plant(
        "former-owner-of-an-address-believes-to-have-it",
        MEMBERS,
        "            former.sources = tuple([one for one in former.sources if one != source])\n",
        "            pass\n",
        LONG,
        "mux",
    ),
    Plant(
        "ufrag-of-a-removed-agent-kept",
        RESIDENTS,
        "                del self.by_ufrag[ufrag]\n",
        "                pass\n",
        LONG,
        "mux",
    ),
    Plant(
        "unknown-ufrag-offered-with-each-retransmission",
        STRANGERS,
        "        if ufrag in self._waiting or ufrag in self._refused or",
        "        if ufrag in self._refused or",
        60,
        "mux",
    ),
    Plant(
        "earlier-deadline-of-an-agent-missed",
        RESIDENTS,
        "        elif (due := agent.deadline()) != member.due:",
        "        elif (due := agent.deadline()) > member.due or member.due > 1e9:",
        60,
        "mux",
    ),
    Plant(
        "frame-length-counts-itself",
        FRAMING,
        '    return len(data).to_bytes(_LENGTH, "big") + data',
        '    return (len(data) + _LENGTH).to_bytes(_LENGTH, "big") + data',
        60,
        "tcp",
    ),
    Plant(
        "rest-of-a-read-forgotten",
        FRAMING,
        "                self._needed = _LENGTH + length\n                break\n            start += _LENGTH + length\n            if length:",  # noqa: E501  (source text)
        "                self._needed = _LENGTH + length\n                if packets:\n                    return packets\n                break\n            start += _LENGTH + length\n            if length:",  # noqa: E501  (source text)
        LONG,
        "tcp",
    ),
    Plant(
        "first-frame-clock-never-started",
        TCP,
        "        if not connection.is_ours:\n            self._timers.set(socket, now + self._config.tcp_first_check_timeout)\n",
        "        if not connection.is_ours:\n",
        LONG,
        "tcp",
    ),
    Plant(
        "retried-check-opens-a-second-connection",
        TCP,
        "        if connection is None:\n            if not is_request:",
        "        if connection is None or not connection.is_answered:\n            if not is_request:",
        LONG,
        "tcp",
    ),
    Plant(
        "strangers-proven-by-any-answer",
        TCP,
        "        if not decode_untrusted(answer).has_integrity:\n            return\n",
        "",
        LONG,
        "tcp",
    ),
    Plant(
        "oldest-stranger-stays",
        TCP,
        "            self._close(strangers[0], CloseMode.RESET)\n",
        "",
        LONG,
        "tcp",
    ),
    Plant(
        "one-permission-for-all-peers",
        RELAYS,
        "        if peer.host not in relay.permitted:\n",
        "        if not relay.permitted:\n",
        LONG,
        "corners",
    ),
    Plant(
        "lite-agent-uses-what-nobody-nominated",
        LITE_CHECKS,
        "        (check.use_candidate or (is_new and _is_spliced(generation, host)))\n",
        "        (check.use_candidate or not _is_spliced(generation, host))\n",
        LONG,
        "corners",
    ),
    Plant(
        "lite-agent-refuses-a-nomination-that-is-sent-again",
        LITE,
        "        if chosen is not None and chosen.is_on(pair.host.socket, pair.address):\n",
        "        if chosen is not None and chosen.is_on(pair.host.socket, pair.address) and not is_repeated:\n",
        LONG,
        "corners",
    ),
    Plant(
        "suspicion-is-never-judged",
        MOVER,
        "        self._verdict_at = now + used.patience + THIRD_TRANSMISSION\n",
        "        self._verdict_at = math.inf\n",
        LONG,
        "corners",
    ),
    Plant(
        "connection-that-says-nothing-waits-as-an-offered-one",
        DOORSTEP,
        "now + self._config.first_frame_timeout",
        "now + self._config.unknown_timeout",
        LONG,
        "door",
    ),
    Plant(
        "one-network-has-one-silent-connection-too-many",
        DOORSTEP,
        "        if len(neighbours) >= self._config.max_silent_per_prefix:",
        "        if len(neighbours) > self._config.max_silent_per_prefix:",
        LONG,
        "door",
    ),
    Plant(
        "connection-of-a-refused-ufrag-forgotten",
        DOORSTEP,
        "        if caller is not None:\n            self._close(caller)\n",
        "        if caller is not None:\n            self._forget(caller)\n",
        LONG,
        "door",
    ),
    Plant(
        "connection-turned-away-by-the-restart-that-it-waits-for",
        RESIDENTS,
        "        for lane in member.lanes:\n            self.greet(lane, now)\n        for ufrag in ufrags:",
        "        for ufrag in ufrags:",
        LONG,
        "door",
    ),
    Plant(
        "connection-waits-on-after-it-was-adopted",
        DOORSTEP,
        "        self._forget(caller)\n        return caller.data\n",
        "        return caller.data\n",
        LONG,
        "door",
    ),
    Plant(
        "owner-of-a-closed-connection-kept",
        RESIDENTS,
        "            self.owners.pop(action.socket, None)\n",
        "",
        LONG,
        "door",
    ),
    Plant(
        "connection-that-waited-is-given-to-the-latest-agent",
        RESIDENTS,
        "        member, socket = lane.member, caller.socket\n",
        "        lane = next(reversed(lane.shared.lanes.values()))\n        member, socket = lane.member, caller.socket\n",
        LONG,
        "door",
    ),
    Plant(
        "socket-of-an-address-that-is-gone-stays-open",
        GATHERER,
        "        return tuple(lost) + tuple(abandoned)\n",
        "        return tuple(abandoned)\n",
        LONG,
        "moving",
    ),
    Plant(
        "restart-asked-for-without-an-address",
        SOCKETS,
        "        if hosts.names:\n            moving.tell(",
        "        if moving.waiting is None:\n            moving.tell(",
        LONG,
        "moving",
    ),
    Plant(
        "restart-asked-for-in-the-first-generation-only",
        MOVING,
        "            if self._told.get(stream.index) != generation and self._is_stranded",
        "            if stream.index not in self._told and self._is_stranded",
        LONG,
        "moving",
    ),
    Plant(
        "addresses-that-come-too-fast-forgotten",
        MOVING,
        "        self.waiting = hosts\n",
        "",
        LONG,
        "moving",
    ),
    Plant(
        "every-address-opened-at-once",
        MOVING,
        "        self._opens_at = now + self._session.config.update_interval\n",
        "        self._opens_at = now\n",
        LONG,
        "moving",
    ),
    Plant(
        "controlled-agent-waits-for-a-move-to-where-nobody-is",
        MOVING,
        "        return conclusion.mover is None or self._session.role is IceRole.CONTROLLED",
        "        return conclusion.mover is None",
        LONG,
        "moving",
    ),
    Plant(
        "failed-agent-asks-for-nothing-when-addresses-come",
        MOVING,
        "        if state is IceState.FAILED or any(",
        "        if any(",
        LONG,
        "moving",
    ),
    Plant(
        "farewell-of-a-name-ignored",
        CACHE,
        "min(known[record.host].expires, now + GOODBYE)",
        "known[record.host].expires",
        LONG,
        "names",
    ),
    Plant(
        "announcement-of-a-name-that-was-taken-back",
        RESPONDER,
        "                self._announcements.cancel(name)\n",
        "",
        LONG,
        "names",
    ),
    Plant(
        "questions-from-beyond-the-link-answered",
        MDNS,
        "        if not link.has(source):\n",
        "        if not link.is_open:\n",
        LONG,
        "names",
    ),
    Plant(
        "what-was-told-on-a-link-outlives-it",
        MDNS,
        "        del self._links[link.socket]\n        self._querier.cache.clear()\n",
        "        del self._links[link.socket]\n",
        LONG,
        "names",
    ),
    Plant(
        "question-repeated-every-second",
        QUERIER,
        "min(FIRST_INTERVAL * 2**search.asked, MAX_INTERVAL)",
        "FIRST_INTERVAL",
        LONG,
        "names",
    ),
)
