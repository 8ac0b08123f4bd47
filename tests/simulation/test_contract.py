"""`check_machine`: passes what keeps the contract, and names the clause that is broken by what does not."""

import builtins
import itertools
import math
import os
import re
import subprocess
import sys
from dataclasses import dataclass

import attrs
import pytest
from hypothesis import strategies as st

from sansice.ice import Candidate, Credentials, Description, IceAgent, IceServer
from sansice.machine import (
    Address,
    Event,
    LocalProtocolError,
    Machine,
    OpenSocket,
    QueryId,
    RecordKind,
    Resolve,
    ResolveError,
    SendDatagram,
    SendDatagrams,
    SocketId,
    Transport,
)
from sansice.simulation import BindingResponder, Clause, ContractBreach, check_machine
from sansice.simulation._contract._trial import flat_forms, form
from sansice.stun import (
    ICE_CONTROLLED,
    PRIORITY,
    USERNAME,
    XOR_MAPPED_ADDRESS,
    MessageClass,
    Method,
    StunTransaction,
    TransactionId,
    decode_untrusted,
    encode,
    is_stun,
    short_term_key,
)

ONE = SocketId(1)
PEER = Address("192.0.2.9", 9)
WAITING = 8  # pings that may be unanswered


@attrs.frozen
class Answered(Event):
    token: bytes = attrs.field(repr=lambda token: token.hex())


@attrs.frozen
class Asked(Event):
    answer: object


class Pinger(Machine):
    """Sends pings with drawn tokens and repeats each once after half a second. Keeps the contract."""

    def __init__(self, entropy, sockets=()):
        super().__init__()
        self.entropy = entropy
        self.waiting = {}
        self.next = math.inf
        self.closed = False
        self.secret = "s3cret"

    def start(self, host, *, now):
        self._outputs.append(OpenSocket(ONE, Transport.UDP, Address(host, 0)))
        self._outputs.append(Resolve(QueryId(1), "peer.example", RecordKind.A))

    def ping(self, text, *, repeat=1, now):
        if self.closed or not text or len(self.waiting) >= WAITING:
            raise LocalProtocolError("closed, or nothing to say, or too much")
        token = self.entropy(8)
        self.waiting[token] = repeat
        self._send(token)
        self.next = min(self.next, now + 0.5)
        return token

    def close(self, *, now):
        self.closed = True
        self.waiting.clear()
        self.next = math.inf

    def _send(self, token):
        self._outputs.append(SendDatagram(ONE, PEER, token))

    def handle_datagrams(self, socket, batch, *, now):
        for _, data in batch:
            if data[:8] in self.waiting:
                del self.waiting[data[:8]]
                self._outputs.append(Answered(data[:8]))

    def handle_resolved(self, query, answer, *, now):
        if query == 1:
            self._outputs.append(Asked(answer))

    def handle_timer(self, *, now):
        if now < self.next:
            return
        self.next = math.inf
        for token, repeat in list(self.waiting.items()):
            if repeat:
                self._send(token)
                self.waiting[token] = repeat - 1
                self.next = now + 0.5
            else:
                del self.waiting[token]

    def deadline(self):
        return self.next


COMMANDS = {
    "ping": st.tuples(st.binary(max_size=3)) | st.fixed_dictionaries({"text": st.just(b"x"), "repeat": st.integers(0, 3)}),
    "close": [()],
}


def check(factory, **options):
    options = {
        "commands": COMMANDS,
        "setup": lambda machine, now: machine.start("192.0.2.1", now=now),
        "max_examples": 100,
        "flood": 400,
        **options,
    }
    check_machine(factory, **options)


def test_a_machine_that_keeps_the_contract_passes():
    check(Pinger, measure=lambda pinger: len(pinger.waiting), bound=WAITING, secrets=lambda pinger: [pinger.secret, b"key"])


def test_a_machine_without_commands_or_setup_passes():
    check_machine(lambda entropy: Machine(), max_examples=20)
    check_machine(lambda entropy: BindingResponder(["192.0.2.1", "2001:db8::1"]), max_examples=50)


def test_a_transaction_passes_on_the_socket_it_was_handed():
    request = encode(Method.BINDING, MessageClass.REQUEST, TransactionId(b"transaction!"))
    check_machine(
        lambda entropy: StunTransaction(request, ONE, PEER),
        commands={"start": [()], "cancel": [()]},
        sockets=[ONE],
        max_examples=50,
    )


