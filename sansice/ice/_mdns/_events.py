"""What came of looking for a name."""

from __future__ import annotations

import attrs

from sansice._enums import IdentityEnum
from sansice.machine import Event, QueryId


class NameFailure(IdentityEnum):
    """Why a name leads to no address."""

    UNFIT = "no name of the form that conceals an address"
    TIMEOUT = "nobody on the link has this name"
    SEVERAL = "it has more than one address"
    UNUSABLE = "its address is none that a peer can have"
    LIMIT = "too many names are looked for"
    CLOSED = "closed meanwhile"


@attrs.frozen
class NameResolved(Event):
    """A name's address is known.

    Attributes:
        query: as `MdnsAgent.resolve` returned it.
        name: in lower case.
        host: a canonical literal; of a link-local IPv6 address with the zone of the link on which it was told.
    """

    query: QueryId
    name: str
    host: str


@attrs.frozen
class NameFailed(Event):
    """A name is of no use: the candidate that has it is to be ignored (draft-ietf-mmusic-mdns-ice-candidates 3.2.1)."""

    query: QueryId
    name: str
    reason: NameFailure
