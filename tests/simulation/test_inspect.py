"""Looking into machines from outside: equal states look equal, and anything that changed shows."""

import hashlib
import types
from collections import Counter, deque
from dataclasses import dataclass

import attrs
import pytest

from sansice.machine import Address, Event, Machine, SendDatagram, SocketId
from sansice.simulation._contract._inspect import attributes, snapshot, weigh, why_not_an_output


class Slotted:
    __slots__ = ("__private", "never_set", "shown")

    def __init__(self, shown, private=0):
        self.shown = shown
        self.__private = private


class Child(Slotted):
    __slots__ = "own"

    def __init__(self, own):
        super().__init__([own])
        self.own = own


class Open(Slotted):
    """Slots above, a dict below."""

    def __init__(self, **fields):
        super().__init__(1)
        self.__dict__.update(fields)


STATES = [
    lambda n: n,
    lambda n: [n],
    lambda n: (n, "x"),
    lambda n: {"a": n},
    lambda n: {n: "a"},
    lambda n: {n, "a"},
    lambda n: bytearray([n]),
    lambda n: deque([n]),
    lambda n: Counter({"a": n}),
    lambda n: Slotted(n),
    lambda n: Slotted(0, private=n),
    lambda n: Child(n),
    lambda n: Open(field=n),
    lambda n: Open(inner=Open(deep=[{"x": n}])),
]


@pytest.mark.parametrize("make", STATES)
def test_equal_states_have_equal_snapshots_and_others_do_not(make):
    assert snapshot(make(1)) == snapshot(make(1))
    assert snapshot(make(1)) != snapshot(make(2))


def test_a_snapshot_is_not_touched_by_what_happens_later():
    state = Open(items=[1], buffer=bytearray(b"x"))
    before = snapshot(state)
    state.items.append(2)
    assert snapshot(state) != before
    state.items.pop()
    assert snapshot(state) == before
    state.buffer += b"y"
    assert snapshot(state) != before


def test_a_cycle_ends_and_sharing_is_part_of_the_state():
    ring = Open()
    ring.ring = ring
    assert snapshot(ring) == snapshot(ring)
    shared = [1]
    assert snapshot((shared, shared)) != snapshot(([1], [1]))


def test_code_counts_by_its_identity():
    state = Slotted(print)
    assert snapshot(state) == snapshot(Slotted(print))
    assert snapshot(state) != snapshot(Slotted(len))
    one, other = Open(), Open()
    one.method, other.method = [].append, one.__init__
    assert snapshot(one) != snapshot(other)
    assert snapshot(other) == snapshot(other)


def test_what_shows_no_attributes_counts_by_its_identity():
    one = hashlib.sha256()
    assert snapshot(one) == snapshot(one)
    assert snapshot(one) != snapshot(hashlib.sha256())


def test_attributes_are_found_in_slots_of_all_classes_and_in_the_dict():
    assert dict(attributes(Open(field=5))) == {"field": 5, "shown": 1, "_Slotted__private": 0}
    assert dict(attributes(Child(3))) == {"own": 3, "shown": [3], "_Slotted__private": 0}


def test_weight_grows_with_what_is_held():
    assert weigh(None) == 1
    assert weigh("four") == 5
    assert weigh([1, 2, 300]) == 4
    assert weigh({"ab": b"cd"}) == 1 + 3 + 3
    machine = Machine()
    empty = weigh(machine)
    machine._outputs.append(SendDatagram(SocketId(1), Address("192.0.2.1", 1), bytes(100)))
    assert weigh(machine) > empty + 100


def test_what_is_shared_weighs_once_and_code_is_not_looked_into():
    shared = "x" * 100
    assert weigh([shared, shared]) == 1 + 101
    assert weigh(Slotted(print)) == 3


class EventOf(Event):
    """An event of its own making, with whatever value."""

    __slots__ = ("value",)

    def __init__(self, value):
        self.value = value


@attrs.frozen
class Holds(Event):
    value: object


@attrs.define
class Loose:
    value: object = 0


@dataclass(frozen=True)
class FrozenDataclass:
    value: object


@dataclass
class LooseDataclass:
    value: object


class WithDict:
    pass


@pytest.mark.parametrize(
    "value",
    [
        None,
        7,
        "text",
        b"bytes",
        frozenset({1, "a"}),
        (1, (2, b"x")),
        Address("192.0.2.1", 1),
        FrozenDataclass((1,)),
        Holds(Holds(1)),
        Slotted(1),
        int,
    ],
)
def test_immutable_values_may_be_put_out(value):
    assert why_not_an_output(Holds(value)) == ""
    assert why_not_an_output(EventOf(value)) == ""


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ([1], "Holds.value is a list, which can be changed"),
        ({}, "Holds.value is a dict, which can be changed"),
        ({1}, "Holds.value is a set, which can be changed"),
        (types.MappingProxyType({}), "Holds.value is a mappingproxy, which can be changed"),
        (bytearray(), "Holds.value is a bytearray, not bytes"),
        (memoryview(b""), "Holds.value is a view into a buffer, not bytes"),
        (Loose(), "Holds.value is a Loose, an attrs class that is not frozen"),
        (LooseDataclass(1), "Holds.value is a LooseDataclass, which can be changed"),
        (WithDict(), "Holds.value is a WithDict, which can be changed"),
        (Holds((1, [2])), "Holds.value.value.1 is a list, which can be changed"),
        (Address([], 1), "Holds.value.host is a list, which can be changed"),
        (FrozenDataclass([]), "Holds.value.value is a list, which can be changed"),
    ],
)
def test_what_can_be_changed_is_named_by_its_path(value, reason):
    if isinstance(value, types.MappingProxyType) and value.__hash__ is not None:
        reason = ""  # hashable from Python 3.12 on, if what it shows is
    assert why_not_an_output(Holds(value)) == reason


def test_an_output_is_an_action_or_an_event():
    assert why_not_an_output("text") == "'text' is neither an Action nor an Event"
