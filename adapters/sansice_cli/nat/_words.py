"""Findings in words, and the drawing of them. Plain ASCII: it must look right in a log as well."""

from __future__ import annotations

from collections.abc import Iterator

from sansice import Event
from sansice.stun import (
    AlgDetected,
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

_MAPPINGS = {
    MappingBehavior.NONE: "the address is not translated",
    MappingBehavior.ENDPOINT_INDEPENDENT: "the same outer address and port towards everybody",
    MappingBehavior.ADDRESS_DEPENDENT: "another outer port for each address that is sent to",
    MappingBehavior.ADDRESS_AND_PORT_DEPENDENT: "another outer port for each address and port that is sent to",
}
_FILTERINGS = {
    FilteringBehavior.ENDPOINT_INDEPENDENT: "anybody's packets come in",
    FilteringBehavior.ADDRESS_DEPENDENT: "packets come in from addresses that were sent to",
    FilteringBehavior.ADDRESS_AND_PORT_DEPENDENT: "packets come in from addresses and ports that were sent to",
}
_YES_NO = {True: "yes", False: "no", None: "unknown"}


def finding(event: Event) -> tuple[str, str] | None:
    """What was found out, and the words for it; ``None`` for an event that tells no finding."""
    match event:
        case MappingDiscovered(mapping=mapping):
            return "mapping", _mapping(mapping)
        case FilteringDiscovered(filtering=filtering):
            return "filtering", _filtering(filtering)
        case HairpinningDiscovered(hairpinning=hairpinning):
            return "hairpinning", _hairpinning(hairpinning)
        case FragmentsDiscovered(fragments=fragments):
            return "fragments", _fragments(fragments)
        case LifetimeNarrowed(alive_s, expired_s):
            return "lifetime", f"so far: {_lifetime(alive_s, expired_s)}"
        case LifetimeDiscovered(alive_s, expired_s):
            return "lifetime", _lifetime(alive_s, expired_s)
        case AlgDetected(mapped_address, xor_mapped_address):
            return "rewriting", f"{xor_mapped_address} was turned into {mapped_address} inside a packet (an ALG)"
        case TestUnavailable(test, reason):
            return test.value, f"not tested: {reason}"
    return None


def summary(behavior: NatBehavior) -> Iterator[str]:
    """The drawing, a line for each finding, and the verdict."""
    yield from _drawing(behavior)
    yield ""
    rows = dict(_rows(behavior))
    width = max(map(len, rows), default=0)
    for name, words in rows.items():
        yield f"  {name:{width}}  {words}"
    if rows:
        yield ""
    yield behavior.verdict


def _rows(behavior: NatBehavior) -> Iterator[tuple[str, str]]:
    if behavior.mapping is not None:
        yield "mapping", _mapping(behavior.mapping)
    if behavior.filtering is not None:
        yield "filtering", _filtering(behavior.filtering)
    if behavior.hairpinning is not None:
        yield "hairpinning", _hairpinning(behavior.hairpinning)
    if behavior.fragments is not None:
        yield "fragments", _fragments(behavior.fragments)
    if behavior.lifetime_s is not None:
        yield "lifetime", _lifetime(behavior.lifetime_s, behavior.expired_s)
    if behavior.alg:
        yield "rewriting", "something changes addresses inside packets (an ALG)"
    for test, reason in behavior.unavailable:
        yield test.value, f"not tested: {reason}"


def _mapping(mapping: MappingBehavior) -> str:
    return f"{mapping.value}: {_MAPPINGS[mapping]}"


def _filtering(filtering: FilteringBehavior) -> str:
    return f"{filtering.value}: {_FILTERINGS[filtering]}"


def _hairpinning(hairpinning: bool) -> str:
    return f"two programs behind it {'reach' if hairpinning else 'do not reach'} each other by their outer addresses"


def _fragments(fragments: FragmentHandling) -> str:
    return f"get out: {_YES_NO[fragments.outgoing]}, get in: {_YES_NO[fragments.incoming]}"


def _lifetime(alive_s: float, expired_s: float | None) -> str:
    if expired_s is None:
        return f"a silent mapping lives for more than {alive_s:.0f} s"
    return f"a silent mapping lives for at least {alive_s:.0f} s, and less than {expired_s:.0f} s"


def _drawing(behavior: NatBehavior) -> list[str]:
    """Three boxes in a row, or two where no NAT is known of."""
    boxes = [["this machine", str(behavior.local or "?")]]
    if behavior.natted:
        boxes.append(["NAT", str(behavior.mapped)])
    boxes.append(["server", behavior.server])
    arrow = "--X " if behavior.blocked else "--> "
    drawn = [_box(lines) for lines in boxes]
    return [("     " if row != 2 else f" {arrow}").join(box[row] for box in drawn) for row in range(4)]


def _box(lines: list[str]) -> list[str]:
    width = max(map(len, lines))
    edge = f"+{'-' * (width + 2)}+"
    return [edge, *(f"| {line:{width}} |" for line in lines), edge]


TESTS = tuple(test.value for test in BehaviorTest)
