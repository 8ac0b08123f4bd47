import json
from pathlib import Path

import pytest

_VECTORS = json.loads(Path(__file__).with_name("vectors.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def vectors():
    return _VECTORS
