"""Example services that the documentation uses in addition to the bundled service."""
