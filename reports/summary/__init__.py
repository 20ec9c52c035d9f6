"""Define the documented summary of a report and fill it."""
