"""Keep a Locust fleet alive and turn its request events into rows on disk."""
