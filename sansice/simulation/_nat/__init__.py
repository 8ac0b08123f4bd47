"""What stands between networks: translators of addresses, and firewalls."""
