"""Run a local Cloud Run: HAProxy in front of real processes, an autoscaler, and Google's own APIs."""
