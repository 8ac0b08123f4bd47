"""Data that a mux does not show to its agents: nobody can tell, but for the time that it takes."""

import contextlib
import random

import attrs
import pytest

from ice._mux import ALICE, BOB, CAROL, WRONG, MuxBench, client, credentials
from ice._wire import candidate
from sansice.ice import IceState, NotConnected
from sansice.ice._binding import encode_success
from sansice.ice._mux._inside import carried_of
from sansice.ice._mux._members import Lane
from sansice.machine import SendDatagram, SocketError, SocketErrorKind, SocketId
from sansice.stun import decode_untrusted, short_term_key

SOURCES = [ALICE, BOB, CAROL]


def lane_of(bench, name):
    return bench.mux._residents.members[name].lanes[0]


def selected(kind="lite", number=1, bench=None):
    """An agent whose peer is at `ALICE`, and has sent something."""
    bench = bench or MuxBench()
    theirs = {"remote": client(number, candidates=[candidate(ALICE.host, ALICE.port)])} if kind == "full" else {}
    name = getattr(bench, kind)(number, **theirs)
    bench.check(number, ALICE)
    answer_all(bench, client(number).pwd)
    bench.check(number, ALICE)
    answer_all(bench, client(number).pwd)
    bench.arrive(ALICE, b"\x80first")
    assert bench.got(name) == [b"\x80first"]
    return bench, name


def answer_all(bench, pwd):
    """The peer's answers to whatever the agent has asked."""
    key = short_term_key(pwd)
    for sent in [one for one in bench.sent if one.data[:2] == b"\0\1"]:
        bench.sent.remove(sent)
        bench.arrive(sent.destination, encode_success(decode_untrusted(sent.data), sent.destination, key))


@pytest.mark.parametrize("kind", ["lite", "full"])
def test_data_of_the_peer_in_use_is_delivered_and_counted_without_the_agent(kind, monkeypatch):
    bench, name = selected(kind)
    agent = bench.mux.agent(name)
    monkeypatch.setattr(type(agent), "handle_datagrams", None)  # nobody may call it
    bench.now += 1.0
    bench.arrive(ALICE, b"\x80second", b"\x80third")
    assert bench.got(name) == [b"\x80first", b"\x80second", b"\x80third"]
    [pair] = [one for one in agent.report().pairs if one.packets_received]
    assert (pair.packets_received, pair.bytes_received) == (3, 19)
    assert lane_of(bench, name).carried.last_received == bench.now


@pytest.mark.parametrize("kind", ["lite", "full"])
def test_the_agent_is_shown_data_again_after_all_but_what_it_sends(kind):
    bench, name = selected(kind)
    lane = lane_of(bench, name)
    bench.call(bench.mux.send, name, b"to alice")
    assert lane.carried is not None
    bench.check(1, ALICE)
    assert lane.carried is None
    bench.arrive(ALICE, b"\x80", b"")
    assert lane.carried is not None and bench.mux.agent(name).stats.dropped.total() == 1  # the empty one
    bench.arrive(ALICE, b"")
    assert bench.mux.agent(name).stats.dropped.total() == 2
    bench.call(bench.mux.absorb, name)
    assert lane.carried is None
    bench.arrive(ALICE, b"\x80")
    agent = bench.mux.agent(name)
    agent.send(b"\x80 and then", now=bench.now)
    agent.restart(now=bench.now)  # which is more than sending, and is absorbed with it
    assert lane.carried is not None
    bench.call(bench.mux.absorb, name)
    assert lane.carried is None


@pytest.mark.parametrize("kind", ["lite", "full"])
def test_data_that_comes_after_consent_has_ended_is_delivered_to_nobody(kind):
    bench, name = selected(kind)
    lane = lane_of(bench, name)
    bench.now += 100.0  # and no timer was called
    bench.arrive(ALICE, b"\x80late")
    assert bench.mux.agent(name).state is IceState.FAILED and bench.got(name) == [b"\x80first"]
    assert carried_of(bench.mux.agent(name), lane.id, ALICE) is None


