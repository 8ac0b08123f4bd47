"""``sansice credentials``: user names and passwords that expire by themselves, for TURN and STUN servers that know the secret."""
