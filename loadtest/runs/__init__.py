"""Run a scenario from its options to a closed run folder."""
