"""What the rules themselves lose in a storm: computed from the loss of the link, without an agent."""

from __future__ import annotations

import random
from collections.abc import Sequence

import attrs

from sansice.ice import IceConfig
from sansice.simulation import Link

LIVES = 40_000  # drawn: a probability of one half is known to a quarter of a percent
LEAST, MOST = 0.8, 1.2  # RFC 7675 5.1: times the interval


@attrs.frozen
class Life:
    """How long consent lasted, from the first answer to a check for it after both ends had selected.

    Attributes:
        seconds: until it ended, or was watched no more.
        expired: whether it ended because no answer came.
    """

    seconds: float
    expired: bool


def answered(link: Link) -> float:
    """How likely a request that is sent once is answered, over a link that each packet crosses once.

    A request that arrives twice is answered twice.
    """
    one, two = 1.0 - link.loss, 1.0 - link.loss**2
    return one * ((1.0 - link.duplication) * one + link.duplication * two)


def unanswered(link: Link, config: IceConfig, seconds: float) -> float:
    """How likely a request has no answer after so long, however often it was sent until then (RFC 8489 6.2.1)."""
    slowest = 2 * (link.latency + link.jitter + (link.hold if link.reordering else 0.0))
    sent, transmissions = 0.0, 0
    while sent + slowest <= seconds and transmissions < config.schedule.rc:
        sent += config.schedule.rto * 2**transmissions
        transmissions += 1
    return (1.0 - answered(link)) ** transmissions


def outlives(link: Link, config: IceConfig, seconds: float, *, seed: int = 0) -> float:
    """How likely consent lasts so long (RFC 7675 5.1): a check each 4 to 6 s, and never 30 s without an answer."""
    source = random.Random(seed)
    return sum(_lifetime(link, config, seconds, source) >= seconds for _ in range(LIVES)) / LIVES


def _lifetime(link: Link, config: IceConfig, seconds: float, source: random.Random) -> float:
    likely = answered(link)
    asked = -_round_trip(link, source)  # the check whose answer begins the life
    ends = config.consent_timeout
    while asked < min(ends, seconds):
        asked += config.consent_interval * source.uniform(LEAST, MOST)
        comes = asked + _round_trip(link, source)
        if asked < ends and source.random() < likely and comes < ends:
            ends = comes + config.consent_timeout
    return ends


def _round_trip(link: Link, source: random.Random) -> float:
    return sum(link.latency + link.jitter * source.random() + link.hold * (source.random() < link.reordering) for _ in range(2))


def outlived(lives: Sequence[Life], seconds: float) -> float:
    """The share of lives that last so long, where some were not watched to their end (Kaplan and Meier)."""
    share, left = 1.0, len(lives)
    for life in sorted(lives, key=lambda life: (life.seconds, not life.expired)):
        if life.seconds >= seconds:
            break
        if life.expired:
            share *= 1.0 - 1.0 / left
        left -= 1
    return share
