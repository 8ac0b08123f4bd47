import attrs
import pytest
from hypothesis import given, strategies as st

from ice._wire import Bench, at, candidate, make_local, make_session
from sansice.ice import CandidateType, HostName, IceConfig, IceRole, IceState, PairState, candidate_priority
from sansice.ice._agent._checklist import unfreeze_initial
from sansice.ice._agent._pairing import Pairing
from sansice.ice._pair import PairEvent
from sansice.ice._reachability import can_pair, is_reachable
from sansice.machine import Address, DropReason, SocketId, Transport

HOST, SRFLX, PRFLX = CandidateType.HOST, CandidateType.SERVER_REFLEXIVE, CandidateType.PEER_REFLEXIVE
REMOTE = at("198.51.100.1")
NEW = at("203.0.113.5", 6000)


class Fixture:
    """A pairing with host candidates on the sockets 1, 2, ... and what it dropped."""

    def __init__(self, *hosts, role=IceRole.CONTROLLING, running=True, **config):
        self.session = make_session(role, **config)
        self.pairing = Pairing(self.session, self.session.lists[0])
        self.locals = [
            make_local(host, socket, foundation=f"l{socket}", preference=65536 - socket) for socket, host in enumerate(hosts, 1)
        ]
        for local in self.locals:
            self.pairing.add_local(local)
        if running:
            self.run()

    def run(self):
        self.pairing.list.is_running = True
        unfreeze_initial(self.session.lists)

    @property
    def dropped(self):
        return list(self.session.stats.dropped.elements())

    def paths(self):
        return [(pair.local.socket, pair.remote_address) for pair in self.pairing.list]


def pairing(*hosts, **keywords):
    return Fixture(*(hosts or ("192.0.2.1",)), **keywords)


# ------------------------------------------------------------- who is paired with whom


@pytest.mark.req("RFC8445-034")
def test_candidates_are_paired_within_one_family_of_addresses():
    made = pairing("192.0.2.1", "2001:db8::1")
    assert made.pairing.add_remote(candidate("198.51.100.1")) and made.pairing.add_remote(candidate("2001:db8::2"))
    assert sorted(made.paths()) == [(1, REMOTE), (2, at("2001:db8::2"))]


@pytest.mark.req("RFC8445-034")
@pytest.mark.parametrize("other", [{"component": 2}, {"transport": Transport.TCP}])
def test_candidates_of_another_component_or_transport_are_not_paired(other):
    made = pairing()
    assert not made.pairing.add_remote(candidate("198.51.100.1", **other))
    assert made.paths() == [] and made.pairing.remotes == {}


@pytest.mark.req("RFC8445-035")
@pytest.mark.parametrize("scoped", ["fe80::1%eth0", "fe8f::1%eth0", "fe9a::1%eth0", "feaf::1%eth0", "febf::1%eth0"])
def test_link_local_addresses_are_paired_with_link_local_ones_only(scoped):
    made = pairing(scoped, "2001:db8::1")
    made.pairing.add_remote(candidate("fe80::2"))
    made.pairing.add_remote(candidate("2001:db8::2"))
    assert sorted(made.paths()) == [(1, at("fe80::2")), (2, at("2001:db8::2"))]


def test_ipv4_knows_no_such_rule():
    assert can_pair(at("169.254.1.1"), at("198.51.100.1"))
    assert can_pair(at("fec0::1"), at("2001:db8::1"))


@pytest.mark.parametrize("host", ["0.0.0.0", "255.255.255.255", "224.0.0.1", "239.255.255.255", "::", "ff02::fb", "ff05::1"])
def test_what_cannot_be_sent_to_is_not_used(host):
    assert not is_reachable(Address(host, 5000))
    assert not pairing().pairing.add_remote(candidate(host))


@pytest.mark.parametrize("host", ["1.2.3.4", "223.255.255.255", "240.0.0.1", "fe80::1%eth0", "fd00::1", "127.0.0.1"])
def test_every_other_address_may_be(host):
    assert is_reachable(Address(host, 1)) and not is_reachable(Address(host, 0))


