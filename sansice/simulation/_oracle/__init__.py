"""The oracle: what a scene must come to, by reachability over its rules, without running anything."""
