"""Reduce a run to numbers, explain them, compare runs, and render reports.

This package does not import locust, gevent or google.
"""
