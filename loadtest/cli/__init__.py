"""Implement the verbs of `lt`: one light module each, and the only package that prints."""
