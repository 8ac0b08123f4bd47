import inspect
import math

import pytest

import sansice.stun
from sansice.machine import (
    Address,
    AddressRecord,
    Ids,
    LocalProtocolError,
    NaptrRecord,
    QueryId,
    RecordKind,
    Resolve,
    ResolveError,
    SrvRecord,
    Transport,
)
from sansice.simulation import Network, check_machine
from sansice.stun import ResolutionFailed, ResolutionState, ServerResolution, ServerResolved, ServerTarget, ServerUri
from sansice.stun._resolution._resolution import MAX_OUTSTANDING, MAX_QUESTIONS, MIN_TIMEOUT, RESOLUTION_TRANSITIONS

UDP, TCP, TLS, DTLS = Transport
A, AAAA, SRV, NAPTR = RecordKind
FOUR = AddressRecord("192.0.2.1")
SIX = AddressRecord("2001:db8::1")
SERVER = Address("192.0.2.1", 3478)
SERVER6 = Address("2001:db8::1", 3478)


def resolution(uri, **options):
    return ServerResolution(ServerUri.parse(uri), **options)


def started(uri, *, now=0.0, **options):
    machine = resolution(uri, **options)
    machine.start(now=now)
    return machine


def asked(machine):
    """What the machine wants to know, by query; there must be nothing else."""
    questions = {}
    for output in machine.take_outputs():
        assert isinstance(output, Resolve), output
        questions[output.query] = (output.name, output.kind)
    return questions


def outcome(uri, zone, **options):
    """The one event, from a name service that answers at once."""
    machine = started(uri, **options)
    while True:
        outputs = machine.take_outputs()
        questions = [output for output in outputs if isinstance(output, Resolve)]
        if not questions:
            assert machine.deadline() == math.inf
            (event,) = outputs
            return event
        for question in questions:
            answer = zone.get((question.name, question.kind), ResolveError.NOT_FOUND)
            machine.handle_resolved(question.query, answer, now=0.0)


def by_kind(questions):
    return {kind: query for query, (_, kind) in questions.items()}


def udp(*addresses):
    return ServerResolved(tuple(ServerTarget(UDP, address) for address in addresses))


def until_done(machine):
    """Let every timer fire when it is due: what comes out, and when."""
    history = []
    while machine.deadline() < math.inf:
        now = machine.deadline()
        machine.handle_timer(now=now)
        history += [(now, output) for output in machine.take_outputs()]
    return history


@pytest.mark.parametrize("host", ["192.0.2.1", "[2001:db8::1]"])
def test_an_address_is_answered_within_start(host):
    machine = started(f"stun:{host}")
    assert machine.take_outputs() == [udp(Address.parse(f"{host}:3478"))]
    assert machine.state is ResolutionState.DONE
    assert machine.deadline() == math.inf


@pytest.mark.req("RFC8489-067", "RFC7350-003")
@pytest.mark.parametrize("uri", ["stuns:192.0.2.1", "stuns:[2001:db8::1]:99", "turns:192.0.2.1", "turns:192.0.2.1?transport=udp"])
def test_a_secure_uri_with_an_address_needs_the_name_to_verify(uri):
    (event,) = started(uri).take_outputs()
    assert isinstance(event, ResolutionFailed)
    assert event.reason.startswith("an IP address says nothing")
    (event,) = started(uri, verify_name="Stun.Example.").take_outputs()
    assert {target.server_hostname for target in event.targets} == {"stun.example"}


