"""Start, watch and stop a Locust fleet of separate processes."""
