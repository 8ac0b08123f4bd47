"""Timelines and diagrams to the letter."""

from sansice.simulation import Fate
from sansice.simulation._records._journey import End, Journey, Stop
from sansice.simulation._records._lines import Line
from sansice.simulation._records._text import diagram_text, timeline_text

COLUMNS = ["alice", "home A", "stun"]


def line(time, text, *places, fate=Fate.DELIVERED, on_a_link=False, towards=""):
    stops = places if on_a_link else places[:-1]
    end = End(time, "Internet" if on_a_link else places[-1], fate, on_a_link)
    return Line(time, text, text, Journey(None, [Stop(time, place) for place in stops], [end]), towards)


def drawn(*lines, columns=COLUMNS):
    return diagram_text(lines, columns).splitlines()


def test_timeline_has_times_in_a_column_and_stars_at_what_is_no_packet():
    found = timeline_text([Line(0.0, "home A reboots"), line(12.3456, "alice checks bob", "alice", "bob"), Line(None, "3 more")])
    assert found == "    0.000 s  * home A reboots\n   12.346 s  alice checks bob\n             * 3 more\n"


def test_diagram_to_the_letter():
    found = drawn(
        line(0.0, "question", "alice", "home A", "stun"),
        line(0.02, "answer", "stun", "home A", fate=Fate.FILTERED),
        Line(0.5, "home A reboots"),
        line(1.0, "lost", "alice", "home A", on_a_link=True, fate=Fate.LOST, towards="stun"),
        line(2.0, "to itself", "alice", "alice"),
        line(2.5, "closed", "alice", "alice", fate=Fate.CLOSED_PORT),
        line(3.0, "turned", "alice", "home A", "home A", "alice"),
        line(4.0, "left", "alice", on_a_link=True, fate=Fate.LOST, towards=""),
        line(5.0, "from nowhere", "", on_a_link=True, fate=Fate.LOST),
        Line(None, "9 lines are left out here"),
    )
    assert found == [
        "             alice        home A         stun",
        "               |             |             |",
        "    0.000 s    o-------------+------------>|  question",
        "    0.020 s    |             X<------------o  answer",
        "    0.500 s    |             |             |  * home A reboots",
        "    1.000 s    o-------------+----->X      |  lost",
        "    2.000 s    o             |             |  to itself",
        "    2.500 s    X             |             |  closed",
        "    3.000 s    o------------>+             |  turned",
        "               |<------------o             |",
        "    4.000 s    o----->X      |             |  left",
        "    5.000 s    |             |             |  from nowhere",
        "               |             |             |  * 9 lines are left out here",
    ]


def test_long_names_keep_their_distance():
    head = drawn(columns=["a", "the gateway of the hotel", "the phone of somebody"])[0]
    assert head.endswith("  the gateway of the hotel   the phone of somebody")


def test_arrow_out_of_the_left_edge_is_cut_there():
    found = drawn(line(0.0, "lost", "b", "a", on_a_link=True, fate=Fate.LOST), columns=["a", "b"])
    assert found[-1] == "    0.000 s  X<------------o  lost"


def test_arrow_that_just_leaves_the_left_edge_is_cut_there_too():
    columns = ["twelve chars", "b"]
    found = drawn(line(0.0, "lost", "b", "twelve chars", on_a_link=True, fate=Fate.LOST), columns=columns)
    assert found[-1] == "    0.000 s  X<----+-------------o  lost"


def test_diagram_of_nothing_has_no_columns():
    assert drawn(columns=[]) == ["", ""]
