"""The laboratory against the kernel: the same scenes in virtual time and in network namespaces, case by case.

Agents, and the machines that look at ports, are the same in both. What is compared is what they saw: who connects, over which
pair, which outer ports, and after which silence nobody comes through any more.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

from interop._kernel_scene import KernelScene
from interop._netns import Namespaces, required_namespaces
from interop._truth_machines import Asker, LateEcho, Question, Told
from sansice import Address
from sansice.simulation import NAT_PRESETS, AgentSpec, FirewallSpec, HostSpec, Link, NatSpec, Scene, StunServerSpec, simulate

PROGRAM = str(Path(__file__).with_name("_truth_program.py"))
STUN = "192.0.2.9"
# Where a router is open to the outside it matters who sends first: `b`, which begins later, and knows of `a` by then.
NEAR, LATER = Link(latency=0.0005), 1.0
SEEDS = range(10)  # what may differ from run to run in the laboratory may differ in the kernel
SECONDS = 90  # an agent that fails takes 40 s; whatever takes longer hangs


def behind(*presets: str) -> tuple[str, ...]:
    """The NATs on the way out, the innermost first."""
    return presets


def scene(name: str, a: Sequence[str], b: Sequence[str]) -> Scene:
    """Two agents, each behind so many NATs, who ask one STUN server."""
    sides = [side("a", 1, a), side("b", 2, b)]
    return Scene(
        name=name,
        internet=NEAR,
        nats=tuple(nat for nats, _ in sides for nat in nats),
        hosts=tuple(host for _, host in sides),
        servers=(StunServerSpec("stun", STUN),),
        agents=(
            AgentSpec("a", controlling=True, ice_servers=f"stun:{STUN}"),
            AgentSpec("b", ice_servers=f"stun:{STUN}", start=LATER),
        ),
    )


def side(name: str, number: int, presets: Sequence[str]) -> tuple[list[NatSpec], HostSpec]:
    nats, place, outside = [], "internet", f"203.0.113.{number}"
    for depth, preset in reversed(list(enumerate(presets))):
        nats.append(NatSpec(f"nat {name}{depth}", outside, preset, behind=place))
        place, outside = f"nat {name}{depth}", f"10.{number}.{depth}.2"
    return nats, HostSpec(name, outside, behind=place)


def neighbours() -> Scene:
    """Two hosts of one network: they need their NAT for nothing."""
    return Scene(
        name="neighbours",
        nats=(NatSpec("home", "203.0.113.1", "linux-masquerade"),),
        hosts=(HostSpec("a", "192.168.7.2", behind="home"), HostSpec("b", "192.168.7.3", behind="home")),
        servers=(StunServerSpec("stun", STUN),),
        agents=(AgentSpec("a", controlling=True, ice_servers=f"stun:{STUN}"), AgentSpec("b", ice_servers=f"stun:{STUN}")),
    )


def firewalls(name: str, preset: str, a: str, b: str) -> Scene:
    """A firewall before each of two hosts with public addresses."""
    return Scene(
        name=name,
        firewalls=(FirewallSpec("wall a", preset), FirewallSpec("wall b", preset)),
        hosts=(HostSpec("a", a, behind="wall a"), HostSpec("b", b, behind="wall b")),
        agents=(AgentSpec("a", controlling=True), AgentSpec("b")),
    )


LINUX, OPEN_INPUT, RANDOM = "linux-masquerade", "linux-masquerade-open-input", "linux-masquerade-random"
CASES = {
    one.name: one
    for one in (
        scene("open-open", behind(), behind()),
        scene("masquerade-open", behind(LINUX), behind()),
        scene("masquerade-masquerade", behind(LINUX), behind(LINUX)),
        scene("open-input-open-input", behind(OPEN_INPUT), behind(OPEN_INPUT)),
        scene("masquerade-open-input", behind(LINUX), behind(OPEN_INPUT)),
        scene("open-input-masquerade", behind(OPEN_INPUT), behind(LINUX)),
        scene("random-open", behind(RANDOM), behind()),
        scene("random-masquerade", behind(RANDOM), behind(LINUX)),
        scene("random-random", behind(RANDOM), behind(RANDOM)),
        scene("random-cone", behind(RANDOM), behind("full-cone")),
        scene("cone-cone", behind("full-cone"), behind("full-cone")),
        scene("nested-masquerade", behind(LINUX, LINUX), behind(LINUX)),
        scene("nested-nested", behind(LINUX, LINUX), behind(LINUX, LINUX)),
        scene("nested-random", behind(LINUX, RANDOM), behind("full-cone")),
        neighbours(),
        firewalls("stateful-firewalls", "stateful", "198.51.100.1", "198.51.100.2"),
        firewalls("stateful-firewalls-ipv6", "stateful", "2001:db8:1::2", "2001:db8:2::2"),
        firewalls("udp-blocked", "udp-blocked", "198.51.100.1", "198.51.100.2"),
    )
}


@attrs.frozen
class Outcome:
    """How a scene ended: whether both ends connected, and over which pair, seen from ``a``."""

    connected: bool
    pair: str | None = None


@pytest.mark.long
def test_agents_end_in_the_kernel_as_in_the_laboratory():
    ended = dict(in_the_kernel(CASES))
    predicted = {name: {predict(one, seed) for seed in SEEDS} for name, one in CASES.items()}
    assert {name: predicted[name] for name in CASES if ended[name] not in predicted[name]} == {}, ended
    assert {name: {outcome.connected for outcome in predicted[name]} for name in CASES} == {
        name: {ended[name].connected} for name in CASES
    }


def predict(one: Scene, seed: int) -> Outcome:
    run = simulate(one, seed=seed)
    return Outcome(run.connected, run.pair_types[0] if run.connected else None)


def in_the_kernel(cases: Mapping[str, Scene]) -> Iterator[tuple[str, Outcome]]:
    """All of them at the same time, each in namespaces of its own."""
    with required_namespaces() as spaces:
        built = {name: KernelScene(spaces, one, f"{number}") for number, (name, one) in enumerate(cases.items())}
        servers = [start(spaces, kernel, "stun", "stun", STUN) for name, kernel in built.items() if cases[name].servers]
        for server in servers:
            assert read(server) == "ready"
        couples = {name: [start_agent(spaces, kernel, cases[name], end) for end in "ab"] for name, kernel in built.items()}
        descriptions = {name: [read(agent) for agent in couple] for name, couple in couples.items()}
        for end in (1, 0):
            for name, couple in couples.items():
                tell(couple[end], descriptions[name][1 - end])
            for couple in couples.values():
                assert read(couple[end]) == "checking"
        for name, couple in couples.items():
            yield name, outcome(*(json.loads(read(agent)) for agent in couple))


def tell(process: subprocess.Popen[str], line: str) -> None:
    process.stdin.write(line + "\n")
    process.stdin.flush()


def outcome(a: dict[str, Any], b: dict[str, Any]) -> Outcome:
    assert a["connected"] is b["connected"]
    return Outcome(a["connected"], a.get("pair"))


def start_agent(spaces: Namespaces, kernel: KernelScene, one: Scene, end: str) -> subprocess.Popen[str]:
    spec = next(spec for spec in one.agents if spec.name == end)
    return start(spaces, kernel, end, "agent", "controlling" if spec.controlling else "controlled", *spec.ice_servers)


# What NATs do to ports, and for how long

CLASH = Scene(
    name="clash",
    nats=(NatSpec("home", "203.0.113.1", LINUX),),
    hosts=(
        HostSpec("first", "192.168.7.2", behind="home"),
        HostSpec("second", "192.168.7.3", behind="home"),
        HostSpec("one", "192.0.2.1"),
        HostSpec("two", "192.0.2.2"),
    ),
)
ONE, TWO = Address("192.0.2.1", 7), Address("192.0.2.2", 7)


@pytest.mark.parametrize("preset", [LINUX, RANDOM])
def test_ports_seen_outside_are_kept_or_changed_as_in_the_laboratory(preset):
    clash = attrs.evolve(CLASH, nats=(NatSpec("home", "203.0.113.1", preset),))
    questions = {"first": [Question(ONE, 5000), Question(TWO, 5000)], "second": [Question(ONE, 5000), Question(TWO, 5000)]}
    kernel, laboratory = ask_in_the_kernel(clash, questions), ask_in_the_laboratory(clash, questions)
    assert shape(kernel) == shape(laboratory)


def shape(seen: Mapping[str, Sequence[str | None]]) -> dict[str, Any]:
    """What does not depend on luck: whether the first port is kept, and which of the ports seen are the same."""
    ports = {name: [Address.parse(text).port for text in texts if text] for name, texts in seen.items()}
    return {
        "answers": {name: len(found) for name, found in ports.items()},
        "kept": ports["first"][0] == 5000,
        "one port for both servers": {name: len(set(found)) == 1 for name, found in ports.items()},
        "hosts share a port": bool(set(ports["first"]) & set(ports["second"])),
    }


@pytest.mark.long
def test_mappings_die_in_the_kernel_after_the_silence_that_ends_them_in_the_laboratory():
    # A quarter away from the limit on each side: a busy machine may be late.
    unreplied = 8
    kind = attrs.evolve(NAT_PRESETS[LINUX], unreplied=float(unreplied), lifetime=float(2 * unreplied))
    home = attrs.evolve(CLASH, nats=(NatSpec("home", "203.0.113.1", kind=kind),))
    timeouts = {"udp_timeout": unreplied, "udp_timeout_stream": 2 * unreplied}
    questions = {"first": [Question(ONE, 0, silence) for silence in (0.0, 2.0, 4.0, 12.0, 14.0)]}
    kernel = ask_in_the_kernel(attrs.evolve(home, nats=CLASH.nats), questions, timeouts)
    laboratory = ask_in_the_laboratory(home, questions)
    assert [answer is None for answer in kernel["first"]] == [False, False, False, True, True]
    assert [answer is None for answer in laboratory["first"]] == [False, False, False, True, True]


def ask_in_the_kernel(
    one: Scene, questions: Mapping[str, Sequence[Question]], timeouts: Mapping[str, int] | None = None
) -> dict[str, list[str | None]]:
    with required_namespaces() as spaces:
        kernel = KernelScene(spaces, one, "", timeouts)
        for name, address in (("one", ONE), ("two", TWO)):
            assert read(start(spaces, kernel, name, "echo", str(address))) == "ready"
        seen = {}
        for name, asked in questions.items():
            texts = json.dumps([[str(question.server), question.port, question.silence] for question in asked])
            seen[name] = json.loads(read(start(spaces, kernel, name, "ask", host_of(one, name), texts)))
        return seen


def ask_in_the_laboratory(one: Scene, questions: Mapping[str, Sequence[Question]]) -> dict[str, Sequence[str | None]]:
    world = one.build(seed=1)
    hosts = world.hosts
    for name, address in (("one", ONE), ("two", TWO)):
        hosts[name].run(LateEcho([address]))
    seen = {}
    for name, asked in questions.items():
        node = hosts[name].run(Asker(host_of(one, name), asked))
        assert world.network.run(when=lambda node=node: bool(node.events), until=world.network.now + 60.0)
        [(_, told)] = node.events
        assert isinstance(told, Told)
        seen[name] = told.seen
    return seen


def host_of(one: Scene, name: str) -> str:
    return next(host.addresses[0] for host in one.hosts if host.name == name)


def start(spaces: Namespaces, kernel: KernelScene, place: str, *command: str) -> subprocess.Popen[str]:
    return spaces.start(kernel.name_of(place), [sys.executable, PROGRAM, *command])


def read(process: subprocess.Popen[str]) -> str:
    line = process.stdout.readline()
    if not line:
        pytest.fail(f"{process.args} ended: {process.communicate(timeout=SECONDS)[1]}")
    return line.rstrip("\n")
