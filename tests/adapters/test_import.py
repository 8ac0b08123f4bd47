"""Importing an adapter where what it stands on is missing."""

import subprocess
import sys

import pytest


def import_without(package, module):
    program = f"import sys; sys.modules[{module!r}] = None; import {package}"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    return run.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("extra", "module"), [("trio", "trio"), ("trio", "ifaddr"), ("asyncio", "ifaddr"), ("blocking", "ifaddr")]
)
def test_missing_extra_is_named_with_the_way_to_install_it(extra, module):
    told = f"ModuleNotFoundError: sansice_{extra} needs {module}; install it with: pip install 'sansice[{extra}]'"
    assert import_without(f"sansice_{extra}", module) == told


@pytest.mark.parametrize("extra", ["trio", "asyncio", "blocking"])
def test_missing_module_of_our_own_is_no_missing_extra(extra):
    assert "pip" not in import_without(f"sansice_{extra}", "sansice.driver")


@pytest.mark.parametrize("extra", ["asyncio", "blocking"])
def test_other_runtimes_are_not_loaded(extra):
    program = f"import sys, sansice_{extra}; print(*sorted(sys.modules))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    assert not loaded & {"trio", "dns", "OpenSSL"}
    assert extra == "asyncio" or "asyncio" not in loaded
