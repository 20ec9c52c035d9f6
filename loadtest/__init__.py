"""Load tests of model services that explain themselves: the library behind `lt`."""

__version__ = "0.1.0"
"""Of the whole project; pyproject.toml takes it from here, so that it is known where nothing is installed."""
