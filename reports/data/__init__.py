"""Read a run folder into series, histograms and exact percentiles."""