def test_a_name_waits_for_its_address():
    named = attrs.evolve(candidate("198.51.100.1"), address=HostName("peer.local", 5000))
    assert not pairing().pairing.add_remote(named)


@pytest.mark.req("RFC8445-039", "RFC8445-040")
def test_a_reflexive_candidate_stands_for_its_base_so_its_pair_is_redundant():
    made = pairing()
    base = made.locals[0].base
    reflexive = make_local("203.0.113.9", 1, type=SRFLX, base=base)
    made.pairing.add_local(reflexive)
    made.pairing.add_remote(candidate("198.51.100.1"))
    made.pairing.add_local(make_local("203.0.113.10", 1, type=SRFLX, base=base))
    (pair,) = made.pairing.list
    assert pair.local is made.locals[0]
    assert made.pairing.local_of(pair, reflexive.candidate.address, 1) is reflexive


@pytest.mark.req("RFC8445-040")
def test_one_base_and_one_remote_address_make_one_pair_of_the_higher_priority():
    made = pairing()
    low, high = candidate("198.51.100.1", priority=100), candidate("198.51.100.1", priority=200, foundation="better")
    assert made.pairing.add_remote(low) and made.pairing.add_remote(high)
    assert not made.pairing.add_remote(low) and not made.pairing.add_remote(high)
    (pair,) = made.pairing.list
    assert (pair.remote, pair.foundation) == (high, ("l1", "better"))
    assert made.dropped == []


@pytest.mark.req("RFC8445-038")
def test_a_candidate_that_is_told_again_with_another_priority_moves_its_pair_to_its_place():
    made = pairing()
    for number, priority in ((1, 300), (2, 200), (3, 100)):
        made.pairing.add_remote(candidate(f"198.51.100.{number}", priority=priority, foundation=f"r{number}"))
    made.pairing.add_remote(candidate("198.51.100.3", priority=250, foundation="r3"))
    assert [pair.remote.priority for pair in made.pairing.list] == [300, 250, 200]


@pytest.mark.req("RFC8445-037", "RFC8445-038")
@given(st.lists(st.integers(1, 2**31 - 1), min_size=1, max_size=5), st.integers(0, 65535))
def test_both_agents_give_a_pair_the_same_priority_and_hence_the_same_order(priorities, preference):
    theirs = [candidate(f"198.51.100.{n}", priority=priority) for n, priority in enumerate(priorities, 1)]
    own = make_local(preference=preference)
    here = Fixture()
    here.pairing.add_local(own)
    there = Fixture(role=IceRole.CONTROLLED).pairing
    for number, remote in enumerate(theirs, 1):
        here.pairing.add_remote(remote)
        there.add_local(attrs.evolve(own, candidate=remote, socket=SocketId(number), base=remote.address))
    there.add_remote(own.candidate)
    ours = {pair.remote.priority: pair.priority for pair in here.pairing.list}
    g = own.candidate.priority
    assert ours == {d: 2**32 * min(g, d) + 2 * max(g, d) + (g > d) for d in priorities}
    assert ours == {pair.local.candidate.priority: pair.priority for pair in there.list}
    order = [pair.priority for pair in here.pairing.list]
    assert order == [pair.priority for pair in there.list] == sorted(order, reverse=True)


# ------------------------------------------------------------- how many


@pytest.mark.req("RFC8445-041", "RFC8445-130")
@pytest.mark.parametrize("limit", [100, 10])
def test_of_150_combinations_those_of_highest_priority_are_kept(limit):
    made = pairing("192.0.2.1", "192.0.2.2", running=False, max_pairs=limit)
    remotes = [candidate("198.51.100.1", 5000 + n, priority=1000 + 7 * n % 75) for n in range(75)]
    for remote in remotes:
        assert made.pairing.add_remote(remote)
    every = sorted(
        (made.pairing.new_pair(local, remote, remote.address).priority for local in made.locals for remote in remotes),
        reverse=True,
    )
    assert [pair.priority for pair in made.pairing.list] == every[:limit]
    assert made.dropped == [DropReason.LIMIT] * (150 - limit)


