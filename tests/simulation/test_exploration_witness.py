"""Witnesses, the evidence that they give, and the stories that are made of it."""

import attrs

from mutants._worlds import plain
from sansice.ice import AgentEvent, AgentId, Closed, GatheringOptions, IceAgent, IceState
from sansice.machine import (
    AddressRecord,
    CloseSocket,
    IcmpError,
    OpenSocket,
    ResolveError,
    SendStream,
    SetReading,
    SocketError,
    SocketErrorKind,
    SocketId,
    Transport,
)
from sansice.simulation import INVARIANTS, Deviation, DeviationKind, InputKind, Invariant, Moment, Network
from sansice.simulation._exploration._evidence import End, read
from sansice.simulation._exploration._telling import describe
from sansice.simulation._exploration._trial import run_schedule
from sansice.simulation._exploration._witness import Witness
from simulation._exploring import CONFIG, HERE, PATH, SOCKET, THERE, Story, answer, both, check


class Judge:
    def __init__(self):
        self.moments = []

    def note(self, moment):
        self.moments.append(moment)

    judge = note


def witnessed(**options):
    """An agent with a socket, and a witness in its place."""
    net = Network()
    net.resolve("stun.example.org", [AddressRecord("192.0.2.9")])
    host = net.host("A", "192.0.2.1")
    agent = IceAgent(controlling=True, entropy=host.entropy, **options)
    node = host.run(agent)
    judge = Judge()
    end = End("A", node, CONFIG)
    node.driver.machine = Witness(end, [], judge)
    node.call(agent.gather, host.addresses)
    return net, node, judge


def test_every_input_is_passed_on_and_is_a_moment():
    net, node, judge = witnessed(servers=["stun:stun.example.org"])
    net.run(until=0.3)
    [socket] = node.sockets
    node.driver.icmp(socket, THERE, IcmpError(3, 3))
    node.driver.datagrams(socket, [(THERE, b"\x80one"), (THERE, b"\x80two")])
    node.driver.socket_failed(socket, SocketError(SocketErrorKind.OTHER, "gone"))
    node.driver.machine.handle_wall_clock(1e9, now=net.now)
    told = [describe(moment) for moment in judge.moments]
    assert [moment.kind for moment in judge.moments[:2]] == [InputKind.COMMAND, InputKind.OPENED]
    words = (
        "command",
        f"socket {socket} opened at 192.0.2.1:",
        "a name was resolved",
        "request",
        "ICMP 3/3 about 198.51.100.1:2000",
    )
    for word in (*words, "data (4 bytes) from 198.51.100.1:2000", f"socket {socket} failed: other", "GatheringCompleted"):
        assert any(word in line for line in told), word
    assert node.machine.state is IceState.NEW


def test_connections_and_what_comes_over_them_are_moments():
    net, node, judge = witnessed(gathering=GatheringOptions(udp=False, tcp=("passive",)))
    net.run(until=0.3)
    [listener] = node.sockets
    accepted = SocketId(-1)
    node.driver.accepted(listener, accepted, THERE)
    node.driver.stream_sent(accepted, 7)
    node.driver.stream_data(accepted, b"\0\1")
    node.driver.stream_data(accepted, b"")
    last = judge.moments[-4:]
    assert [moment.kind for moment in last] == [InputKind.ACCEPTED, InputKind.OTHER, InputKind.STREAM, InputKind.STREAM]
    assert (last[0].path, last[0].socket, last[2].socket, last[2].data) == ((listener, THERE), accepted, accepted, b"\0\1")
    told = "\n".join(describe(moment) for moment in judge.moments)
    for words in ("open socket", "accepted by", "7 bytes wait", "2 bytes on socket -1", "the end of the stream", "close socket"):
        assert words in told


def test_what_a_stream_sends_and_a_mux_tells_is_told_in_words():
    moment = Moment(both()["A"], InputKind.STREAM, 1.0, None, socket=SOCKET, data=b"123", text="3 bytes")
    moment.others = [SendStream(SOCKET, b"four"), OpenSocket(SOCKET, Transport.TCP, HERE, THERE), SetReading(SOCKET, False)]
    moment.events = [AgentEvent(AgentId(3), Closed())]
    told = describe(moment)
    assert "3 bytes -> 4 bytes on socket 1; open socket 1 to 198.51.100.1:2000; SetReading; agent 3: Closed" in told


def test_an_input_that_comes_before_an_overdue_timer_tells_how_late_that_is():
    net, node, judge = witnessed(servers=["stun:stun.example.org"])
    net.run(until=0.3)
    [socket] = node.sockets
    witness, due = node.driver.machine, node.machine.deadline()
    witness.handle_datagrams(socket, [(THERE, b"\x80one")], now=due)
    witness.handle_datagrams(socket, [(THERE, b"\x80two")], now=due + 2.0)
    assert [moment.late for moment in judge.moments[-2:]] == [0.0, 2.0]


