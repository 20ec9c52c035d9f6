"""Reduce a run to numbers, explain them, compare runs, render. Imports neither locust, gevent nor google."""
