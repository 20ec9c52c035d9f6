"""Compute what a run shows: phases, warm-up, capacity, cost, objectives, comparison."""