def test_the_default_limit_is_a_hundred():
    assert IceConfig().max_pairs == 100


@pytest.mark.req("RFC8445-130", "RFC8445-041")
def test_of_a_thousand_remote_candidates_a_hundred_are_accepted_and_checked():
    remotes = tuple(candidate("198.51.100.1", 5000 + n, foundation=str(n)) for n in range(1000))
    bench = Bench(hosts=("192.0.2.1", "192.0.2.2"), remotes=remotes, config=IceConfig(ta=0.005), pacing=5)
    bench.run(30.0)
    assert len(bench.agent.remote_candidates) == 100
    assert len(bench.checks) == len(bench.agent.pairs) == 100


@pytest.mark.req("RFC8838-016", "RFC8445-041")
def test_a_full_list_makes_room_by_its_failed_pairs_then_by_the_lowest():
    made = pairing(max_pairs=3)
    for number in (1, 2, 3):
        made.pairing.add_remote(candidate(f"198.51.100.{number}", priority=number * 100))
    best, middle, lowest = made.pairing.list
    best.state = PairState.FAILED
    assert made.pairing.add_remote(candidate("198.51.100.4", priority=50))
    assert [pair.remote.priority for pair in made.pairing.list] == [200, 100, 50]
    assert made.pairing.add_remote(candidate("198.51.100.5", priority=60))
    assert [pair.remote.priority for pair in made.pairing.list] == [200, 100, 60]
    made.pairing.add_remote(candidate("198.51.100.6", priority=10))  # the lowest is itself
    assert [pair.remote.priority for pair in made.pairing.list] == [200, 100, 60]
    assert middle in list(made.pairing.list) and lowest in list(made.pairing.list)


def test_a_check_that_arrives_takes_the_place_of_a_pair_that_nobody_has_tried():
    made = pairing(max_pairs=1)
    made.pairing.add_remote(candidate("198.51.100.1"))
    learned = made.pairing.discover(NEW, 1)
    pair = made.pairing.insert_triggered(made.locals[0], learned, NEW)
    assert list(made.pairing.list) == [pair] and pair.state is PairState.WAITING
    pair.move(PairEvent.CHECK)
    assert made.pairing.insert_triggered(made.locals[0], learned, REMOTE) is None
    assert list(made.pairing.list) == [pair]
    assert made.dropped == [DropReason.LIMIT] * 2


def test_a_check_that_finds_no_place_is_answered_only():
    bench = Bench(remotes=(candidate("198.51.100.1"),), config=IceConfig(max_pairs=1))
    assert bench.request(NEW) is not None
    bench.run(1.0)
    assert {one.destination for one in bench.requests} == {REMOTE}


def test_candidates_beyond_the_limit_are_counted():
    made = pairing(max_remote_candidates=2)
    used = [made.pairing.add_remote(candidate(f"198.51.100.{n}")) for n in (1, 2, 3)]
    assert used == [True, True, False] and made.dropped == [DropReason.LIMIT]


def test_candidates_that_were_seen_before_they_were_signalled_count_as_signalled_from_then_on():
    made = pairing(max_remote_candidates=2, max_peer_reflexive=1)
    for number in (1, 2, 3):
        source = at(f"198.51.100.{number}")
        made.pairing.insert_triggered(made.locals[0], made.pairing.discover(source, 1), source)
        assert made.pairing.add_remote(candidate(source.host)) is (number < 3)
    assert made.pairing.discover(NEW, 1) is None  # the third is still only seen
    assert made.dropped == [DropReason.LIMIT] * 2


# ------------------------------------------------------------- trickle


@pytest.mark.req("RFC8838-013")
@pytest.mark.parametrize("order", ["local first", "remote first"])
def test_candidates_are_paired_in_whatever_order_they_come(order):
    made = Fixture()
    own = [make_local(f"192.0.2.{n}", n) for n in (1, 2)]
    if order == "local first":
        for local in own:
            made.pairing.add_local(local)
    made.pairing.add_remote(candidate("198.51.100.1"))
    for local in () if order == "local first" else own:
        made.pairing.add_local(local)
    assert sorted(made.paths()) == [(1, REMOTE), (2, REMOTE)]


