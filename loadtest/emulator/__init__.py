"""Be a local Cloud Run: HAProxy before real processes, an autoscaler, Google's own API surfaces."""
