"""Define what every package may import: errors, objectives, quantities, durations, prices and plans."""
