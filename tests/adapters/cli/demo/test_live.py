import io

import pytest
from rich.console import Console

from sansice.ice import CandidateType, IceState, PairState
from sansice_cli.demo._echo import Echo
from sansice_cli.demo._live import PAIR_STYLES, STATE_STYLES, TYPE_STYLES, Picture, draw
from sansice_cli.demo._outcome import Outcome

# The whole story, 120 columns wide; the last line ends with a space.
WIDE = """\
╭─  A this process (pid 11), controlling  ─────────────────╮╭─  B the other process (pid 12), controlled  ─────────────╮
│ A1 host 192.0.2.1:5001                                   ││ B1 host 192.0.2.1:6001                                   │
│ A2 host [fd00::1]:5002                                   ││ B2 host [fd00::1]:6002                                   │
│                                                          ││                                                          │
│ pair     its states, and when in ms                      ││ pair     its states, and when in ms                      │
│ A1 → B1  in progress 2.0 · succeeded 3.0 · selected 53.0 ││ B1 → A1  in progress 0.5 · succeeded 3.0 · selected 52.0 │
│ A2 → B2  waiting 2.0 · not needed 53.0                   ││ B2 → A2  waiting 0.5 · failed 51.0                       │
╰────────────────────────────────────────────  completed  ─╯╰─────────────────────────────────────────────  checking  ─╯
 echoes ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╸                                                  500 of 1000\x20
"""


def shown(story, echo, width, **options):
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None, **options)
    console.print(draw(story, echo, width))
    return console.file.getvalue().replace("\N{NO-BREAK SPACE}", " ")


def half(count):
    echo = Echo(count, 200)
    for _ in range(count // 2):
        echo.received(echo.next(now=1.0), now=1.0)
    return echo


def test_wide_picture_has_both_ends_side_by_side(told):
    assert shown(told, half(1000), 120) == WIDE


def test_narrow_picture_has_one_end_below_the_other(told):
    lines = shown(told, Echo(1000, 200), 80).splitlines()
    assert max(map(len, lines)) <= 80
    assert [line[:20] for line in lines if line.startswith("╭")] == ["╭─  A this process (", "╭─  B the other proc"]


@pytest.mark.parametrize("width", [20, 40, 99, 100, 300])
def test_no_line_is_wider_than_the_terminal(told, width):
    assert max(map(len, shown(told, Echo(1000, 200), width).splitlines())) <= width


def test_addresses_in_brackets_are_not_taken_for_markup(told):
    assert "[fd00::1]:6002" in shown(told, Echo(1, 200), 120)


def test_picture_before_anything_has_happened_says_what_is_waited_for(story):
    assert shown(story, Echo(1000, 200), 120).count("gathering candidates") == 2


def test_picture_before_the_ends_know_each_other_shows_candidates(story, steps):
    for end, report in steps[:3]:
        getattr(story, end).take(report)
    picture = shown(story, Echo(1000, 200), 120)
    assert "A2 host [fd00::1]:5002" in picture
    assert "pair" not in picture


def test_every_state_and_type_has_a_colour():
    assert set(PAIR_STYLES) == {*PairState, None}
    assert set(STATE_STYLES) == set(IceState)
    assert set(TYPE_STYLES) == set(CandidateType)


def test_states_are_coloured(told):
    console = Console(file=io.StringIO(), width=120, force_terminal=True, color_system="standard", no_color=False)
    console.print(draw(told, Echo(1, 200), 120))
    text = console.file.getvalue().replace("\N{NO-BREAK SPACE}", " ")
    assert "\x1b[36min progress\x1b[0m" in text
    assert "\x1b[31mfailed\x1b[0m" in text
    assert "\x1b[1;32mselected\x1b[0m" in text


def test_terminal_gets_its_cursor_back_and_keeps_the_last_picture(story, steps):
    console = Console(file=io.StringIO(), width=120, force_terminal=True)
    echo = Echo(1000, 200)
    with Picture(story, console) as picture:
        picture.refresh(echo)
        for end, report in steps:
            getattr(story, end).take(report)
            picture.report(getattr(story, end), report)
        picture.refresh(echo)
        hidden = console.file.getvalue()
    assert "\x1b[?25l" in hidden and "\x1b[?25h" not in hidden
    after = console.file.getvalue()
    assert after.endswith("\x1b[?25h")
    assert "completed" in after
    picture.conclude(Outcome.of(story, echo, "It rained.", ""))
    assert "It did not work: It rained." in console.file.getvalue()
