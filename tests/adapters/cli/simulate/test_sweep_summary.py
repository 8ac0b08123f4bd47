"""What the answers of a sweep say all in all: counted, in a table, in pictures."""

import io
import re
from array import array

import pytest

from sansice.simulation import NatCouple, Sweep, run_sweep, scene
from sansice_cli.simulate._sweep._folder import Folder
from sansice_cli.simulate._sweep._plots import BY_LOSS, BY_NATS, BY_RTT, draw_plots
from sansice_cli.simulate._sweep._summary import Subject, Summary, Tally, Weather, thinned
from sansice_cli.simulate._sweep._tables import draw

HOMES = Subject("two-homes", None, None, None, None)
HOPELESS = Subject(None, "symmetric", "symmetric", "none", "ipv4")
RELAYED = Subject(None, "symmetric", "open", "tcp", "dual")


def tally(sessions, *setups):
    return Tally(sessions, array("d", setups))


SUMMARY = Summary(
    {
        (HOMES, Weather(0.2, 0.04)): tally(2, 300.0),
        (HOMES, Weather(0.0, 0.04)): tally(2, 100.0, 200.0),
        (HOPELESS, Weather(0.0, 0.04)): tally(3),
        (RELAYED, Weather(0.0, 0.2)): tally(1, 400.0),
    }
)


def test_percentile_is_the_time_within_which_so_many_have_connected():
    assert tally(200, *map(float, range(100, 0, -1))).percentiles == (50.0, 90.0, 99.0)
    assert tally(3, 1.0, 2.0, 3.0).percentiles == (2.0, 3.0, 3.0)
    assert tally(9, 7.0).percentiles == (7.0, 7.0, 7.0)
    assert tally(9).percentiles == (None, None, None)


def test_tallies_are_counted_from_the_table(tmp_path):
    sweep = Sweep(
        name="x",
        scenes=(scene("two-homes"),),
        couples=(NatCouple("symmetric", "symmetric"),),
        parameters={"loss": (0.0, 0.2)},
        seeds=range(3),
    )
    answers = run_sweep(sweep)
    with Folder.opened(tmp_path, sweep) as folder:
        folder.keep(range(12), answers)
        folder.finish()
        summary = Summary.of(folder.answers)
    subjects = [(one, Weather(loss, rtt)) for one, rtt in ((HOMES, 0.04), (HOPELESS, 0.05)) for loss in (0.0, 0.2)]
    assert list(summary.tallies) == subjects
    for point, key in enumerate(subjects):
        setups = [one.setup_ms for one in answers if one.point == point and one.connected]
        assert summary.tallies[key] == tally(3, *setups)


def test_summary_is_by_subject_and_by_weather():
    assert SUMMARY.all == tally(8, 300.0, 100.0, 200.0, 400.0)
    assert SUMMARY.by_subject == {HOMES: tally(4, 300.0, 100.0, 200.0), HOPELESS: tally(3), RELAYED: tally(1, 400.0)}
    assert list(SUMMARY.by_weather.items()) == [
        (Weather(0.0, 0.04), tally(5, 100.0, 200.0)),
        (Weather(0.0, 0.2), tally(1, 400.0)),
        (Weather(0.2, 0.04), tally(2, 300.0)),
    ]
    said = SUMMARY.to_json()
    assert (said["sessions"], said["connected"], said["share"]) == (8, 4, 0.5)
    assert said["setup_ms"] == {"p50": 200.0, "p90": 400.0, "p99": 400.0}
    assert said["subjects"][:2] == [
        {
            "scene": "two-homes",
            "sessions": 4,
            "connected": 3,
            "share": 0.75,
            "setup_ms": {"p50": 200.0, "p90": 300.0, "p99": 300.0},
        },
        {
            "a": "symmetric",
            "b": "symmetric",
            "turn": "none",
            "family": "ipv4",
            "sessions": 3,
            "connected": 0,
            "share": 0.0,
            "setup_ms": {"p50": None, "p90": None, "p99": None},
        },
    ]
    assert said["weathers"][1] == {"loss": 0.0, "rtt": 0.2, **SUMMARY.by_subject[RELAYED].to_json()}


def test_table_has_a_row_for_each_subject_and_one_for_all():
    stream = io.StringIO()
    draw(SUMMARY, "mine", stream)
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in stream.getvalue().splitlines() if "│" in line]
    assert lines == [
        ["two-homes", "4", "75.00%", "200", "300", "300"],
        ["symmetric to symmetric", "3", "0.00%", "", "", ""],
        ["symmetric to open (relays over tcp, dual)", "1", "100.00%", "400", "400", "400"],
        ["all", "8", "50.00%", "200", "400", "400"],
    ]
    assert "mine: who connected" in stream.getvalue()


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_table_is_coloured_on_a_terminal_and_a_name_is_no_markup(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = Terminal()
    draw(Summary({(HOMES._replace(scene="[red]x"), Weather(0.0, 0.0)): tally(1)}), "mine", stream)
    assert "[red]x" in stream.getvalue()
    assert re.search(r"\x1b\[31m *0\.00%\x1b", stream.getvalue())


def test_pictures_are_of_what_varies_and_their_bytes_are_the_same_each_time(tmp_path):
    names = [BY_LOSS, BY_RTT, BY_NATS]
    assert draw_plots(SUMMARY, tmp_path, "mine") == [tmp_path / name for name in names]
    first = [(tmp_path / name).read_bytes() for name in names]
    assert all(content.startswith(b"\x89PNG") for content in first)
    draw_plots(SUMMARY, tmp_path, "mine")
    assert [(tmp_path / name).read_bytes() for name in names] == first
    assert sorted(one.name for one in tmp_path.iterdir()) == sorted(names)


def test_picture_with_one_value_on_its_axis_is_left_out(tmp_path):
    assert draw_plots(Summary({(HOMES, Weather(0.0, 0.04)): tally(1, 5.0)}), tmp_path, "mine") == []


@pytest.mark.parametrize(
    ("count", "most", "kept"), [(3, 6, [0, 1, 2]), (6, 6, [0, 1, 2, 3, 4, 5]), (11, 6, [0, 2, 4, 6, 8, 10]), (100, 2, [0, 99])]
)
def test_of_many_lines_some_in_even_steps_are_drawn(count, most, kept):
    assert thinned(range(count), most) == kept