def test_pairs_that_form_before_the_peer_is_known_stay_frozen():
    made = pairing(running=False)
    made.pairing.add_remote(candidate("198.51.100.1"))
    (pair,) = made.pairing.list
    assert pair.state is PairState.FROZEN
    made.run()
    assert pair.state is PairState.WAITING


def test_once_a_pair_is_selected_no_ordinary_pair_is_added():
    made = pairing()
    made.pairing.is_concluded = True
    assert made.pairing.add_remote(candidate("198.51.100.1"))
    assert made.paths() == []


@pytest.mark.req("RFC8838-015")
@pytest.mark.parametrize("state", PairState)
@pytest.mark.parametrize("better", [True, False])
def test_tricky_28_a_redundant_trickled_candidate_never_removes_a_pair_nor_changes_its_state(state, better):
    made = pairing()
    made.pairing.add_remote(candidate("198.51.100.1", priority=500))
    (pair,) = made.pairing.list
    pair.state = state
    made.pairing.add_remote(candidate("198.51.100.1", priority=600 if better else 400, foundation="again"))
    assert list(made.pairing.list) == [pair] and pair.state is state
    assert pair.remote.priority == (600 if better else 500)


@pytest.mark.req("RFC8838-017")
def test_tricky_28_a_signalled_candidate_replaces_the_early_one_but_keeps_its_priority():
    bench = Bench(remotes=(), complete=False, controlling=False)
    early = candidate_priority(PRFLX, 500, 1)
    bench.request(REMOTE, priority=early)
    bench.request(NEW, priority=early + 256)
    assert [pair.remote.address for pair in bench.agent.pairs] == [NEW, REMOTE]
    checks = len(bench.checks)
    signalled = candidate("198.51.100.1", preference=9, foundation="told")
    assert signalled.priority > early + 256
    assert bench.call(bench.agent.add_remote_candidate, signalled)
    first, second = bench.agent.pairs
    assert (first.remote.address, second.remote) == (NEW, attrs.evolve(signalled, priority=early))
    assert second.state is not PairState.FROZEN
    bench.run(0.3)
    assert len(bench.checks) - checks == 1  # the other's; this one was on its way
    bench.answer(next(one for one in bench.checks if one.destination == REMOTE))
    assert bench.call(bench.agent.add_remote_candidate, candidate("203.0.113.5", 6000, type=SRFLX))
    assert {one.type for one in bench.agent.remote_candidates} == {HOST, SRFLX}


def test_a_relayed_candidate_that_is_signalled_after_its_check_takes_its_own_priority_and_keeps_its_pairs():
    bench = Bench(remotes=(), complete=False, controlling=False)
    bench.request(REMOTE, priority=candidate_priority(PRFLX, 500, 1))
    bench.answer(bench.check)
    reflexive = candidate("203.0.113.5", 6000, type=SRFLX, foundation="s")
    bench.call(bench.agent.add_remote_candidate, reflexive)
    assert [pair.remote.address for pair in bench.agent.pairs] == [REMOTE, reflexive.address]
    signalled = candidate("198.51.100.1", type=CandidateType.RELAYED, foundation="told")
    assert bench.call(bench.agent.add_remote_candidate, signalled)
    better, worse = bench.agent.pairs
    assert (better.remote, worse.remote, worse.state) == (reflexive, signalled, PairState.SUCCEEDED)
    bench.request(REMOTE, use_candidate=True)
    assert bench.agent.selected_pair.remote == signalled


