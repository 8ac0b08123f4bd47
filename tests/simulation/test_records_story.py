"""Stories of whole runs."""

import pytest

from sansice import Address
from sansice.simulation import Network, Story, scene, simulate
from simulation._machines import Peer


def told(name, **options):
    story = Story(**options)
    run = simulate(scene(name), observers=[story])
    return story, run.world.nodes


def test_timeline_says_who_checks_whom_and_why_it_failed():
    story, nodes = told("hotel")
    lines = story.timeline(nodes).splitlines()
    assert "    0.000 s  alice:host asks stun for its address" in lines
    assert "    0.140 s  bob:host checks alice:srflx, dropped at hotel: filtering" in lines
    assert any("alice selects prflx-srflx" in line for line in lines)


def test_diagram_has_a_column_for_each_place_from_one_agent_to_the_other():
    story, nodes = told("two-homes")
    diagram = story.diagram(nodes)
    assert diagram.splitlines()[0].split() == ["alice", "home", "A", "stun", "home", "B", "bob"]
    assert "\n    0.000 s    o-------------+------------>|             |             |  alice:host > stun: question\n" in diagram
    assert diagram.isascii()


def test_image_has_the_title_and_the_same_labels():
    story, nodes = told("two-homes")
    image = story.svg(nodes, title="two homes")
    assert ">two homes</text>" in image
    assert ">alice:host &gt; stun: question</text>" in image


def test_long_run_is_told_by_its_beginning_and_its_end():
    whole, nodes = told("hotel")
    short, others = told("hotel", limit=10)
    assert whole.packets == short.packets > 100
    every, some = whole.timeline(nodes).splitlines(), short.timeline(others).splitlines()
    (gap,) = [line for line in some if "lines are left out here" in line]
    left_out = int(gap.split()[1])
    assert len(some) - 1 + left_out == len(every)
    at = some.index(gap)
    assert every[:at] == some[:at]
    assert len([line for line in some if "* " not in line]) == 10


def test_of_an_odd_limit_the_beginning_has_the_one_more():
    story, nodes = told("two-homes", limit=3)
    lines = [line for line in story.timeline(nodes).splitlines() if "* " not in line or "left out" in line]
    assert ["left out" in line for line in lines] == [False, False, True, False]


def test_notes_stand_where_they_happened():
    story, nodes = told("two-homes")
    assert story.timeline(nodes, [(0.07, "somebody sneezes")]).splitlines()[10] == "    0.070 s  * somebody sneezes"
    assert "somebody sneezes" in story.diagram(nodes, [(0.07, "somebody sneezes")])
    assert "somebody sneezes" in story.svg(nodes, [(0.07, "somebody sneezes")])


def test_story_without_agents_is_told_of_hosts():
    net, story = Network(seed=1, latency=0.01), Story()
    net.watch(story)
    net.host("B", "192.0.2.2").run(Peer("192.0.2.2", 7))
    node = net.host("A", "192.0.2.1").run(Peer("192.0.2.1", 5000))
    node.call(node.machine.send, Address("192.0.2.2", 7), b"hello")
    node.call(node.machine.send, Address("192.0.2.2", 8), b"hello")
    net.run(until=1.0)
    assert story.timeline().splitlines() == [
        "    0.000 s  A sends B 5 bytes",
        "    0.000 s  A sends 192.0.2.2:8 5 bytes, dropped at B: no socket at this port",
        "    0.010 s  B tells A about 192.0.2.2:8: port unreachable",
    ]


def test_story_of_nothing_is_empty():
    story = Story()
    assert (story.packets, story.timeline(), story.diagram().strip()) == (0, "", "")


def test_limit_leaves_room_for_a_beginning_and_an_end():
    with pytest.raises(ValueError, match="limit: 1 is below 2"):
        Story(limit=1)