@pytest.mark.req("RFC5928-008")
def test_the_certificate_must_carry_the_host_of_the_uri_whatever_dns_says():
    zone = {
        ("h.example", NAPTR): (NaptrRecord(1, 1, "S", "RELAY:turn.tls:turn.udp", "", "_x._tcp.elsewhere"),),
        ("_x._tcp.elsewhere", SRV): (SrvRecord(0, 0, 99, "server.elsewhere"),),
        ("_turns._udp.h.example", SRV): (SrvRecord(0, 0, 98, "server.elsewhere"),),
        ("server.elsewhere", A): (FOUR,),
    }
    assert outcome("turn:h.example", zone, transports=(TLS, UDP)).targets == (
        ServerTarget(TLS, Address("192.0.2.1", 99), "h.example"),
        ServerTarget(UDP, Address("192.0.2.1", 99), None),
    )
    assert outcome("turns:h.example?transport=udp", zone).targets == (ServerTarget(DTLS, Address("192.0.2.1", 98), "h.example"),)
    (target,) = outcome("turns:h.example?transport=udp", zone, verify_name="other.example").targets
    assert target.server_hostname == "other.example"


@pytest.mark.req("RFC5928-001", "RFC5928-002", "RFC7065-003")
@pytest.mark.parametrize(
    ("uri", "transports", "reason"),
    [
        ("turn:example.org?transport=SCTP", None, "no transport 'sctp' is known for turn:"),
        ("turn:192.0.2.1?transport=udp", (TCP,), "UDP is not among"),
        ("turns:example.org", (UDP,), "needs TLS or DTLS, and may use UDP"),
    ],
)
def test_what_the_transports_do_not_allow_fails_within_start_and_asks_nothing(uri, transports, reason):
    machine = started(uri, transports=transports)
    (event,) = machine.take_outputs()
    assert isinstance(event, ResolutionFailed)
    assert reason in event.reason
    assert machine.deadline() == math.inf


@pytest.mark.req("RFC8489-070")
def test_both_families_are_asked_at_once_and_both_are_to_be_tried():
    machine = started("stun:h:3478")
    questions = asked(machine)
    assert list(questions.values()) == [("h", AAAA), ("h", A)]
    machine.handle_resolved(by_kind(questions)[A], (FOUR,), now=0.1)
    assert machine.take_outputs() == []
    machine.handle_resolved(by_kind(questions)[AAAA], (SIX,), now=0.2)
    assert machine.take_outputs() == [udp(SERVER6, SERVER)]


@pytest.mark.req("RFC8489-069")
def test_all_targets_of_a_service_come_in_the_order_of_rfc_2782():
    """So that after a timeout there is a next one to try. The numbers drawn, of 0..4 and 0..3: 4 and 3."""
    records = [SrvRecord(20, 0, 4, "d"), SrvRecord(10, 3, 1, "a"), SrvRecord(10, 1, 2, "b"), SrvRecord(5, 0, 3, "c")]
    zone = {("_stun._udp.h", SRV): tuple(records), **{(name, A): (FOUR,) for name in "abcd"}}
    order = {}
    for number in (3, 4):
        event = outcome("stun:h", zone, entropy=lambda size, number=number: number.to_bytes(size, "big"))
        order[number] = [target.address.port for target in event.targets]
    assert order == {3: [3, 1, 2, 4], 4: [3, 2, 1, 4]}


def test_the_draw_is_made_once_however_often_the_rules_are_followed():
    zone = {("_stun._udp.h", SRV): tuple(SrvRecord(1, 1, port, f"n{port}") for port in range(1, 7))}
    zone |= {(f"n{port}", A): (FOUR,) for port in range(1, 7)}
    drawn = []

    def entropy(size):
        drawn.append(size)
        return bytes([len(drawn)]) * size

    assert len(outcome("stun:h", zone, entropy=entropy).targets) == 6
    assert len(drawn) == 5


@pytest.mark.req("RFC8489-066")
def test_there_is_no_default_server():
    """Whatever takes a server's URI, anywhere in STUN, has to be given one."""
    takers = {
        f"{name}.{parameter.name}": parameter.default
        for name, value in vars(sansice.stun).items()
        if inspect.isclass(value) and value.__module__.startswith("sansice.stun") and callable(value)
        for parameter in inspect.signature(value).parameters.values()
        if parameter.name == "uri"
    }
    assert "ServerResolution.uri" in takers
    assert set(takers.values()) == {inspect.Parameter.empty}


