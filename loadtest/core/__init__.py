"""Hold what every room knows: errors, objectives, quantities, durations, prices and plans."""
