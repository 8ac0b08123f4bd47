"""Data is counted once for a component, and worked out for the pairs that carried it."""

from sansice.ice._telling._tally import STANDSTILL, Ending, Ledger, Tally


def send(ledger, count, *, now):
    ledger.total.packets_sent += count
    ledger.total.bytes_sent += 10 * count
    ledger.total.last_sent = now


def test_pair_in_use_is_credited_with_what_was_carried_since_it_came_into_use():
    ledger, one, two = Ledger(), Tally(1), Tally(2)
    ledger.use(one)
    send(ledger, 3, now=1.0)
    ledger.use(two)
    send(ledger, 4, now=2.0)
    ledger.total.receive(50, 3.0)
    ledger.settle()
    ledger.settle()
    assert (one.carried.packets_sent, one.carried.bytes_sent, one.carried.last_sent) == (3, 30, 1.0)
    assert (two.carried.packets_sent, two.carried.bytes_sent, two.carried.last_sent) == (4, 40, 2.0)
    assert (one.carried.packets_received, two.carried.packets_received, two.carried.last_received) == (0, 1, 3.0)
    ledger.use(one)
    send(ledger, 1, now=4.0)
    ledger.use(None)
    assert (one.carried.packets_sent, one.carried.last_sent) == (4, 4.0)


def test_what_is_carried_while_no_pair_is_in_use_is_nobodys():
    ledger, one = Ledger(), Tally(1)
    send(ledger, 2, now=1.0)
    ledger.use(one)
    ledger.settle()
    assert ledger.total.packets_sent == 2
    assert one.carried.packets_sent == 0


def test_pair_that_carried_nothing_costs_nothing():
    ledger, one = Ledger(), Tally(1)
    ledger.use(one)
    ledger.settle()
    assert one.carried is None


def test_last_time_is_kept_where_nothing_came_since():
    ledger, one = Ledger(), Tally(1)
    ledger.use(one)
    send(ledger, 1, now=1.0)
    ledger.settle()
    ledger.total.receive(5, 9.0)
    ledger.settle()
    assert (one.carried.last_sent, one.carried.last_received) == (1.0, 9.0)


def test_strays_count_for_the_component_and_for_their_pair_where_it_is_known():
    ledger, one = Ledger(), Tally(1)
    assert ledger.all_received == (ledger.total,)
    ledger.stray(one, 7, 1.0)
    ledger.stray(None, 5, 2.0)
    assert [carried.bytes_received for carried in ledger.all_received] == [0, 12]
    assert (one.carried.bytes_received, one.carried.last_received) == (7, 1.0)


def test_consent_that_is_seen_to_have_ended_much_too_late_ended_while_the_program_stood_still():
    assert Ending.of(due=30.0, now=30.0 + STANDSTILL) is Ending.SILENCE
    assert Ending.of(due=30.0, now=30.1 + STANDSTILL) is Ending.LATE
