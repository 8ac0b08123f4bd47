"""The generations of a stream of a lite agent."""

from ice._lite import NEW, OTHER, PEER
from ice._wire import OURS
from sansice.ice._lite._stream import MAX_REMEMBERED, Generation, Novelty, Stream
from sansice.ice._telling._tally import Ledger
from sansice.stun import TransactionId


def tid(number):
    return TransactionId(number.to_bytes(12, "big"))


def test_nomination_is_known_again_by_its_transaction_and_its_path():
    generation = Generation(OURS, 1)
    assert generation.remember(tid(1), "socket", PEER) is Novelty.FIRST
    assert generation.remember(tid(1), "socket", PEER) is Novelty.REPEATED
    assert generation.remember(tid(1), "socket", OTHER) is Novelty.REPLAYED
    assert generation.remember(tid(1), "another", PEER) is Novelty.REPLAYED
    assert generation.remember(tid(2), "socket", OTHER) is Novelty.FIRST


def test_nominations_are_remembered_up_to_a_bound_the_oldest_forgotten_first():
    generation = Generation(OURS, 1)
    for number in range(MAX_REMEMBERED + 1):
        generation.remember(tid(number), "socket", PEER)
    assert len(generation.nominations) == MAX_REMEMBERED
    assert generation.remember(tid(1), "socket", OTHER) is Novelty.REPLAYED
    assert generation.remember(tid(0), "socket", OTHER) is Novelty.FIRST


def test_generation_is_found_by_the_ufrag_of_a_request():
    stream = Stream(0, OURS, [Ledger()])
    first = stream.current
    assert stream.of_username("anything") is first
    stream.renew(NEW)
    assert stream.of_username(f"{OURS.ufrag}:x") is first
    for username in (f"{NEW.ufrag}:x", "neither", None):
        assert stream.of_username(username) is stream.current
    stream.conclude()
    assert stream.of_username(f"{OURS.ufrag}:x") is stream.current