CREDENTIALS = Credentials("abcd", "0123456789abcdefghijkl")
CANDIDATES = [
    Candidate.from_sdp("candidate:1 1 udp 2130706431 198.51.100.7 7 typ host"),
    Candidate.from_sdp("candidate:2 1 udp 1694498815 192.0.2.10 3478 typ srflx raddr 10.0.0.9 rport 9"),
]


@pytest.mark.parametrize("controlling", [True, False])
def test_an_ice_agent_passes(controlling):
    remote = Description("efgh", "0123456789ABCDEFGHIJKL", candidates=CANDIDATES[:1], end_of_candidates=False)

    def setup(agent, now):
        agent.gather(["10.0.0.2"], now=now)
        agent.set_remote(remote, now=now)

    def check_from_peer(username, password, priority):
        attributes = [(USERNAME, username), (PRIORITY, priority), (ICE_CONTROLLED, 1)]
        key = short_term_key(password)
        return encode(Method.BINDING, MessageClass.REQUEST, TransactionId(bytes(12)), attributes, key=key, fingerprint=True)

    def answers(sent):
        if not is_stun(sent.data):
            return None
        request = decode_untrusted(sent.data)
        if request.message_class is not MessageClass.REQUEST:
            return None
        key = short_term_key(remote.pwd) if USERNAME in request else None  # else it goes to the STUN server
        mapped = [(XOR_MAPPED_ADDRESS, Address("203.0.113.1", 40001))]
        return encode(Method.BINDING, MessageClass.SUCCESS, request.transaction_id, mapped, key=key, fingerprint=True)

    check_machine(
        lambda entropy: IceAgent(
            controlling=controlling, servers=[IceServer("stun:192.0.2.10")], credentials=CREDENTIALS, entropy=entropy
        ),
        setup=setup,
        commands={
            "gather": [(["10.0.0.3"],), (["nonsense"],)],
            "set_remote": [(remote,)],
            "add_remote_candidate": [(candidate,) for candidate in CANDIDATES],
            "end_of_candidates": [()],
            "send": [(b"data",), (b"",)],
            "close": [()],
        },
        datagrams=st.builds(
            check_from_peer,
            st.sampled_from(["abcd:efgh", "abcd:xxxx"]),
            st.sampled_from([CREDENTIALS.pwd, "wrong" * 5]),
            st.integers(0, 2**32 - 1),
        ),
        answers=answers,
        secrets=lambda agent: [CREDENTIALS.pwd],
        bound=1500,  # the flood knows the password: it may fill what is bounded, the peer-reflexive candidates first
        max_examples=60,
    )


# ----------------------------------------------------------------- one broken machine a clause


class DrainsLazily(Pinger):
    """Works when drained, not when told."""

    def handle_datagrams(self, socket, batch, *, now):
        self.late = batch

    late = ()

    def take_outputs(self):
        self._outputs += [Answered(data[:1]) for _, data in self.late]
        self.late = ()
        return super().take_outputs()


class DrainMovesTheTimer(Pinger):
    def take_outputs(self):
        outputs = super().take_outputs()
        self.next += len(outputs)
        return outputs


class DrainRaises(Pinger):
    def take_outputs(self):
        if self.closed:
            raise RuntimeError("closed")
        return super().take_outputs()


class KeepsWhatItHandedOver(Pinger):
    def take_outputs(self):
        return list(self._outputs)


class ReusesItsList(Pinger):
    """Hands out one list for ever, emptied and refilled."""

    def take_outputs(self):
        if not self._outputs:
            return []
        handed = self.__dict__.setdefault("handed", [])
        handed += self._outputs
        self._outputs = []
        return handed


class DeadlineIsNone(Pinger):
    def deadline(self):
        return None if self.next == math.inf else self.next


class DeadlineIsNotANumber(Pinger):
    def deadline(self):
        return math.nan if self.waiting else math.inf


class DeadlineRaises(Pinger):
    def deadline(self):
        return {False: self.next}[self.closed]


class DeadlineWanders(Pinger):
    def deadline(self):
        self.asked = getattr(self, "asked", 0.0) + 1.0
        return self.next + self.asked


class DeadlineDraws(Pinger):
    def deadline(self):
        self.entropy(1)
        return self.next


class DeadlineActs(Pinger):
    def deadline(self):
        if self.waiting:
            self._send(b"asked!")
        return self.next


class DeadlineCounts(Pinger):
    """Nothing shows at once, but after many askings the tokens change."""

    asked = 0

    def deadline(self):
        self.asked += 1
        return self.next

    def _send(self, token):
        super()._send(token + bytes(self.asked > 20))


