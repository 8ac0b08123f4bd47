"""Loss in bursts, as radio links have it: the model of Gilbert and Elliott."""

from __future__ import annotations

import attrs


def check_probability(instance: object, attribute: attrs.Attribute[float], value: float) -> None:
    """Refuse what is no probability (an `attrs` validator)."""
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{attribute.name} must be a probability from 0 to 1, not {value!r}")


def _way_out(instance: object, attribute: attrs.Attribute[float], value: float) -> None:
    check_probability(instance, attribute, value)
    if value == 0.0:
        raise ValueError("leave must be more than 0: a burst that never ends is a loss of 1")


@attrs.frozen(kw_only=True)
class Bursts:
    """When a link is in a bad state, and how bad that is (Gilbert 1960, Elliott 1963). Each packet may change the state.

    In the good state packets are lost with the link's own ``loss``. `of` starts from what is measured instead.

    Attributes:
        enter: probability that a packet finds a good link turned bad.
        leave: probability that a packet finds a bad link turned good, so ``1 / leave`` packets is a burst's mean length.
        loss: probability that a packet is lost in the bad state.

    Raises:
        ValueError: a probability outside 0..1, or ``leave`` of 0.
    """

    enter: float = attrs.field(validator=check_probability)
    leave: float = attrs.field(validator=_way_out)
    loss: float = attrs.field(default=1.0, validator=check_probability)

    @classmethod
    def of(cls, *, loss: float, length: float) -> Bursts:
        """Bursts in which every packet is lost, by the share lost in the long run and their mean length.

        Args:
            loss: share of all packets, from 0 up to ``length / (length + 1)``.
            length: packets, 1 or more.

        Raises:
            ValueError: no such bursts exist.
        """
        if not length >= 1.0:
            raise ValueError(f"length must be 1 packet or more, not {length!r}")
        if not 0.0 <= loss * (length + 1) <= length:
            raise ValueError(f"loss must be from 0 to {length / (length + 1):.3f} with bursts of {length!r}, not {loss!r}")
        return cls(enter=loss / (length * (1.0 - loss)), leave=1.0 / length)
