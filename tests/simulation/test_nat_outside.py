"""The outer addresses of a NAT: what cannot be is refused, with the NAT's name."""

import pytest

from sansice.simulation import Forward, NatKind, Network, PortAssignment
from simulation._wires import INNER, OUTER

SECOND = "203.0.113.2"


@pytest.mark.parametrize(
    ("addresses", "options", "reason"),
    [
        ((), {}, "home has an empty pool: a NAT needs at least one outer address"),
        ((OUTER, SECOND), {}, f"home: one outer address a family, not both {OUTER} and {SECOND}, unless pooling says"),
        ((OUTER, OUTER), {"pooling": "paired"}, f"home has the outer address {OUTER} twice"),
        (
            (OUTER, SECOND),
            {"kind": NatKind(ports=PortAssignment.OVERLOADING, pooling="paired")},
            f"home: ports can be overloaded at one outer address, not at {OUTER}, {SECOND}",
        ),
        (("router",), {}, "router"),
        (
            (OUTER,),
            {"forwards": [Forward((SECOND, 1), (INNER.host, 1))]},
            f"home cannot forward from {SECOND}: its outer addresses are {OUTER}",
        ),
        (
            (OUTER,),
            {"forwards": [Forward((OUTER, 1), (INNER.host, 1)), Forward((OUTER, 1), (INNER.host, 2), protocols=["udp"])]},
            f"home forwards udp from {OUTER}:1 twice",
        ),
        (
            (OUTER,),
            {"forwards": [Forward((OUTER, 1), (INNER.host, 1)), Forward((OUTER, 2), (INNER.host, 1), protocols=["tcp"])]},
            f"home forwards tcp to {INNER} twice".replace("5000", "1"),
        ),
    ],
)
def test_what_cannot_be_outside_is_refused(addresses, options, reason):
    with pytest.raises(ValueError, match=reason):
        Network().nat(*addresses, name="home", **options)


def test_an_address_that_is_taken_is_refused_with_who_has_it():
    net = Network()
    net.nat(OUTER, name="first")
    with pytest.raises(ValueError, match=rf"{OUTER} is taken at Internet by first"):
        net.nat(OUTER, name="second")


def test_one_address_of_each_family_needs_no_pooling():
    nat = Network().nat(OUTER, "2001:db8::1")
    assert nat.mappings == ()
