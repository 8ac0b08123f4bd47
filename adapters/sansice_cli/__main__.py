"""``python -m sansice_cli`` is ``sansice``."""

from . import main

main()
