"""What `lt.py` does for each verb: one module a verb, light to import, and the only rooms that print."""