def test_a_signalled_candidate_that_was_seen_early_is_paired_with_the_other_sockets_too():
    made = pairing("192.0.2.1", "192.0.2.2")
    learned = made.pairing.discover(REMOTE, 77)
    made.pairing.insert_triggered(made.locals[0], learned, REMOTE)
    assert made.paths() == [(1, REMOTE)]
    assert made.pairing.add_remote(candidate("198.51.100.1"))
    assert sorted(made.paths()) == [(1, REMOTE), (2, REMOTE)]
    assert {pair.remote.priority for pair in made.pairing.list} == {77}
    assert not made.pairing.add_remote(candidate("198.51.100.1", priority=77))


def test_the_valid_pair_learns_the_signalled_candidate_too():
    bench = Bench(remotes=(), complete=False, controlling=False)
    bench.request(REMOTE, priority=5)
    bench.answer(bench.check, mapped=at("203.0.113.9", 61000))
    bench.call(bench.agent.add_remote_candidate, candidate("198.51.100.1"))
    bench.request(REMOTE, use_candidate=True)
    assert (bench.agent.selected_pair.remote.type, bench.agent.selected_pair.remote.priority) == (HOST, 5)
    assert bench.agent.state is IceState.COMPLETED


def test_a_candidate_signalled_as_peer_reflexive_is_paired_as_any_other():
    made = pairing()
    assert made.pairing.add_remote(candidate("198.51.100.1", type=PRFLX))
    made.pairing.add_local(make_local("192.0.2.2", 2, foundation="l2"))
    assert sorted(made.paths()) == [(1, REMOTE), (2, REMOTE)]
    assert not made.pairing.add_remote(candidate("198.51.100.1", type=PRFLX))
    for number in range(IceConfig().max_peer_reflexive):
        source = at("203.0.113.5", 6000 + number)
        made.pairing.insert_triggered(made.locals[0], made.pairing.discover(source, 1), source)
    assert made.pairing.discover(NEW, 1) is None


@pytest.mark.req("RFC8445-088")
def test_a_candidate_that_was_only_seen_is_not_paired_with_a_new_socket():
    made = pairing()
    made.pairing.insert_triggered(made.locals[0], made.pairing.discover(NEW, 1), NEW)
    made.pairing.add_local(make_local("192.0.2.2", 2))
    assert made.paths() == [(1, NEW)]


@pytest.mark.req("RFC8445-087")
def test_the_foundation_of_a_candidate_that_was_only_seen_is_that_of_no_other():
    made = pairing()
    for number in (1, 2, 3):
        made.pairing.add_remote(candidate(f"198.51.100.{number}", foundation=f"prflx{number + 2}"))
    learned = [made.pairing.discover(at("203.0.113.5", 6000 + n), 1) for n in range(3)]
    assert len({one.foundation for one in made.pairing.remotes.values()}) == 6
    assert all(one.type is PRFLX for one in learned)


# ------------------------------------------------------------- local candidates


def test_a_socket_that_died_is_forgotten_with_all_its_candidates():
    made = pairing("192.0.2.1", "192.0.2.2")
    made.pairing.add_remote(candidate("198.51.100.1"))
    pair = made.pairing.list.find(SocketId(1), REMOTE)
    known = made.pairing.local_of(pair, NEW, 5)
    assert made.pairing.local_of(pair, NEW, 6) is known
    made.pairing.remove_local(SocketId(1))
    assert made.pairing.local_on(SocketId(1)) is None and made.pairing.local_on(SocketId(2)) is made.locals[1]
    assert made.pairing.local_of(pair, NEW, 6) is not known
    made.pairing.remove_local(SocketId(1))


def test_the_same_mapped_address_seen_from_two_sockets_is_two_candidates():
    made = pairing("192.0.2.1", "192.0.2.2")
    made.pairing.add_remote(candidate("198.51.100.1"))
    one, other = (made.pairing.local_of(pair, NEW, 5) for pair in made.pairing.list)
    assert one.socket != other.socket and one.candidate.foundation != other.candidate.foundation


