"""The words for what NATs and firewalls do: those of RFC 4787, and the older ones of RFC 3489."""

from __future__ import annotations

import enum


class BehaviorTest(enum.Enum):
    """What can be tested, in the order in which it is."""

    FILTERING = "filtering"
    MAPPING = "mapping"
    HAIRPINNING = "hairpinning"
    FRAGMENTS = "fragments"
    LIFETIME = "lifetime"


class MappingBehavior(enum.Enum):
    """When two packets from one inner address and port leave from the same outer one (RFC 4787 4.1)."""

    NONE = "no-nat"
    ENDPOINT_INDEPENDENT = "endpoint-independent"
    ADDRESS_DEPENDENT = "address-dependent"
    ADDRESS_AND_PORT_DEPENDENT = "address-and-port-dependent"


class FilteringBehavior(enum.Enum):
    """Whose packets are let in (RFC 4787 5): anyone's, or those of addresses (and ports) that were sent to before."""

    ENDPOINT_INDEPENDENT = "endpoint-independent"
    ADDRESS_DEPENDENT = "address-dependent"
    ADDRESS_AND_PORT_DEPENDENT = "address-and-port-dependent"


class ClassicType(enum.Enum):
    """The kinds of RFC 3489 5 and 10.1: coarser than RFC 4787's, and still what many people call a NAT by."""

    BLOCKED = "UDP blocked"
    OPEN = "open Internet"
    FIREWALL = "symmetric UDP firewall"
    FULL_CONE = "full cone"
    RESTRICTED_CONE = "restricted cone"
    PORT_RESTRICTED_CONE = "port-restricted cone"
    SYMMETRIC = "symmetric"


class ServerKind(enum.Enum):
    """By whose rules the server was asked."""

    RFC5780 = "RFC 5780"
    RFC3489 = "RFC 3489"
