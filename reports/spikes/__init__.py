"""Find p95 spikes and name their causes."""
