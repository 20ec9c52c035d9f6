"""Record every request of a Locust fleet, as a plug-in of its processes."""
