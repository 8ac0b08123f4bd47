"""What the tests of real sockets share."""

import pytest

from sockets._bare import Bare


@pytest.fixture
def make_bare():
    """Makes runtimes, and closes their sockets at the end."""
    made = []

    def make(**options):
        made.append(Bare(**options))
        return made[-1]

    yield make
    for runtime in made:
        runtime.sockets.close_all()


@pytest.fixture
def bare(make_bare):
    return make_bare()
