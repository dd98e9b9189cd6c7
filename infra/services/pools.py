"""Make the work pools that are named, where they are missing, and all deployments of prefect.yaml.

`python -m infra.services.pools local-pool gpu-pool`, from the root of the repository. The server comes from
PREFECT_API_URL and PREFECT_API_AUTH_STRING.
"""

import subprocess
import sys
from collections.abc import Sequence


def make(names: Sequence[str]) -> None:
    for name in names:
        subprocess.run(["prefect", "work-pool", "create", "--type", "process", "--overwrite", name], check=True)
    subprocess.run(["prefect", "--no-prompt", "deploy", "--all"], check=True)


if __name__ == "__main__":
    make(sys.argv[1:])
