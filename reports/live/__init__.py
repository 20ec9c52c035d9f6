"""Follow a run in progress: count its requests as they are recorded, and analyse the run so far."""
