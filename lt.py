"""Run the command line from a checkout: `python lt.py VERB`. An installed `lt` does the same."""

from __future__ import annotations

from loadtest.cli.entry import main

if __name__ == "__main__":
    main()
