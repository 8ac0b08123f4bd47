"""Importing `sansice_trio` where what it stands on is missing."""

import subprocess
import sys

import pytest


def import_without(module):
    program = f"import sys; sys.modules[{module!r}] = None; import sansice_trio"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    return run.stderr.splitlines()[-1]


@pytest.mark.parametrize("module", ["trio", "ifaddr"])
def test_missing_extra_is_named_with_the_way_to_install_it(module):
    told = f"ModuleNotFoundError: sansice_trio needs {module}; install it with: pip install 'sansice[trio]'"
    assert import_without(module) == told


def test_missing_module_of_our_own_is_no_missing_extra():
    assert "pip" not in import_without("sansice.driver")
