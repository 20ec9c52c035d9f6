"""Follow a run while it goes: count its requests as they are recorded, and analyse what there is of it."""