class DeadlineTellsTheTimer(Pinger):
    """Works only when its deadline is asked for."""

    ready = 0

    def deadline(self):
        self.ready = 1
        return self.next

    def _send(self, token):
        super()._send(token + bytes(self.ready))


class TimerStays(Pinger):
    def handle_timer(self, *, now):
        if now >= self.next:
            for token in self.waiting:
                self._send(token)


class TimerStaysWhenLate(Pinger):
    """Steps by half a second from its own deadline, not from now."""

    def handle_timer(self, *, now):
        if now >= self.next:
            self.next += 0.5


class TimerFiresWheneverCalled(Pinger):
    def handle_timer(self, *, now):
        for token in self.waiting:
            self._send(token)
        self.next = now + 0.5 if self.waiting else math.inf


class TimerRaisesWhenEarly(Pinger):
    def handle_timer(self, *, now):
        if now < self.next != math.inf:
            raise RuntimeError("too early")
        super().handle_timer(now=now)


class DrawsElsewhere(Pinger):
    def _send(self, token):
        super()._send(token + os.urandom(4))


class CountsInstances(Pinger):
    made = itertools.count()

    def __init__(self, entropy):
        super().__init__(entropy)
        self.serial = next(self.made)

    def _send(self, token):
        super()._send(token + str(self.serial).encode())


class WaitsByChance(Pinger):
    """What it sends is the same, and when is not."""

    made = itertools.count()

    def __init__(self, entropy):
        super().__init__(entropy)
        self.jitter = next(self.made) * 1e-6

    def deadline(self):
        return self.next + self.jitter


class RefusesNowAndThen(Pinger):
    made = itertools.count()

    def __init__(self, entropy):
        super().__init__(entropy)
        self.moody = next(self.made) % 2

    def close(self, *, now):
        if self.moody:
            raise LocalProtocolError("not today")


class RaisesNowAndThen(Pinger):
    made = itertools.count()

    def __init__(self, entropy):
        super().__init__(entropy)
        self.moody = next(self.made) % 2

    def handle_wall_clock(self, unix, *, now):
        if self.moody:
            raise RuntimeError("not today")


class BreaksOnce(Pinger):
    """Breaks another clause, but only one machine does; each script makes six."""

    made = itertools.count()

    def __init__(self, entropy):
        super().__init__(entropy)
        self.moody = next(self.made) == 60

    def deadline(self):
        return math.nan if self.moody else self.next


@attrs.define(eq=False)
class Loose(Event):
    token: bytes = b""


@attrs.frozen
class Holds(Event):
    value: object


@dataclass(frozen=True)
class FrozenDataclass(Event):
    value: object


class Plain(Event):
    __slots__ = ()


def putting_out(name, output):
    """A pinger that also puts out ``output`` when it sends."""

    class Broken(Pinger):
        def _send(self, token):
            super()._send(token)
            self._outputs.append(output)

    Broken.__name__ = name
    return Broken


@attrs.frozen
class RawBytes(Event):
    token: bytes


class ShowsItsSecret(Pinger):
    def __repr__(self):
        return f"<ShowsItsSecret {self.secret}>"


class SendsItsSecretInARepr(Pinger):
    def _send(self, token):
        self._outputs.append(Holds(self.secret))


class ShowsItsKey(Pinger):
    def __repr__(self):
        return f"<ShowsItsKey {b'key'.hex()}>"


class RaisesValueError(Pinger):
    def ping(self, text, *, repeat=1, now):
        if not text:
            raise ValueError("say something")
        return super().ping(text, repeat=repeat, now=now)


class ChangesBeforeItRefuses(Pinger):
    refusals = 0

    def ping(self, text, *, repeat=1, now):
        try:
            return super().ping(text, repeat=repeat, now=now)
        except LocalProtocolError:
            self.refusals += 1
            raise


class SendsBeforeItRefuses(Pinger):
    def ping(self, text, *, repeat=1, now):
        self._send(b"refused")
        return super().ping(text, repeat=repeat, now=now)


class DrawsBeforeItRefuses(Pinger):
    def ping(self, text, *, repeat=1, now):
        self.entropy(1)
        return super().ping(text, repeat=repeat, now=now)


class TrustsThatDatagramsAreLong(Pinger):
    def handle_datagrams(self, socket, batch, *, now):
        for _, data in batch:
            data[7]


