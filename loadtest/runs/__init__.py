"""Run a scenario, from parsed options to a closed run folder."""
