"""Locust users and load shapes; each file also runs under bare `locust -f`."""
