"""The same request from a declarative plan of k9, which runs no Python: `k9 run -e TARGET=… k9_plan.py`.

With USERS, RAMP_S and HOLD_S, this many users send one request a second each; otherwise 50 users send as fast as they
are answered.
"""

import json
from pathlib import Path

import k9
import k9.plan as p

PAYLOAD = json.loads(Path(__file__).with_name("payload.json").read_text())
USERS = k9.env.get("USERS")
STAGES = [{"duration": f"{k9.env.get(part, '0')}s", "target": int(USERS or 0)} for part in ("RAMP_S", "HOLD_S")]
PACED = {"stages": STAGES, "minIterationDuration": "1s"}

plan = p.Plan(
    [
        p.post(
            f"{k9.env['TARGET']}/predict",
            json=PAYLOAD,
            extract={"probability": p.from_json("$.default_probability")},
            checks={"right": p.body_contains('"default_probability": 0.5')},
        )
    ],
    options=PACED if USERS else {"vus": 50, "duration": "60s"},
)
