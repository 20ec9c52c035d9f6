"""Find p95 spikes and their causes."""
