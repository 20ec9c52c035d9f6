"""Provide the platforms: places that can be put under load."""
