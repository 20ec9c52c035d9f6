"""Record every request of a Locust fleet: the plug-in of its processes."""
