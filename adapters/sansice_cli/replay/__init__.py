"""``sansice replay``: recordings and counterexamples, again."""