def test_data_of_a_peer_that_moved_is_told_apart_from_that_of_where_it_was():
    bench, name = selected()
    bench.check(1, BOB)
    bench.arrive(BOB, b"\x80from bob")
    bench.arrive(ALICE, b"\x80late")
    assert bench.got(name) == [b"\x80first", b"\x80from bob", b"\x80late"]


def test_where_an_agent_counts_is_known_of_the_peer_in_use_only():
    for kind in ("lite", "full"):
        bench, name = selected(kind)
        agent, lane = bench.mux.agent(name), lane_of(bench, name)
        assert carried_of(agent, lane.id, ALICE) is lane.carried
        assert carried_of(agent, lane.id, BOB) is None
        assert carried_of(agent, SocketId(99), ALICE) is None
        agent.close(now=bench.now)
        assert carried_of(agent, lane.id, ALICE) is None
    bench = MuxBench()
    name = bench.lite(1)
    assert carried_of(bench.mux.agent(name), lane_of(bench, name).id, ALICE) is None


@pytest.mark.parametrize("seed", range(40))
def test_nothing_else_becomes_of_data_than_if_the_agents_were_shown_all_of_it(seed, monkeypatch):
    settled = scripted(seed)
    monkeypatch.setattr(Lane, "settle", lambda lane, source: None)
    assert scripted(seed) == settled


def scripted(seed):
    """What a mux tells, sends, counts and plans in a life at random."""
    rng = random.Random(seed)
    bench = MuxBench()
    names = {1: bench.lite(1, entropy=rng.randbytes), 2: bench.lite(2, entropy=rng.randbytes)}
    theirs = {1: client(1), 2: client(2), 3: client(3, candidates=[candidate(CAROL.host, CAROL.port)])}
    names[3] = bench.full(3, remote=theirs[3], entropy=rng.randbytes)
    ours = {number: credentials(number) for number in names}
    seen = []
    for _ in range(150):
        number, source = rng.choice([1, 2, 3]), rng.choice(SOURCES)
        source = SOURCES[number - 1] if rng.random() < 0.7 else source
        alive = names[number] in bench.mux
        match rng.choices(["data", "batch", "check", "forged", "send", "wait", "leap", "restart", "icmp", "leave"], WEIGHTS)[0]:
            case "data":
                bench.arrive(source, bytes([128, rng.randrange(256)]) if rng.random() < 0.95 else b"")
            case "batch":
                batch = [(rng.choice(SOURCES), bytes([128, position])) for position in range(rng.randrange(9))]
                bench.call(bench.mux.handle_datagrams, SocketId(1), batch)
            case "check":
                bench.check(number, source, ours=ours[number], theirs=theirs[number].ufrag, nominate=rng.random() < 0.5)
                answer_all(bench, theirs[3].pwd)
            case "forged":
                bench.check(number, source, ours=ours[number], theirs=theirs[number].ufrag, key=WRONG)
            case "send" if alive and bench.mux.agent(names[number]).selected_pair:
                with contextlib.suppress(NotConnected):  # and then the agent has told why
                    bench.call(bench.mux.send, names[number], b"said")
            case "wait":
                bench.run(until=bench.now + rng.random() * 3)
            case "leap":
                bench.now += rng.random() * 12
            case "restart" if alive and bench.mux.agent(names[number]).state is not IceState.FAILED:
                ours[number] = bench.command(names[number], "restart")
                old = theirs[number]
                theirs[number] = attrs.evolve(old, ufrag=old.ufrag + "r", pwd=old.pwd + "r")
                bench.tell(names[number], theirs[number])
            case "icmp":
                bench.call(bench.mux.handle_socket_failed, SocketId(77), SocketError(SocketErrorKind.OTHER))
            case "leave" if alive:
                bench.call(bench.mux.remove, names[number])
        seen.append((bench.now, bench.mux.deadline()))
    agents = [bench.mux.agent(name) for name in bench.mux.agents]
    reports = [(agent.report(), dict(agent.stats.dropped)) for agent in agents]
    assert any(isinstance(one, SendDatagram) for one in bench.sent)
    return bench.events, bench.sent, bench.dropped(), seen, reports


WEIGHTS = [40, 15, 20, 3, 10, 10, 3, 2, 1, 0.5]
