"""Trying systematically what a network may do to agents: deviations, schedules, invariants, and the search over them."""
