"""Print which fields of the manifests are unknown to Cloud Run's v1 API, as gcloud ships it. Runs as a separate
process.

The arguments are gcloud's root folder and JSON files. One line per unknown field.
"""

import json
import sys
from pathlib import Path

root = sys.argv[1]
sys.path[:0] = [f"{root}/lib", f"{root}/lib/third_party"]

from apitools.base.py import encoding  # noqa: E402 — importable only after the path is set
from googlecloudsdk.generated_clients.apis.run.v1 import run_v1_messages  # noqa: E402

for name in sys.argv[2:]:
    manifest = json.loads(Path(name).read_text())
    message = encoding.DictToMessage(manifest, getattr(run_v1_messages, manifest["kind"]))
    for edges, unknown in encoding.UnrecognizedFieldIter(message):
        print(manifest["kind"], ".".join(str(edge) for edge in edges), unknown)
