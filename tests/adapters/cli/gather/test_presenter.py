"""What a person sees of a gathering."""

import io

import pytest
from rich.console import Console

from sansice import Address
from sansice.ice import Candidate, CandidateGathered, GatheringCompleted, ServerAnswered, ServerFailed
from sansice_cli.gather._presenter import Lines, Picture, draw, presenter
from sansice_cli.gather._round import Round

STUN, DEAD = "stun:192.0.2.9", "stun:192.0.2.10"
EVENTS = [
    CandidateGathered(0, 1, Candidate.from_sdp("candidate:1 1 udp 2130706431 fd00::2 5000 typ host")),
    ServerAnswered(STUN, "fd00::2", 0.02, Address("2001:db8::1", 6000)),
    ServerFailed(DEAD, "fd00::2", "no answer"),
    GatheringCompleted(),
]


def tell(shown):
    round = Round([STUN, DEAD], began=0.0)
    with shown:
        for number, event in enumerate(EVENTS):
            shown.show(round, round.take(event, now=float(number)))


def test_lines_tell_candidates_at_once_and_servers_in_the_end():
    said = io.StringIO()
    tell(Lines(said))
    assert said.getvalue().splitlines() == [
        "    0.0 ms  host  udp  [fd00::2]:5000  126 | 65535 | 1",
        f"{STUN}: sees [2001:db8::1]:6000 after 20.0 ms",
        f"{DEAD}: no answer",
        "1 candidate, complete after 3000.0 ms.",
    ]


def shot(count):
    """The picture after so many events."""
    round = Round([STUN, DEAD], began=0.0)
    for event in EVENTS[:count]:
        round.take(event, now=1.0)
    console = Console(file=io.StringIO(), width=100, highlight=False)
    console.print(draw(round))
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_a_picture_has_a_table_and_a_line_for_each_server():
    assert shot(1)[1].split() == ["1000.0", "ms", "host", "udp", "[fd00::2]:5000", "126", "|", "65535", "|", "1"]
    assert shot(1)[2:] == [f"{STUN}: asked", f"{DEAD}: asked"]
    assert shot(3)[2:] == [f"{STUN}: sees [2001:db8::1]:6000 after 20.0 ms", f"{DEAD}: no answer"]
    assert shot(4)[-1] == "1 candidate, complete after 1000.0 ms."


def test_the_last_picture_stays():
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    tell(Picture(console))
    assert "complete after 3000.0 ms." in console.file.getvalue()


@pytest.mark.parametrize(
    ("is_terminal", "term", "kind"), [(True, "xterm", Picture), (True, "dumb", Lines), (False, "xterm", Lines)]
)
def test_a_picture_is_drawn_where_one_can_be(monkeypatch, is_terminal, term, kind):
    monkeypatch.setenv("TERM", term)
    stream = io.StringIO()
    stream.isatty = lambda: is_terminal
    assert type(presenter(stream)) is kind
