"""Hold the run folder: its records, file names, format version, reader, writer, and the errors everyone raises."""

__version__ = "0.1.0"
"""Of the whole project; pyproject.toml takes it from here, so that it is known where nothing is installed."""
