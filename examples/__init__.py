"""Example services that the documentation uses, besides the bundled one."""
