"""Services that are not the bundled one, as the documentation uses them."""
