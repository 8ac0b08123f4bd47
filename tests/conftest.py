"""What every test shares: the `req` marker and the Hypothesis profiles."""

import os

from hypothesis import HealthCheck, settings

pytest_plugins = ["requirements._marker"]

# No deadlines: two shared cores make any single example slow now and then, and no test judges wall-clock time.
settings.register_profile("dev", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("dev"), derandomize=True, print_blob=True)
settings.register_profile("thorough", settings.get_profile("dev"), max_examples=5000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev"))
