"""Datagrams in IP fragments at a NAT (RFC 4787 11)."""

import attrs
import pytest

from sansice.machine import Address
from sansice.simulation import NAT_PRESETS, Fate, Filtering, Hairpinning, NatKind
from sansice.simulation._nat import _fragments
from sansice.simulation._world._packets import Fragment
from simulation._wires import INNER, NEIGHBOUR, OUTER, SERVER, STRANGER, SYN, mapped, nat_wires, tcp, udp


def parts(source, destination, ident=7, count=3):
    """A datagram in fragments of eight bytes. Only the first has ports."""
    length = 8 * count
    first = udp(source, destination, b"")._replace(fragment=Fragment(ident, 0, True, length))
    bare = Address(source[0], 0), Address(destination[0], 0)
    rest = [udp(*bare, b"8 bytes."), *[udp(*bare, b"8 bytes.")] * (count - 2)]
    return [first] + [one._replace(fragment=Fragment(ident, 8 * n, n < count - 1, length)) for n, one in enumerate(rest, start=1)]


def sent(wires, fragments):
    """What comes out of fragments from inside, in their order."""
    for one in fragments:
        wires.inside[one.source.host].send(one)
    return wires.heard(fragments[0].destination.host)


def came(wires, fragments, inner=INNER):
    """What comes in of fragments from outside."""
    for one in fragments:
        wires.outside[one.source.host].send(one)
    return wires.heard(inner.host)


def wires_with(fragments="any-order", **options):
    return nat_wires(kind=NatKind(fragments=fragments, ports="preservation", **options))


OUT, LEFT = parts(INNER, SERVER), parts((OUTER, INNER.port), SERVER)
IN, CAME = parts(SERVER, (OUTER, INNER.port)), parts(SERVER, INNER)


@pytest.mark.parametrize("policy", ["any-order", "in-order"])
def test_fragments_in_order_go_through_both_ways(policy):
    wires = wires_with(policy)
    assert sent(wires, OUT) == LEFT
    assert came(wires, IN) == CAME
    assert wires.lost == {}


def test_fragments_before_the_first_wait_for_it():
    wires = wires_with()
    assert sent(wires, [OUT[2], OUT[1]]) == []
    assert sent(wires, [OUT[0]]) == [LEFT[0], LEFT[2], LEFT[1]]
    assert came(wires, [IN[1], IN[0], IN[2]]) == [CAME[0], CAME[1], CAME[2]]
    assert wires.lost == {}


def test_datagrams_of_two_protocols_may_have_one_number():
    wires = wires_with()
    sent(wires, OUT)
    assert came(wires, IN[:1]) == CAME[:1]
    other = tcp(SERVER, (OUTER, INNER.port), SYN)._replace(fragment=IN[0].fragment)
    assert came(wires, [other]) == []
    assert came(wires, IN[1:]) == CAME[1:]
    assert wires.lost == {Fate.NO_MAPPING: 1}


def test_a_nat_that_wants_order_drops_fragments_before_the_first():
    wires = wires_with("in-order")
    assert sent(wires, [OUT[1], OUT[0], OUT[2]]) == [LEFT[0], LEFT[2]]
    assert wires.lost == {Fate.FRAGMENT: 1}


def test_only_the_first_fragment_goes_through_a_nat_that_needs_ports():
    wires = wires_with("first-only")
    assert sent(wires, OUT) == LEFT[:1]
    assert came(wires, IN) == CAME[:1]
    assert came(wires, parts(STRANGER, (OUTER, INNER.port))) == []
    assert wires.lost == {Fate.FRAGMENT: 6, Fate.FILTERED: 1}


def test_no_fragment_goes_through_a_nat_that_drops_them():
    wires = wires_with("drop")
    assert sent(wires, OUT) == []
    assert wires.lost == {Fate.FRAGMENT: 3}


def test_nobody_is_told_of_fragments_that_are_dropped():
    wires = nat_wires(kind=attrs.evolve(NAT_PRESETS["linux-masquerade-open-input"], fragments="drop", refuses=True))
    assert came(wires, IN) == []
    assert wires.lost == {Fate.FRAGMENT: 3}
    assert wires.heard(SERVER.host) == []