@pytest.mark.parametrize("spent", [False, True])
def test_a_discovered_candidate_on_which_nothing_lives_gives_way_and_a_pair_whose_consent_was_lost_does_not(spent):
    one = Fixture("192.0.2.1", max_peer_reflexive=1)
    other = at("203.0.113.6", 6000)
    pair = one.pairing.insert_triggered(one.locals[0], one.pairing.discover(NEW, 1000), NEW)
    pair.move(PairEvent.FAIL)
    one.pairing.list.untrigger(pair)
    pair.is_spent = spent
    one.pairing.trust(NEW)
    assert one.pairing.discover(other, 1000) is not None
    assert list(one.pairing.remotes) == [other] and one.pairing.trusted == ()
    assert (pair in one.pairing.list) is spent


# ------------------------------------------------------------- room for those that are discovered


def discovered(made, *numbers):
    """Have so many sources send a check each; their pairs, ``None`` for who found no room."""
    pairs = []
    for number in numbers:
        source = at("203.0.113.5", 6000 + number)
        learned = made.pairing.discover(source, 1)
        pairs.append(None if learned is None else made.pairing.insert_triggered(made.locals[0], learned, source))
    return pairs


def test_discovered_candidates_whose_pairs_have_all_failed_make_room_for_others_the_oldest_first():
    made = pairing(max_peer_reflexive=3)
    first, second, third = discovered(made, 1, 2, 3)
    assert discovered(made, 4) == [None]
    for pair in (second, first):
        pair.move(PairEvent.FAIL)
    assert None not in discovered(made, 5, 6)
    assert [address.port for address in made.pairing.remotes] == [6003, 6005, 6006]
    assert first not in made.pairing.list and second not in made.pairing.list and third in made.pairing.list
    assert discovered(made, 7) == [None]


@pytest.mark.parametrize("keeps", ["cancelled", "nominate_on_success"])
def test_what_may_still_be_answered_or_was_nominated_makes_no_room(keeps):
    made = pairing(max_peer_reflexive=1)
    (pair,) = discovered(made, 1)
    pair.move(PairEvent.FAIL)
    setattr(pair, keeps, 1)
    assert discovered(made, 2) == [None]


@pytest.mark.parametrize("keeps", ["cancelled", "nominate_on_success", "is_spent"])
def test_a_silent_pair_is_forgotten_unless_it_may_still_be_answered_or_was_nominated_or_must_not_be_made_anew(keeps):
    made = pairing()
    silent, kept, tried = discovered(made, 1, 2, 3)
    for pair in (silent, kept):
        pair.move(PairEvent.FAIL)
    setattr(kept, keeps, 1)
    made.pairing.add_remote(candidate("198.51.100.1"))
    signalled = next(pair for pair in made.pairing.list if pair not in (silent, kept, tried))
    signalled.move(PairEvent.FAIL)
    for pair in tuple(made.pairing.list):
        made.pairing.forget_silent(pair)
    assert sorted(made.pairing.list, key=lambda pair: pair.tally.number) == [kept, tried, signalled]
    assert silent.remote_address not in made.pairing.remotes and kept.remote_address in made.pairing.remotes


def test_a_nat_that_shows_a_new_address_with_every_check_does_not_keep_a_working_path_out():
    bench = Bench(remotes=(), controlling=False, config=IceConfig(max_peer_reflexive=4))
    for number in range(40):
        bench.request(at("203.0.113.5", 6000 + number))
        bench.run(bench.now + 10.0)  # none of them is ever answered
    works = at("203.0.113.5", 7000)
    assert bench.request(works) is not None
    bench.run(bench.now + 0.1)
    bench.answer(next(one for one in reversed(bench.checks) if one.destination == works))
    assert bench.agent.writable


@pytest.mark.req("RFC8838-009")
def test_a_local_candidate_that_is_known_is_ignored_whatever_its_priority():
    made = pairing()
    made.pairing.add_remote(candidate("198.51.100.1"))
    again = attrs.evolve(made.locals[0].candidate, priority=made.locals[0].candidate.priority + 1)
    made.pairing.add_local(attrs.evolve(made.locals[0], candidate=again))
    (pair,) = made.pairing.list
    assert pair.local is made.locals[0] and made.pairing.bases() == made.locals


