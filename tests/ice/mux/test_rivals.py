"""Whose an address is that two clients claim: who spoofs or repeats a check takes nobody's data, and who moves in is followed."""

import attrs
import pytest

from ice._mux import ALICE, BOB, CAROL, WRONG, MuxBench, client, credentials
from ice._wire import at, candidate
from sansice.ice import IceConfig, IceState, MuxConfig
from sansice.ice._binding import encode_check, encode_success
from sansice.ice._role import IceRole
from sansice.stun import TransactionId, decode_untrusted, short_term_key

QUIET = 12.0  # seconds until two consent checks in a row can have been lost
DATA = b"\x80data"


class Contest(MuxBench):
    """Agents 1 and 2 of one kind, whose clients are connected at `ALICE` and `BOB`; the first client means ill."""

    def __init__(self, kind="lite", **options):
        super().__init__()
        self.kind = kind
        self.names = {number: self.join(number, place, **options) for number, place in ((1, ALICE), (2, BOB))}
        self.began = self.now

    def join(self, number, place, **options):
        name = getattr(self, self.kind)(number, **options)
        self.hear(number, place)
        self.run(until=self.now + 0.1)  # a full agent asks at its pace
        self.answer(number, place)
        assert self.mux.agent(name).path_of() is not None
        return name

    def hear(self, number, place, *, nominate=True):
        """A fresh check of a client from where it is: there it answers what its agent asks."""
        self.check(number, place, nominate=nominate)
        self.answer(number, place)

    def answer(self, number, place):
        key = short_term_key(client(number).pwd)
        asked = f"{client(number).ufrag}:{credentials(number).ufrag}".encode()
        for sent in [one for one in self.sent if one.data[:2] == b"\0\1" and one.destination == place and asked in one.data]:
            self.sent.remove(sent)
            self.arrive(place, encode_success(decode_untrusted(sent.data), place, key))

    def recorded(self, number, *, nominate):
        """A check of a client, as somebody has seen it."""
        own = credentials(number)
        return encode_check(
            TransactionId(next(self.transactions).to_bytes(12, "big")),
            username=f"{own.ufrag}:{client(number).ufrag}",
            key=short_term_key(own.pwd),
            priority=1,
            role=IceRole.CONTROLLING,
            tiebreaker=number,
            use_candidate=nominate,
        )

    def owner(self, place):
        """Which agent gets what comes from there."""
        before = {number: len(self.got(name)) for number, name in self.names.items()}
        self.arrive(place, DATA)
        got = [number for number, name in self.names.items() if len(self.got(name)) > before[number]]
        return got[0] if got else None

    def pass_time(self, seconds):
        """Nobody says anything but data."""
        self.run(until=self.now + seconds)

    @property
    def rivals(self):
        return next(iter(self.mux._listening.sockets.values())).rivals


@pytest.mark.parametrize("nominate", [True, False], ids=["nominating", "plain"])
@pytest.mark.parametrize("attack", ["replayed", "fresh"])
@pytest.mark.parametrize("kind", ["lite", "full"])
def test_who_sends_checks_of_his_own_under_anothers_address_takes_none_of_its_data(kind, attack, nominate):
    bench = Contest(kind)
    seen = bench.recorded(1, nominate=nominate)
    bench.arrive(ALICE, seen)
    bench.answer(1, ALICE)
    for half in range(200):
        bench.run(until=bench.began + half * 0.5)
        for number, place in ((1, ALICE), (2, BOB)):
            bench.answer(number, place)
            if half % 10 == 9:
                bench.hear(number, place)
        bench.arrive(BOB, seen if attack == "replayed" else bench.recorded(1, nominate=nominate))
        bench.arrive(BOB, DATA)
    assert len(bench.got(bench.names[2])) == 200 and bench.got(bench.names[1]) == []
    assert bench.mux.agent(bench.names[2]).state in (IceState.CONNECTED, IceState.COMPLETED)


def test_a_check_that_is_repeated_from_another_address_moves_nothing_even_where_nobody_is():
    bench = Contest()
    seen = bench.recorded(1, nominate=False)
    bench.arrive(ALICE, seen)
    assert bench.arrive(CAROL, seen) is not None  # it is answered, as each copy is (RFC 8489 6.3)
    assert bench.owner(CAROL) is None and bench.owner(ALICE) == 1
    bench.pass_time(QUIET)
    bench.arrive(BOB, seen)
    assert bench.owner(BOB) == 2
    bench.check(1, BOB, nominate=False)
    assert bench.owner(BOB) == 1


def test_who_comes_to_an_address_whose_owner_is_heard_there_no_more_has_it_with_the_next_check():
    bench = Contest()
    bench.hear(2, BOB)
    bench.pass_time(QUIET - 0.001)
    bench.check(1, BOB, nominate=False)
    assert bench.owner(BOB) == 2
    bench.pass_time(0.002)
    bench.check(1, BOB, nominate=False)
    assert bench.owner(BOB) == 1


def test_who_has_moved_leaves_his_address_to_the_next_at_once():
    bench = Contest()
    bench.command(bench.names[2], "restart", credentials=attrs.evolve(credentials(2), ufrag="again", pwd="p" * 22))
    again = attrs.evolve(client(2), ufrag="newer", pwd="q" * 22)
    bench.tell(bench.names[2], again)
    bench.check(1, BOB, nominate=False)
    assert bench.owner(BOB) == 2  # a restart is no move: the old pair carries data meanwhile (RFC 8445 9)
    own = attrs.evolve(credentials(2), ufrag="again", pwd="p" * 22)
    assert bench.check(2, CAROL, ours=own, theirs="newer", key=short_term_key(own.pwd)) is not None
    bench.check(1, BOB, nominate=False)
    assert bench.owner(BOB) == 1 and bench.owner(CAROL) == 2 and bench.rivals == {}


