"""Define the capabilities of a platform. run.json records them, and other code checks them, not the platform's name."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict

from ..core.addresses import is_loopback


class Capabilities(BaseModel):
    """The capabilities of a platform. Reports check these and never compare platforms' names.

    Attributes:
        on_this_machine: the target shares this machine with the load generators.
        single_process: one process serves everything, so the count of instances is always 1.
        scales: instances are added and removed with the load.
        bills: a run costs money. The cost is estimated, confirmed by the user, and limited by `--max-cost`.
        priced: Cloud Run's price list can be applied to the platform's metrics, even if nothing is billed.
        takes_limits: the run creates the service, and therefore sets its CPU, memory, concurrency and instances.
        has_metrics: the platform records its own series (instances, CPU, billed time), which are fetched with the run.
        needs_token: a service on this platform may be private, and is then called with an ID token.
        can_deploy: `lt deploy` can deploy a service to this platform.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    on_this_machine: bool = False
    single_process: bool = False
    scales: bool = False
    bills: bool = False
    priced: bool = False
    takes_limits: bool = False
    has_metrics: bool = False
    needs_token: bool = False
    can_deploy: bool = False


LOCAL = Capabilities(on_this_machine=True, single_process=True)
EMULATOR = Capabilities(on_this_machine=True, scales=True, priced=True, takes_limits=True, has_metrics=True)
CLOUD_RUN = Capabilities(
    scales=True,
    bills=True,
    priced=True,
    has_metrics=True,
    needs_token=True,
    can_deploy=True,
)

_BEFORE_THEY_WERE_RECORDED = {"local": LOCAL, "emulator": EMULATOR, "cloud": CLOUD_RUN}


def capabilities_of(kind: str, url: str) -> Capabilities:
    """Return the capabilities of a target whose `run.json` contains none, because the run is older than this key."""
    return _BEFORE_THEY_WERE_RECORDED.get(kind) or of_url(url)


def of_url(url: str) -> Capabilities:
    """Return the capabilities that a service's URL reveals: whether it is on this machine or on Cloud Run."""
    try:
        return Capabilities(on_this_machine=is_loopback(url), priced=has_run_app_url(url))
    except ValueError:  # a damaged run.json
        return Capabilities()


def has_run_app_url(url: str) -> bool:
    """Whether a URL belongs to Cloud Run."""
    return (urlsplit(url).hostname or "").endswith(".run.app")