# ------------------------------------------------------------- names in place of addresses

CONCEALED = attrs.evolve(candidate("198.51.100.1"), address=HostName("0b5a4d2e-7c1f-4a3b-9e8d-5f6a7b8c9d0e.local", 5000))
OPENLY = candidate("198.51.100.1", type=SRFLX)
RELAY = make_local("203.0.113.53", 9, type=CandidateType.RELAYED)


def with_name(*hosts):
    """A pairing whose peer has a name for `REMOTE`, which was found."""
    fixture = Fixture(*hosts)
    assert fixture.pairing.note_name(CONCEALED)
    assert fixture.pairing.add_remote(CONCEALED, REMOTE)
    return fixture


@pytest.mark.req("MDNS-011")
def test_a_relay_makes_no_pair_with_what_a_name_conceals():
    fixture = with_name("192.0.2.1")
    fixture.pairing.add_local(RELAY)
    assert [pair.local.socket for pair in fixture.pairing.list] == [1]
    assert not fixture.pairing.is_open(REMOTE)


@pytest.mark.req("MDNS-011")
def test_a_check_that_a_relay_brings_from_where_a_name_leads_makes_no_pair():
    fixture = with_name("192.0.2.1")
    fixture.pairing.add_local(RELAY)
    assert fixture.pairing.remote_of_check(REMOTE, 1, RELAY) is None
    assert fixture.dropped == [DropReason.UNUSABLE_CANDIDATE]
    assert fixture.pairing.remote_of_check(REMOTE, 1, fixture.locals[0]) is CONCEALED


@pytest.mark.req("MDNS-011")
@pytest.mark.parametrize("order", ["relay", "name", "open"])
def test_a_relay_is_paired_with_an_address_that_is_told_openly_beside_its_name(order):
    fixture = Fixture("192.0.2.1")
    pairing = fixture.pairing
    pairing.note_name(CONCEALED)
    if order == "relay":
        pairing.add_local(RELAY)
    if order == "open":
        assert pairing.add_remote(OPENLY) and pairing.add_remote(CONCEALED, REMOTE)
    else:
        assert pairing.add_remote(CONCEALED, REMOTE) and pairing.add_remote(OPENLY)
    if order != "relay":
        pairing.add_local(RELAY)
    assert {pair.local.socket: pair.remote for pair in pairing.list} == {1: CONCEALED, 9: OPENLY}
    assert pairing.is_open(REMOTE) and pairing.remote_of_check(REMOTE, 1, RELAY) is OPENLY
    assert not pairing.add_remote(attrs.evolve(OPENLY, foundation="again"))


def test_what_the_checks_of_a_peer_with_names_reveal_is_no_relays_business():
    fixture = with_name("192.0.2.1")
    fixture.pairing.discover(NEW, 1)
    assert not fixture.pairing.is_open(NEW)
    fixture.pairing.add_remote(candidate(NEW.host, 7000))
    assert fixture.pairing.is_open(NEW)


def test_a_name_is_noted_once_and_too_many_are_counted():
    fixture = Fixture("192.0.2.1", max_remote_candidates=1)
    assert fixture.pairing.note_name(CONCEALED)
    assert not fixture.pairing.note_name(attrs.evolve(CONCEALED, priority=1))
    assert not fixture.pairing.note_name(attrs.evolve(CONCEALED, address=HostName("other.local", 5000)))
    assert fixture.dropped == [DropReason.LIMIT]


@pytest.mark.req("MDNS-012")
@pytest.mark.parametrize(("source", "shown"), [(NEW, "0.0.0.0"), (at("2001:db8::7", 6000), "::")])
def test_the_address_of_a_peer_with_names_that_only_checks_reveal_is_not_shown(source, shown):
    fixture = Fixture("192.0.2.1")
    fixture.pairing.discover(source, 1)
    assert fixture.pairing.remotes[source].address == source
    fixture.pairing.note_name(CONCEALED)
    assert fixture.pairing.remotes[source].address == at(shown, 9)
