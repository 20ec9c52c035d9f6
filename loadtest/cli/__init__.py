"""Implement the verbs of `lt`, each in a module that is fast to import. No other package prints."""
