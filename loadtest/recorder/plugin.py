"""Record a worker of bare Locust: a locustfile that `locust -f loadtest/recorder/plugin.py,FILE --worker` loads first.

`lt` starts its own processes by `loadtest/launch.py`; this is for those that others start.
"""

from __future__ import annotations

import sys

from locust import events

from loadtest.recorder.locust_process import hear_first

hear_first(events)
sys.modules.pop(__name__, None)  # a scenario's neighbour may be called `plugin`
