"""`check_machine`: any machine against each clause of the contract."""
