"""Whether SeaweedFS takes objects: its S3 gate answers and a volume server has joined (the gate alone answers earlier).

`python -m infra.services.store_answers S3_PORT MASTER_PORT`; exit code 0 when it does. Runs beside the server.
"""

import json
import sys
import urllib.request


def answers(s3_port: str, master_port: str) -> bool:
    def get(port: str, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=5) as answer:
            return bytes(answer.read())

    get(s3_port, "healthz")
    return bool(json.loads(get(master_port, "dir/status"))["Topology"]["Max"])


if __name__ == "__main__":
    try:
        sys.exit(not answers(*sys.argv[1:]))
    except OSError:
        sys.exit(1)
