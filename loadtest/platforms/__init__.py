"""Offer the places that can be put under load."""
