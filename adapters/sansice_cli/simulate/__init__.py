"""``sansice simulate``: scenes, the matrix of NATs, and exploration, in virtual time."""
