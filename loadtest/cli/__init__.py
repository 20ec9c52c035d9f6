"""Implement the verbs of `lt`, one light module each. No other package prints."""
