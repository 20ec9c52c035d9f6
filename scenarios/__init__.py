"""Locust users and load shapes; each file also runs with plain `locust -f`."""