class TrustsThatSocketsAreKnown(Pinger):
    def handle_socket_failed(self, socket, error, *, now):
        {ONE: None}[socket]


class TrustsThatTimersAreNeverLate(Pinger):
    def handle_timer(self, *, now):
        if now > self.next + 1.0:
            raise RuntimeError(f"late by {now - self.next}")
        super().handle_timer(now=now)


class RemembersEveryStranger(Pinger):
    def __init__(self, entropy):
        super().__init__(entropy)
        self.seen = {}

    def handle_datagrams(self, socket, batch, *, now):
        for source, _ in batch:
            self.seen[source] = now


class KeepsDeadTimers(Pinger):
    """No visible state, but a heap that only grows."""

    def __init__(self, entropy):
        super().__init__(entropy)
        self.heap = []

    def handle_icmp(self, socket, destination, error, *, now):
        self.heap.append((now, object()))


BREACHES = [
    (DrainsLazily, Clause.LATE_DRAINING),
    (DrainMovesTheTimer, Clause.LATE_DRAINING),
    (DrainRaises, Clause.EMPTIED),
    (KeepsWhatItHandedOver, Clause.EMPTIED),
    (ReusesItsList, Clause.EMPTIED),
    (DeadlineIsNone, Clause.DEADLINE),
    (DeadlineIsNotANumber, Clause.DEADLINE),
    (DeadlineRaises, Clause.DEADLINE),
    (DeadlineWanders, Clause.DEADLINE),
    (DeadlineDraws, Clause.DEADLINE),
    (DeadlineActs, Clause.DEADLINE),
    (DeadlineCounts, Clause.DEADLINE),
    (DeadlineTellsTheTimer, Clause.DEADLINE),
    (TimerStays, Clause.TIMER_MOVES_ON),
    (TimerStaysWhenLate, Clause.TIMER_MOVES_ON),
    (TimerFiresWheneverCalled, Clause.SPURIOUS_TIMER),
    (TimerRaisesWhenEarly, Clause.SPURIOUS_TIMER),
    (DrawsElsewhere, Clause.REPRODUCIBLE),
    (CountsInstances, Clause.REPRODUCIBLE),
    (WaitsByChance, Clause.REPRODUCIBLE),
    (RefusesNowAndThen, Clause.REPRODUCIBLE),
    (RaisesNowAndThen, Clause.REPRODUCIBLE),
    (BreaksOnce, Clause.REPRODUCIBLE),
    (putting_out("NotAnOutput", "text"), Clause.VALUES),
    (putting_out("NotFrozen", Loose()), Clause.VALUES),
    (putting_out("HoldsAList", Holds([1])), Clause.VALUES),
    (putting_out("HoldsABuffer", Holds(bytearray(b"x"))), Clause.VALUES),
    (putting_out("RawBytes", RawBytes(b"\x00")), Clause.HEX),
    (ShowsItsSecret, Clause.SECRETS),
    (SendsItsSecretInARepr, Clause.SECRETS),
    (ShowsItsKey, Clause.SECRETS),
    (RaisesValueError, Clause.CALLER_ERRORS),
    (ChangesBeforeItRefuses, Clause.CALLER_ERRORS),
    (SendsBeforeItRefuses, Clause.CALLER_ERRORS),
    (DrawsBeforeItRefuses, Clause.CALLER_ERRORS),
    (TrustsThatDatagramsAreLong, Clause.PEER_ERRORS),
    (TrustsThatSocketsAreKnown, Clause.PEER_ERRORS),
    (TrustsThatTimersAreNeverLate, Clause.PEER_ERRORS),
    (RemembersEveryStranger, Clause.BOUNDED),
    (KeepsDeadTimers, Clause.BOUNDED),
]


@pytest.mark.parametrize(("broken", "clause"), BREACHES, ids=lambda value: getattr(value, "__name__", ""))
def test_a_breach_is_caught_and_its_clause_named(broken, clause):
    examples = 10 if clause is Clause.BOUNDED else 400
    with pytest.raises(ContractBreach) as caught:
        check(broken, secrets=lambda pinger: [pinger.secret, b"key"], max_examples=examples)
    assert caught.value.clause is clause
    report = str(caught.value)
    assert report.startswith(f"clause {clause.value}\n{broken.__name__}: ")
    assert "what the machine was told:\n" in report


def test_every_clause_has_a_machine_that_breaks_it():
    assert {clause for _, clause in BREACHES} == set(Clause) - {Clause.BATCHES}


