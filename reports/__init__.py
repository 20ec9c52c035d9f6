"""Reduce a run to numbers, explain them, compare runs, and render reports.

This package imports neither locust, gevent nor google.
"""
