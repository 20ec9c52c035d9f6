"""Run the service in the same way as its image: `python -m target_service`.

Environment variables: `HOST` (127.0.0.1), `PORT` (8080), and `ACCESS_LOG=1`, which writes a line of JSON per request.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

if (
    not __package__
):  # if this file is run by its path, from any folder: import its package, and not the modules beside it
    sys.path[0] = str(Path(__file__).resolve().parents[1])


def main() -> None:
    """Serve until a signal, then exit with 0; if the service cannot start, print a message and exit with 4."""
    word = os.environ.get("PORT", "8080")
    if not word.isdecimal():
        sys.exit(_cannot(f"PORT={word} in the environment is not a number: for example PORT=8080."))
    from target_service.model import ModelError
    from target_service.serving import PortError, serve

    try:
        serve(host=os.environ.get("HOST", "127.0.0.1"), port=int(word))
    except (ModelError, PortError) as error:
        sys.exit(_cannot(str(error)))


def _cannot(why: str) -> int:
    print(why, file=sys.stderr)
    return 4


if __name__ == "__main__":
    main()
