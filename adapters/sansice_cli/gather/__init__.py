"""``sansice gather``: the candidates of this machine as they are found, and what each server had to say."""
