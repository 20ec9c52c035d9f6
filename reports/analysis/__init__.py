"""Analyse a run: phases, warm-up, capacity, cost, objectives, comparison."""
