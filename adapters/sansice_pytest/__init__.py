"""pytest fixtures for tests in simulated networks: ``network`` and ``scene``.

Installed with sansice, for every run of pytest; ``-p no:sansice`` leaves it out. Nothing else of sansice is imported before a
test asks for a fixture.
"""
