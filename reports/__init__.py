"""Reduce a run to numbers, explain them, compare runs, and render reports.

Imports neither locust, gevent nor google.
"""
