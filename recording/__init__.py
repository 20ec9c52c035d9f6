"""Hold the run folder: its records, file names, format version, reader, writer, and the errors everyone raises."""
