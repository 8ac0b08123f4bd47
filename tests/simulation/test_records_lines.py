"""Sentences and their order."""

from types import SimpleNamespace

from sansice.ice import Closed
from sansice.simulation import Fate, Packet, Passage
from sansice.simulation._records._cast import Cast
from sansice.simulation._records._lines import Kept, lines_of
from sansice.simulation._records._tracker import Tracker
from sansice.stun import MessageClass, Method, TransactionId, encode
from simulation._passages import OUTER, B, delivered, inward, outward


def lines(*passages, first=100, last=100, nodes=None, notes=()):
    journeys = []
    tracker = Tracker(journeys.append)
    for passage in passages:
        tracker(passage)
    tail = journeys[first:][-last:]
    kept = Kept(journeys[:first], tail, len(journeys) - len(journeys[:first]) - len(tail))
    return lines_of(kept, Cast({}, tracker.reached), nodes or {}, notes)


def texts(*passages, **options):
    return [line.text for line in lines(*passages, **options)]


def test_packet_that_arrives_needs_no_more_words():
    (line,) = lines(*outward(), *delivered())
    assert (line.text, line.label, line.towards) == ("alice sends bob 1 byte", "alice > bob: 1 byte", "bob")


def test_packet_that_is_lost_says_where_and_why():
    lost = Passage(0.02, "home", Fate.FILTERED, Packet(B, OUTER, b"y"), "home outside")
    (line,) = lines(*inward(), lost)
    assert line.text == "bob sends 203.0.113.1:1024 1 byte, dropped at home: filtering"
    assert line.label == "bob > 203.0.113.1:1024: 1 byte, dropped: filtering"


def test_packet_that_reaches_somebody_else_says_whom():
    both = [*outward(0.0), *delivered(0.1), *outward(0.2, b"z"), *delivered(0.3, b"z", place="printer")]
    assert texts(*both) == ["alice sends printer 1 byte, which reaches bob", "alice sends printer 1 byte"]


def test_packet_that_reaches_several_says_whom():
    question, other = Packet(B, B._replace(host="224.0.0.251"), b"who?"), [("alice", 0.01), ("printer", 0.02)]
    passages = [Passage(0.0, "bob", Fate.SENT, question, "bob 1")]
    passages += [Passage(time, name, Fate.DELIVERED, question, f"{name} 1") for name, time in other]
    assert texts(*passages) == ["bob sends printer 4 bytes, which reaches alice, printer"]


def test_packet_under_way_and_copies_are_called_so():
    copied = [*outward(), Passage(0.0, "Internet", Fate.DUPLICATED, Packet(OUTER, B, b"x")), *delivered()]
    assert texts(*copied) == ["alice sends bob 1 byte", "alice sends bob 1 byte (a copy), and is under way"]
    assert [line.label for line in lines(*copied)][1] == "alice > bob: 1 byte (a copy), under way"


def test_request_of_an_earlier_transaction_is_sent_again():
    question = encode(Method.BINDING, MessageClass.REQUEST, TransactionId(bytes(12)), [])
    passages = [*outward(0.0, question), *delivered(0.1, question), *outward(0.5, question), *delivered(0.6, question)]
    passages.insert(-1, Passage(0.5, "Internet", Fate.DUPLICATED, Packet(OUTER, B, question)))
    assert texts(*passages) == [
        "alice asks bob for its address",
        "alice asks bob again for its address",
        "alice asks bob for its address (a copy), and is under way",
    ]


def test_at_one_instant_notes_come_first_then_events_then_packets():
    node = SimpleNamespace(events=[(0.0, Closed()), (1.0, Closed())], host=SimpleNamespace(name="alice"), machine=None)
    found = texts(*outward(), *delivered(), nodes={"alice": node}, notes=[(0.0, "the moon rises")])
    assert found == ["the moon rises", "alice is closed", "alice sends bob 1 byte", "alice is closed"]


def test_lines_between_the_first_and_the_last_packets_are_counted():
    passages = [
        one for number in range(6) for one in (*outward(number, bytes([number])), *delivered(number + 0.1, bytes([number])))
    ]
    node = SimpleNamespace(
        events=[(0.5, Closed()), (3.5, Closed()), (9.0, Closed())], host=SimpleNamespace(name="x"), machine=None
    )
    found = lines(*passages, first=2, last=1, nodes={"alice": node})
    assert [line.time for line in found] == [0, 0.5, 1, None, 5, 9.0]
    assert found[3].text == "4 lines are left out here"
