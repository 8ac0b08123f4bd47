import pytest

from sansice import Address
from sansice.stun import (
    AlgDetected,
    BehaviorProgressed,
    BehaviorTest,
    FilteringBehavior,
    FilteringDiscovered,
    FragmentHandling,
    FragmentsDiscovered,
    HairpinningDiscovered,
    LifetimeDiscovered,
    LifetimeNarrowed,
    MappingBehavior,
    MappingDiscovered,
    NatBehavior,
    TestUnavailable,
)
from sansice_cli.nat._words import finding, summary

INNER, OUTER = Address("10.0.0.5", 50000), Address("203.0.113.7", 40000)


@pytest.mark.parametrize(
    ("event", "found"),
    [
        (
            MappingDiscovered(MappingBehavior.ENDPOINT_INDEPENDENT, INNER, OUTER),
            ("mapping", "endpoint-independent: the same outer address and port towards everybody"),
        ),
        (
            FilteringDiscovered(FilteringBehavior.ADDRESS_DEPENDENT),
            ("filtering", "address-dependent: packets come in from addresses that were sent to"),
        ),
        (HairpinningDiscovered(True), ("hairpinning", "two programs behind it reach each other by their outer addresses")),
        (
            HairpinningDiscovered(False),
            ("hairpinning", "two programs behind it do not reach each other by their outer addresses"),
        ),
        (FragmentsDiscovered(FragmentHandling(True, None)), ("fragments", "get out: yes, get in: unknown")),
        (LifetimeNarrowed(30, None), ("lifetime", "so far: a silent mapping lives for more than 30 s")),
        (LifetimeDiscovered(30, 35), ("lifetime", "a silent mapping lives for at least 30 s, and less than 35 s")),
        (AlgDetected(INNER, OUTER), ("rewriting", f"{OUTER} was turned into {INNER} inside a packet (an ALG)")),
        (TestUnavailable(BehaviorTest.FRAGMENTS, "no"), ("fragments", "not tested: no")),
        (BehaviorProgressed(BehaviorTest.MAPPING, 0, 4), None),
    ],
)
def test_findings_are_put_into_words(event, found):
    assert finding(event) == found


def test_every_behaviour_has_its_words():
    for mapping in MappingBehavior:
        assert finding(MappingDiscovered(mapping, INNER, OUTER))[1].startswith(f"{mapping.value}: ")
    for filtering in FilteringBehavior:
        assert finding(FilteringDiscovered(filtering))[1].startswith(f"{filtering.value}: ")


def test_nat_is_drawn_between_machine_and_server_with_what_is_mapped_to_what():
    behavior = NatBehavior(
        "stun:example.org",
        local=INNER,
        mapped=OUTER,
        mapping=MappingBehavior.ENDPOINT_INDEPENDENT,
        filtering=FilteringBehavior.ADDRESS_AND_PORT_DEPENDENT,
        hairpinning=False,
        fragments=FragmentHandling(True, True),
        lifetime_s=120.0,
        expired_s=125.0,
        alg=True,
        unavailable=((BehaviorTest.FRAGMENTS, "the server does not echo PADDING"),),
    )
    assert [*summary(behavior)] == [
        "+----------------+     +-------------------+     +------------------+",
        "| this machine   |     | NAT               |     | server           |",
        "| 10.0.0.5:50000 | --> | 203.0.113.7:40000 | --> | stun:example.org |",
        "+----------------+     +-------------------+     +------------------+",
        "",
        "  mapping      endpoint-independent: the same outer address and port towards everybody",
        "  filtering    address-and-port-dependent: packets come in from addresses and ports that were sent to",
        "  hairpinning  two programs behind it do not reach each other by their outer addresses",
        "  fragments    not tested: the server does not echo PADDING",
        "  lifetime     a silent mapping lives for at least 120 s, and less than 125 s",
        "  rewriting    something changes addresses inside packets (an ALG)",
        "",
        behavior.verdict,
    ]


def test_silence_is_drawn_as_a_way_that_ends():
    behavior = NatBehavior("stun:example.org")
    assert [*summary(behavior)] == [
        "+--------------+     +------------------+",
        "| this machine |     | server           |",
        "| ?            | --X | stun:example.org |",
        "+--------------+     +------------------+",
        "",
        behavior.verdict,
    ]