def test_the_rest_of_a_datagram_shares_the_fate_of_its_first_fragment():
    wires = wires_with()
    mapped(wires, INNER, SERVER)
    assert came(wires, parts(STRANGER, (OUTER, INNER.port))) == []
    assert wires.lost == {Fate.FILTERED: 3}


def test_datagrams_are_told_apart_by_ident_and_addresses():
    wires = wires_with()
    first, second = parts(INNER, SERVER, 7), parts((INNER.host, 6000), SERVER, 8)
    assert sent(wires, [first[0], second[0], second[1], first[1]]) == [
        parts((OUTER, 5000), SERVER, 7)[0],
        parts((OUTER, 6000), SERVER, 8)[0],
        parts((OUTER, 6000), SERVER, 8)[1],
        parts((OUTER, 5000), SERVER, 7)[1],
    ]


def test_a_first_fragment_is_forgotten_in_time():
    wires = wires_with()
    sent(wires, OUT[:1])
    wires.wait(30.0)
    assert sent(wires, OUT[1:2]) == []
    assert sent(wires, OUT[:1]) == [LEFT[0], LEFT[1]]


def test_fragments_that_waited_too_long_are_gone():
    wires = wires_with()
    sent(wires, OUT[1:])
    wires.wait(30.0)
    assert sent(wires, OUT[:1]) == LEFT[:1]


def test_what_is_known_and_what_is_kept_is_bounded(monkeypatch):
    monkeypatch.setattr(_fragments, "MAX_DATAGRAMS", 2)
    monkeypatch.setattr(_fragments, "MAX_KEPT", 1)
    wires = wires_with()
    assert (
        sent(wires, [*OUT[1:], *parts(INNER, SERVER, 8)[:1], *parts(INNER, SERVER, 9)[:1]])
        == parts(LEFT[0].source, SERVER, 8)[:1]
    )
    assert wires.lost == {Fate.FRAGMENT: 2}
    wires.wait(30.0)
    assert sent(wires, [*parts(INNER, SERVER, 10)[1:2]]) == []
    assert len(sent(wires, [*parts(INNER, SERVER, 10)[:1]])) == 2


@pytest.mark.parametrize("how", ["the first came", "time", "a reboot"])
def test_there_is_room_again_for_parts_that_wait(how, monkeypatch):
    monkeypatch.setattr(_fragments, "MAX_KEPT", 2)
    wires = wires_with()
    assert sent(wires, OUT[1:]) == []
    if how == "the first came":
        assert len(sent(wires, OUT[:1])) == 3
    elif how == "time":
        wires.wait(30.0)
    else:
        wires.box.reboot()
    later = parts(INNER, SERVER, 8)
    assert sent(wires, later[1:]) == []
    assert len(sent(wires, later[:1])) == 3
    assert wires.lost == {}


def test_a_reboot_forgets_fragments():
    wires = wires_with()
    sent(wires, OUT[1:])
    wires.box.reboot()
    assert sent(wires, OUT[:1]) == LEFT[:1]
    assert came(wires, IN[:1]) == CAME[:1]
    wires.box.reboot()
    assert came(wires, IN[1:]) == []


@pytest.mark.parametrize("hairpinning", [Hairpinning.EXTERNAL_SOURCE, Hairpinning.INTERNAL_SOURCE])
def test_fragments_are_turned_round(hairpinning):
    wires = wires_with(hairpinning=hairpinning, filtering=Filtering.ENDPOINT_INDEPENDENT)
    mapped(wires, INNER, SERVER)
    neighbour = Address(NEIGHBOUR.host, 6000)
    for one in (1, 0, 2):
        wires.inside[NEIGHBOUR.host].send(parts(neighbour, (OUTER, INNER.port))[one])
    source = neighbour if hairpinning is Hairpinning.INTERNAL_SOURCE else Address(OUTER, 6000)
    assert wires.heard(INNER.host) == parts(source, INNER)