def test_an_accepted_answer_moves_an_address_at_once_for_it_shows_who_is_there():
    bench = Contest("full")
    bench.check(1, BOB)
    bench.run(until=bench.now + 0.1)
    assert bench.owner(BOB) == 2
    bench.answer(1, BOB)  # a NAT has given the address away, and the triggered check reached the new one
    assert bench.owner(BOB) == 1 and bench.rivals == {}


def test_who_was_silent_and_is_heard_again_gets_his_address_back_from_who_took_it():
    bench = Contest()
    bench.pass_time(QUIET)
    bench.check(1, ALICE)
    restarted = attrs.evolve(credentials(1), ufrag="again", pwd="p" * 22)
    bench.command(bench.names[1], "restart", credentials=restarted)
    bench.tell(bench.names[1], attrs.evolve(client(1), ufrag="newer", pwd="q" * 22))

    def spoof():
        bench.check(1, BOB, ours=restarted, theirs="newer")

    spoof()  # a nomination besides: the pair in use of its agent is there now
    assert bench.owner(BOB) == 1
    for _ in range(3):
        bench.check(2, BOB)
        assert bench.owner(BOB) == 2
        spoof()
        assert bench.owner(BOB) == 2
        bench.pass_time(QUIET)
        spoof()
        assert bench.owner(BOB) == 1
    assert len(bench.rivals) == 1


def test_who_has_come_while_another_held_his_address_is_heir_to_it():
    bench = Contest()
    bench.check(1, BOB, nominate=False)
    bench.call(bench.mux.remove, bench.names[2])
    assert bench.owner(BOB) == 1 and bench.rivals == {}


def test_a_third_who_claims_does_not_keep_the_first_from_coming_back():
    bench = Contest()
    bench.names[3] = bench.join(3, CAROL)
    bench.pass_time(QUIET)
    bench.check(1, ALICE)
    again = attrs.evolve(credentials(1), ufrag="again", pwd="p" * 22)
    bench.command(bench.names[1], "restart", credentials=again)
    bench.tell(bench.names[1], attrs.evolve(client(1), ufrag="newer", pwd="q" * 22))
    bench.check(1, BOB, ours=again, theirs="newer")
    assert bench.owner(BOB) == 1
    bench.check(3, BOB, nominate=False)
    bench.check(2, BOB)
    assert bench.owner(BOB) == 2


@pytest.mark.parametrize("gone", [1, 2])
def test_of_who_is_gone_no_claim_is_left(gone):
    bench = Contest()
    bench.check(1, BOB, nominate=False)
    assert len(bench.rivals) == 1
    bench.call(bench.mux.remove, bench.names[gone])
    assert bench.rivals == {}


def test_claims_are_no_more_than_the_addresses_that_are_somebodys():
    bench = Contest()
    for number in range(3, 10):
        bench.lite(number)
        bench.check(number, BOB)
        bench.check(number, at(f"203.0.113.{number}", 5000))
    assert bench.owner(BOB) == 2 and len(bench.rivals) == 1


def test_an_address_that_is_forgotten_for_newer_ones_leaves_no_claim():
    bench = MuxBench(config=MuxConfig(max_sources=2))
    bench.lite(1)
    first = bench.lite(2, known=False)
    for place in (ALICE, BOB):
        bench.check(2, place, nominate=False)
    bench.tell(first, client(2))
    bench.check(1, ALICE, nominate=False)
    [shared] = bench.mux._listening.sockets.values()
    assert ALICE in shared.rivals
    bench.check(2, CAROL, nominate=False)
    assert ALICE not in shared.routes and shared.rivals == {}


def test_who_has_come_first_and_has_no_pair_yet_keeps_his_address_while_he_is_heard():
    bench = MuxBench()
    names = [bench.lite(number) for number in (1, 2)]
    bench.check(2, BOB, nominate=False)
    bench.check(1, BOB)
    bench.arrive(BOB, DATA)
    bench.check(2, BOB)
    bench.arrive(BOB, DATA)
    assert [bench.got(name) for name in names] == [[], [DATA, DATA]]


def test_a_lite_peers_word_holds_no_address_against_who_sends_checks_from_there():
    bench = MuxBench()
    liar = bench.lite(1, known=False)
    bench.tell(liar, client(1, lite=True, candidates=[candidate(BOB.host, BOB.port)]))
    honest = bench.lite(2)
    bench.check(2, BOB)
    bench.arrive(BOB, DATA)
    assert bench.got(honest) == [DATA] and bench.got(liar) == []


@pytest.mark.parametrize("kind", ["lite", "full"])
def test_without_consent_nobody_is_known_to_be_where_he_was(kind):
    bench = Contest(kind, config=IceConfig(consent=False))
    bench.pass_time(QUIET)
    bench.check(1, BOB, nominate=False)
    assert bench.owner(BOB) == 1


def test_a_wrong_password_claims_nothing():
    bench = Contest()
    bench.check(1, BOB, key=WRONG)
    assert bench.rivals == {} and bench.owner(BOB) == 2