def test_a_command_that_comes_before_an_overdue_timer_tells_that_too():
    net, node, judge = witnessed(servers=["stun:stun.example.org"])
    net.run(until=0.3)
    net._world.clock.now = node.machine.deadline() + 2.0
    of_peer = attrs.evolve(node.machine.local_description, ufrag="peer", pwd="p" * 22)
    node.call(node.machine.set_remote, of_peer)
    assert (judge.moments[-1].kind, round(judge.moments[-1].late, 6)) == (InputKind.COMMAND, 2.0)


def test_an_icmp_error_leaves_the_requests_of_its_path_in_doubt():
    _, node, _ = witnessed()
    end = node.driver.machine._end
    end.agent = both()["A"].agent
    story = Story(Invariant, {"A": end, "B": both()["B"]})
    request = story.asks()
    other = story.asks(path=(SOCKET, HERE))
    story.a.agent.handle_icmp = lambda *arguments, now: None
    story.a.agent.take_outputs = list
    node.driver.machine.handle_icmp(SOCKET, THERE, IcmpError(3, 13), now=0.0)
    asked = [end.asked[one[8:20]] for one in (request, other)]
    assert [one.in_doubt for one in asked] == [False, False]
    node.driver.machine.handle_icmp(SOCKET, THERE, IcmpError(3, 3), now=0.0)
    assert [one.in_doubt for one in asked] == [True, False]


def test_the_base_of_a_socket_is_known_after_it_was_closed():
    story = Story(Invariant)
    story.timer(tells=[SetReading(SOCKET, enabled=True), CloseSocket(SOCKET)])
    story.a.node.sockets = {}
    assert story.a.base_of(SOCKET) == HERE
    assert story.a.base_of(SocketId(2)) is None


def test_what_looks_like_a_message_and_is_none_is_no_message():
    assert read(b"\x80data") is None
    assert read(check()[:-4]) is None
    assert read(check()) is not None


def test_a_story_tells_who_was_fed_what_and_what_came_of_it():
    story = Story(Invariant)
    request = story.asks(nominates=True)
    story.now = 1.25
    moment = story.a.arrived(*PATH, answer(request, code=487), story.now, [story.ends["B"]])
    assert describe(moment) == f"    1.250 s  A: error {request[8:11].hex()} 487 from {THERE}"
    stranger = story.a.arrived(*PATH, answer(request, by="A"), story.now, [story.ends["B"]])
    assert describe(stranger).endswith(f"success {request[8:11].hex()} from {THERE} (not authentic)")


def test_a_run_ends_with_what_its_last_deviation_did():
    class Never(Invariant):
        rule = "nothing ever goes quiet after the first packet"

        def ended(self, harm):
            return f"it ended with {harm.lost} lost" if harm.lost else None

    run = run_schedule(plain, (Deviation(2, DeviationKind.LOSE),), [Never])
    assert run.breach is not None
    assert run.breach.finding == "it ended with 1 lost"
    assert any("packets lost from this one on, to this place: 1" in line for line in run.breach.story)
    assert run.breach.events == run.inputs + 1
    assert run_schedule(plain, (), INVARIANTS).breach is None


def test_a_deviation_after_the_last_input_is_told_last():
    class Quick(Invariant):
        rule = "no packet is ever in the air when something is held back"

        def quiet(self, harm):
            return "quiet at last" if self.ends[0].node.now() > 0.0 else None

    everything = tuple(Deviation(step, DeviationKind.LOSE, -1) for step in (2, 3))
    run = run_schedule(plain, everything, [Quick])
    assert run.breach is not None
    assert [line for line in run.breach.story[-3:-1] if "lose this packet and all that follow" in line]


def test_runs_are_the_same_where_all_agents_had_the_same_inputs():
    one, two, three = (
        run_schedule(plain, schedule, ())
        for schedule in ((), (Deviation(99_999, DeviationKind.REPLAY),), (Deviation(2, DeviationKind.LOSE),))
    )
    assert one.digest == two.digest != three.digest
    killed = [run_schedule(plain, (Deviation(step, DeviationKind.FAULT, name="A is killed"),), ()) for step in (2, 4)]
    assert killed[0].digest != killed[1].digest


def test_a_name_that_is_not_found_is_a_moment_too():
    net, _, judge = witnessed(servers=["stun:nobody.example.org"])
    net.resolve("nobody.example.org", ResolveError.NOT_FOUND)
    net.run(until=1.0)
    assert any(moment.text == "a name was resolved" for moment in judge.moments)
