"""Images: whole XML, with what the text diagram has."""

import xml.etree.ElementTree as ET

from sansice.simulation import Fate
from sansice.simulation._records._journey import End, Journey, Stop
from sansice.simulation._records._lines import Line
from sansice.simulation._records._svg import diagram_svg

COLUMNS = ["alice", "home A", "stun"]
SVG = "{http://www.w3.org/2000/svg}"


def line(time, text, *places, fate=Fate.DELIVERED, on_a_link=False, towards=""):
    stops = places if on_a_link else places[:-1]
    ends = [End(time, "Internet" if on_a_link else places[-1], fate, on_a_link)] if fate else []
    return Line(time, text, text, Journey(None, [Stop(time, place) for place in stops], ends), towards)


def draw(*lines, columns=COLUMNS, title=""):
    root = ET.fromstring(diagram_svg(lines, columns, title))
    assert root.tag == f"{SVG}svg"
    return root


def texts(root, kind):
    return [one.text for one in root.iter(f"{SVG}text") if one.get("class") == kind]


def paths(root, kind):
    return [one.get("d") for one in root.iter(f"{SVG}path") if one.get("class") == kind]


def circles(root):
    return [int(one.get("cx")) for one in root.iter(f"{SVG}circle")]


def test_names_times_labels_and_notes_are_there():
    root = draw(line(0.0, "question", "alice", "home A", "stun"), Line(0.5, "home A reboots"), Line(None, "more"), title="a call")
    assert texts(root, "n") == COLUMNS
    assert texts(root, "h") == ["a call"]
    assert texts(root, "t") == ["0.000 s", "0.500 s"]
    assert texts(root, "m") == ["question"]
    assert texts(root, "e") == ["home A reboots", "more"]
    assert root.find(f"{SVG}title").text == "a call"


def test_arrow_goes_from_lifeline_to_lifeline_with_a_dot_at_what_passed_it_on():
    root = draw(line(0.0, "question", "alice", "home A", "stun"))
    assert paths(root, "a") == ["M150 71H490"]
    assert paths(root, "ah") == ["M490 71l-9 -4v8z"]
    assert circles(root) == [320]
    back = draw(line(0.0, "answer", "stun", "home A", "alice"))
    assert paths(back, "ah") == ["M150 71l9 -4v8z"]


def test_packet_that_dies_is_red_and_crossed_out():
    root = draw(line(0.0, "check", "alice", "home A", fate=Fate.LOST, on_a_link=True, towards="stun"))
    assert paths(root, "d") == ["M150 71H405", "M400 66l10 10m0 -10l-10 10"]
    assert texts(root, "m x") == ["check"]
    assert circles(root) == [320]


def test_packet_under_way_is_dashed():
    root = draw(line(0.0, "check", "alice", "home A", fate=None, on_a_link=True))
    assert [one.get("stroke-dasharray") for one in root.iter(f"{SVG}path") if one.get("class") == "a"] == ["4 3"]


def test_packet_that_is_turned_round_goes_down_a_row():
    root = draw(line(0.0, "check", "alice", "home A", "home A", "alice"), line(1.0, "next", "alice", "home A"))
    assert paths(root, "a") == ["M150 71H320V101", "M320 101H150", "M150 131H320"]


def test_packet_to_itself_is_a_dot_and_one_from_nowhere_a_label():
    root = draw(line(0.0, "to itself", "alice", "alice"), line(1.0, "from nowhere", "", fate=Fate.LOST, on_a_link=True))
    assert circles(root) == [150]
    assert texts(root, "m") == ["to itself", "from nowhere"]


def test_image_is_wide_enough_for_what_stands_in_it():
    long = "x" * 300
    narrow, wide = draw(), draw(Line(0.0, long))
    assert int(narrow.get("width")) == 575
    assert int(wide.get("width")) > 300 * 6
    spread = draw(columns=["a" * 40, "b" * 40])
    (first, second) = [int(one.get("x")) for one in spread.iter(f"{SVG}text") if one.get("class") == "n"]
    assert second - first > 40 * 6.7
    assert int(draw(columns=[]).get("width")) > 0


def test_what_names_hold_cannot_break_out():
    name = "<script>\"&'\x00\x1b"
    root = draw(Line(0.0, name), columns=[name], title=name)
    assert texts(root, "n") == texts(root, "h") == texts(root, "e") == ["<script>\"&'??"]
