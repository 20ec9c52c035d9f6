"""Provide the Locust users and load shapes that scenarios import."""