TWO = SocketId(2)


class Echo(Machine):
    """Sends back what arrives, all of a batch at once, even numbers of bytes through another socket."""

    def __init__(self, entropy):
        super().__init__()

    def handle_datagrams(self, socket, batch, *, now):
        for through in (TWO, ONE):
            items = tuple((source, data) for source, data in batch if len(data) % 2 == through % 2)
            if items:
                self._outputs.append(SendDatagrams(through, items))


class EchoOnce(Echo):
    """Answers the first datagram of a batch only."""

    def handle_datagrams(self, socket, batch, *, now):
        super().handle_datagrams(socket, batch[:1], now=now)


def test_a_machine_that_sends_batches_does_with_them_what_it_does_one_by_one():
    check_machine(Echo, sockets=[ONE, TWO], batches=True, max_examples=50)


def test_a_machine_that_promises_to_take_batches_apart_and_does_not_is_caught():
    with pytest.raises(ContractBreach) as caught:
        check_machine(EchoOnce, sockets=[ONE], batches=True)
    assert caught.value.clause is Clause.BATCHES
    check_machine(EchoOnce, sockets=[ONE], max_examples=20)


def test_what_leaves_through_one_socket_is_compared_in_its_order():
    first, second, third = (SendDatagram(SocketId(number % 2), PEER, bytes([number])) for number in range(3))
    answered = Answered(b"x")
    assert flat_forms([first, second, answered, third]) == [form(one) for one in (first, second, answered, third)]
    assert flat_forms([second, first, answered, third]) == flat_forms([first, second, answered, third])
    assert flat_forms([first, third]) != flat_forms([third, first])
    assert flat_forms([SendDatagrams(SocketId(0), ((PEER, b"\0"), (PEER, b"\2")))]) == flat_forms([first, third])
    assert flat_forms([first, answered, second]) != flat_forms([answered, first, second])


def test_datagrams_of_a_batch_are_answered_and_reflected_as_any_others():
    sent = []
    check_machine(Echo, sockets=[ONE], answers=lambda datagram: sent.append(datagram), max_examples=30)
    assert {type(one) for one in sent} == {SendDatagram}


def test_a_report_is_reduced_to_what_shows_the_breach():
    with pytest.raises(ContractBreach) as caught:
        check(RaisesValueError)
    assert re.sub(r"now=[-\d.e+]+", "now=...", str(caught.value)).splitlines() == [
        "clause 6. a caller's mistake raises LocalProtocolError and leaves the state untouched",
        "RaisesValueError: ping() raised ValueError('say something')",
        "what the machine was told:",
        "  1. construction(now=...)",
        "  2. setup(now=...)",
        "  3. handle_socket_opened(1, Address(host='192.0.2.1', port=40001), now=...)",
        "  4. ping(b'', now=...)",
    ]
    assert isinstance(caught.value.__cause__, ValueError)
    assert caught.value.calls[-1].method == "ping"


def test_a_long_history_is_shown_from_its_end():
    with pytest.raises(ContractBreach) as caught:
        check(RemembersEveryStranger, measure=lambda pinger: len(pinger.seen), bound=100, max_examples=10)
    lines = str(caught.value).splitlines()
    assert re.fullmatch(r"RemembersEveryStranger: after \d+ hostile inputs it measures \d+, and 100 is its bound", lines[1])
    assert re.fullmatch(r"  \.\.\. \d+ before these", lines[3])
    assert len(lines) == 3 + 1 + 40


def test_without_a_bound_growth_with_every_input_is_the_breach():
    with pytest.raises(ContractBreach, match="it grows with each"):
        check(RemembersEveryStranger, measure=lambda pinger: len(pinger.seen), max_examples=10)


def test_a_flood_may_be_left_out():
    check(RemembersEveryStranger, flood=0, max_examples=10)


@pytest.mark.parametrize("output", [FrozenDataclass((1,)), Plain(), Asked(ResolveError.TIMEOUT), Holds(frozenset({(1, "a")}))])
def test_what_is_immutable_may_be_put_out(output):
    check(putting_out("Fine", output), max_examples=30)


def test_without_hypothesis_the_error_says_what_to_install(monkeypatch):
    imported = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("hypothesis"):
            raise ImportError(name)
        return imported(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match="check_machine needs Hypothesis: pip install hypothesis"):
        check_machine(Pinger)


def test_importing_the_laboratory_does_not_import_hypothesis():
    program = "import sys, sansice.simulation; sys.exit('hypothesis' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
