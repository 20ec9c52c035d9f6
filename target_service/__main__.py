"""Run the service as its image does: `HOST` (127.0.0.1) and `PORT` (8080) come from the environment."""

from __future__ import annotations

import os
import sys

from target_service.model import ModelError
from target_service.serving import PortError, serve


def main() -> None:
    """Serve until told to stop; exit with 0 then, with 4 and a sentence when it cannot."""
    try:
        serve(host=os.environ.get("HOST", "127.0.0.1"), port=int(os.environ.get("PORT", "8080")))
    except (ModelError, PortError) as error:
        print(error, file=sys.stderr)
        sys.exit(4)


if __name__ == "__main__":
    main()
