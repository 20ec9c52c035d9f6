"""Send the same request from a script of k9, which runs Python at every iteration: `k9 run -e TARGET=… k9_script.py`.

If USERS, RAMP_S and HOLD_S are set, that number of users send one request per second each. If RATE is set, that number
of arrivals per second is sent evenly for HOLD_S. Otherwise 50 users send the next request as soon as the last one is
answered.
"""

import json
from pathlib import Path

import k9

PAYLOAD = json.loads(Path(__file__).with_name("payload.json").read_text())
TARGET = f"{k9.env['TARGET']}/predict"
USERS = k9.env.get("USERS")
STAGES = [{"duration": f"{k9.env.get(part, '0')}s", "target": int(USERS or 0)} for part in ("RAMP_S", "HOLD_S")]
PACED = {"stages": STAGES, "minIterationDuration": "1s"}
RATE = k9.env.get("RATE")
EVEN = {
    "executor": "constant-arrival-rate",
    "rate": int(RATE or 1),
    "timeUnit": "1s",
    "duration": f"{k9.env.get('HOLD_S', '1')}s",
    "preAllocatedVUs": 100,
    "maxVUs": 500,
}
CLOSED = PACED if USERS else {"vus": 50, "duration": "60s"}

options = {"scenarios": {"even": EVEN}} if RATE else CLOSED


async def default() -> None:
    answer = await k9.http.post(TARGET, json=PAYLOAD)
    k9.check(answer, {"right": lambda a: a.json()["default_probability"] == 0.5})