@pytest.mark.req("RFC5928-007")
def test_servers_in_back_off_are_left_out():
    zone = {("h", A): (FOUR, AddressRecord("192.0.2.2"))}
    second = Address("192.0.2.2", 3478)
    assert outcome("turn:h:3478", zone, transports=[UDP], skip={SERVER}) == udp(second)
    assert outcome("turn:h:3478", zone, transports=[UDP], skip={Address("192.0.2.1", 1)}) == udp(SERVER, second)
    event = outcome("turn:h:3478", zone, transports=[UDP], skip=[SERVER, second])
    assert event == ResolutionFailed("each of its 2 servers is to be left alone for now")


@pytest.mark.req("RFC5928-007")
@pytest.mark.parametrize("zone", [{("h", A): (FOUR,)}, {}], ids=["success", "failure"])
def test_the_next_resolution_asks_everything_again(zone):
    asked_before = None
    for _ in range(2):
        machine = started("turn:h")
        questions = []
        while machine.state is ResolutionState.ASKING:
            for query, question in asked(machine).items():
                questions.append(question)
                machine.handle_resolved(query, zone.get(question, ResolveError.NOT_FOUND), now=0.0)
        assert len(questions) == 5
        assert asked_before in (None, questions)
        asked_before = questions
        assert not machine._answers
        assert not machine._asked
        with pytest.raises(LocalProtocolError, match="make another one"):
            machine.start(now=1.0)


@pytest.mark.parametrize(
    ("uri", "zone", "options", "reason"),
    [
        (
            "stun:h",
            {("h", A): ResolveError.FAILURE},
            {},
            "no server found (SRV _stun._udp.h: no such name or record; AAAA h: no such name or record; "
            "A h: the name server failed or refused)",
        ),
        ("stun:h:1", {("h", A): (SIX,)}, {}, "no server found (AAAA h: no such name or record; A h: nothing usable)"),
        ("stun:192.0.2.1", {}, {"families": (6,)}, "192.0.2.1 is no IPv6 address of a server"),
        ("stun:[::]", {}, {}, ":: is no IPv6 or IPv4 address of a server"),
    ],
)
def test_a_failure_says_what_was_asked_and_what_came_of_it(uri, zone, options, reason):
    assert outcome(uri, zone, **options) == ResolutionFailed(reason)


def test_a_failure_of_many_questions_names_the_first_ones():
    zone = {("_stun._udp.h", SRV): tuple(SrvRecord(number, 0, 1, f"n{number}") for number in range(10))}
    event = outcome("stun:h", zone)
    assert event.reason.startswith("no server found (SRV _stun._udp.h: nothing usable; AAAA n0: ")
    assert event.reason.endswith("; 15 more)")


def test_silence_about_one_family_costs_a_second():
    machine = started("stun:h:3478")
    questions = by_kind(asked(machine))
    machine.handle_resolved(questions[A], (FOUR,), now=0.25)
    assert machine.deadline() == 1.25
    assert until_done(machine) == [(1.25, udp(SERVER))]


def test_the_second_is_counted_from_the_first_server_found():
    zone = (SrvRecord(0, 0, 3478, "a"), SrvRecord(1, 0, 3478, "b"))
    machine = started("stun:h")
    machine.handle_resolved(by_kind(asked(machine))[SRV], zone, now=0.0)
    queries = list(asked(machine))
    machine.handle_resolved(queries[1], (FOUR,), now=0.5)
    machine.handle_resolved(queries[3], (AddressRecord("192.0.2.2"),), now=1.0)
    assert until_done(machine) == [(1.5, udp(SERVER, Address("192.0.2.2", 3478)))]


