"""What an agent tells about itself: counters, and an explanation for people."""
