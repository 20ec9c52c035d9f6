"""The verb `serve`: run the target service on this machine."""

from __future__ import annotations

from typing import Annotated

import typer


def serve_here(
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port to listen on; 0 takes a free port.")] = 8080,
    host: Annotated[
        str, typer.Option(help="The address to listen on; 0.0.0.0 means all addresses of this machine.")
    ] = ("127.0.0.1"),
) -> int:
    """Run the target service on this machine until Ctrl-C.

    The service logs JSON lines; `ACCESS_LOG=1` in the environment adds a line for each request.

    Examples:
        python lt.py serve

        python lt.py serve --port 8090 --host 0.0.0.0
    """
    from ..core.extras import require

    require("service", "The bundled service")
    from target_service.model import ModelError
    from target_service.serving import PortError, serve

    from ..core.addresses import is_host
    from ..core.errors import UnusableError, UsageError

    if not is_host(host):
        raise UsageError(
            f"`--host {host}`: give the address to listen on, such as 127.0.0.1; 0.0.0.0 means all addresses."
        )
    try:
        serve(host=host, port=port)
    except PortError as error:
        raise UnusableError(f"{error} For example: python lt.py serve --port {port + 1}") from error
    except ModelError as error:
        raise UnusableError(str(error)) from error
    return 0
