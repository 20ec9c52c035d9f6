"""Define the run folder: its records, file names, format version, reader and writer."""