def test_a_service_still_being_asked_for_is_waited_for():
    """What is found for UDP does not cut short TCP, whose service is a question that may lead anywhere."""
    machine = started("stun:h", transports=(UDP, TCP))
    first, second = asked(machine)
    machine.handle_resolved(first, (SrvRecord(0, 0, 3478, "a"),), now=0.0)
    machine.handle_resolved(by_kind(asked(machine))[A], (FOUR,), now=0.5)
    assert machine.deadline() == 3.0
    machine.handle_resolved(second, (SrvRecord(0, 0, 99, "a"),), now=2.0)
    assert machine.deadline() == 3.0
    assert [when for when, _ in until_done(machine)] == [3.0]


def test_a_service_nobody_answers_for_gives_way_to_the_addresses():
    machine = started("stun:h")
    assert list(asked(machine).values()) == [("_stun._udp.h", SRV)]
    assert machine.deadline() == 3.0
    machine.handle_timer(now=3.0)
    questions = asked(machine)
    assert list(questions.values()) == [("h", AAAA), ("h", A)]
    machine.handle_resolved(by_kind(questions)[AAAA], ResolveError.NOT_FOUND, now=3.0)
    machine.handle_resolved(by_kind(questions)[A], (FOUR,), now=3.5)
    assert machine.take_outputs() == [udp(SERVER)]


def test_a_silent_name_server_ends_it_in_time():
    machine = started("turn:h")
    assert list(asked(machine).values()) == [("h", NAPTR)]
    history = until_done(machine)
    assert [when for when, _ in history] == [3.0] * 2 + [6.0] * 2 + [9.0]
    assert [type(output) for _, output in history] == [Resolve] * 4 + [ResolutionFailed]
    machine = started("turn:h", timeout=5.0, now=100.0)
    machine.take_outputs()
    when, event = until_done(machine)[-1]
    assert isinstance(event, ResolutionFailed)
    assert when <= 105.0
    assert "no name server answered" in event.reason


def test_time_that_is_up_takes_what_there_is():
    """A jump of the clock passes every deadline at once; the answers that did come count."""
    machine = started("stun:h:3478")
    machine.handle_resolved(by_kind(asked(machine))[AAAA], (SIX,), now=0.0)
    machine.handle_timer(now=1e6)
    assert machine.take_outputs() == [udp(SERVER6)]
    machine = started("stun:h", timeout=4.0)
    asked(machine)
    machine.handle_timer(now=1e6)
    (event,) = machine.take_outputs()
    assert isinstance(event, ResolutionFailed)


def test_late_foreign_and_repeated_answers_change_nothing():
    machine = started("stun:h:3478")
    questions = by_kind(asked(machine))
    machine.handle_resolved(QueryId(99), (FOUR,), now=0.0)
    machine.handle_resolved(questions[A], (FOUR,), now=0.0)
    machine.handle_resolved(questions[A], (AddressRecord("192.0.2.9"),), now=0.0)
    machine.handle_timer(now=0.5)
    assert machine.take_outputs() == []
    machine.handle_resolved(questions[AAAA], ResolveError.NOT_FOUND, now=0.5)
    assert machine.take_outputs() == [udp(SERVER)]
    machine.handle_resolved(questions[AAAA], (SIX,), now=0.5)
    machine.handle_timer(now=100.0)
    assert machine.take_outputs() == []


def test_cancelled_is_silent():
    machine = started("stun:h")
    (query,) = asked(machine)
    machine.cancel(now=0.1)
    machine.cancel(now=0.1)
    machine.handle_resolved(query, (SrvRecord(0, 0, 1, "a"),), now=0.2)
    assert machine.take_outputs() == []
    assert machine.deadline() == math.inf
    assert machine.state is ResolutionState.DONE


def test_cancelled_before_it_began_it_cannot_begin():
    machine = resolution("stun:h")
    machine.cancel(now=0.0)
    with pytest.raises(LocalProtocolError, match="once"):
        machine.start(now=0.0)
    assert machine.take_outputs() == []


