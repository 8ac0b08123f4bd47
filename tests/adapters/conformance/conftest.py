"""Every test of this folder that asks for `rt` runs once on each runtime."""

import pytest

from adapters.conformance._runtimes import RUNTIMES


@pytest.fixture(params=RUNTIMES, ids=lambda runtime: runtime.name)
def rt(request):
    return request.param
