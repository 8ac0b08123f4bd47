"""What the system lets this process have."""

from __future__ import annotations

import resource


def descriptor_limit() -> int:
    """How many files and sockets a process may have open, once it has raised its limit as far as it may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return hard if hard != resource.RLIM_INFINITY else 2**31


def raise_descriptor_limit() -> None:
    """Have as many as the system permits: each relayed address is a socket, and systems begin at 1024 for select's sake."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):
        pass  # without it fewer are served, and clients are told 508