def test_only_so_many_questions_are_open_at_once():
    machine = started("stun:h")
    (query,) = asked(machine)
    machine.handle_resolved(query, tuple(SrvRecord(number, 0, 1, f"n{number}") for number in range(10)), now=0.0)
    open_now = list(asked(machine).items())
    assert [name for _, (name, _) in open_now] == [f"n{number // 2}" for number in range(MAX_OUTSTANDING)]
    machine.handle_resolved(open_now[0][0], ResolveError.NOT_FOUND, now=0.0)
    assert list(asked(machine).values()) == [("n4", AAAA)]


def test_a_hostile_zone_gets_a_bounded_number_of_questions():
    """Each name points to as many others as a record set may have, and none has an address."""
    machine = started("turn:h")
    count = peak = 0
    while machine.state is ResolutionState.ASKING:
        questions = asked(machine)
        count += len(questions)
        peak = max(peak, len(machine._asked))
        for query, (name, kind) in questions.items():
            more = [NaptrRecord(1, number, "", "RELAY:turn.udp:turn.tcp", "", f"{number}.{name}") for number in range(1000)]
            machine.handle_resolved(query, tuple(more) if kind is NAPTR else ResolveError.NOT_FOUND, now=0.0)
            if machine.state is ResolutionState.DONE:
                break
    (event,) = machine.take_outputs()
    assert isinstance(event, ResolutionFailed)
    assert count == MAX_QUESTIONS
    assert peak == MAX_OUTSTANDING


def test_ids_come_from_the_tree():
    ids = Ids()
    ids.socket()
    machine = started("stun:h:1", ids=ids)
    assert list(asked(machine)) == [2, 3]
    assert ids.query() == 4


@pytest.mark.parametrize(
    ("uri", "options", "complaint"),
    [
        ("stun:h", {"families": ()}, "families"),
        ("stun:h", {"families": (6, 6)}, "families"),
        ("stun:h", {"families": (5,)}, "families"),
        ("turn:h", {"service": "stun-behavior"}, "service of a TURN server"),
        ("stun:h", {"timeout": 0.0}, "no time"),
        ("stun:h", {"timeout": math.nan}, "no time"),
        ("stuns:h", {"verify_name": "not a name"}, "verify_name"),
        ("stuns:h", {"verify_name": "192.0.2.1"}, "verify_name"),
    ],
)
def test_what_makes_no_sense_is_refused(uri, options, complaint):
    with pytest.raises(LocalProtocolError, match=complaint):
        resolution(uri, **options)


def test_every_state_has_a_way_to_the_end():
    assert {state for state, event in RESOLUTION_TRANSITIONS if event.name == "END"} == set(ResolutionState)
    assert {new for (_, event), new in RESOLUTION_TRANSITIONS.items() if event.name == "END"} == {ResolutionState.DONE}


def test_in_the_simulation_the_zone_answers():
    network = Network(seed=1)
    host = network.host("client", "192.0.2.9")
    network.resolve("_stun._udp.example.org", [SrvRecord(0, 0, 99, "a.example.org.")])
    network.resolve("a.example.org", [FOUR, SIX])
    machine = resolution("stun:Example.org", timeout=MIN_TIMEOUT)
    node = host.run(machine)
    node.call(machine.start)
    network.run()
    assert node.events == [(0.0, udp(Address("2001:db8::1", 99), Address("192.0.2.1", 99)))]


@pytest.mark.parametrize("uri", ["turn:example.org", "stuns:example.org", "stun:example.org:99"])
def test_it_keeps_the_contract(uri):
    check_machine(
        lambda entropy: resolution(uri, entropy=entropy, verify_name="a"),
        setup=lambda machine, now: machine.start(now=now),
        commands={"start": [()], "cancel": [()]},
        bound=2000,
    )
