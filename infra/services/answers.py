"""Whether a server answers: `python -m infra.services.answers URL`, exit code 0 when it does. Runs beside it."""

import sys
import urllib.request


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(not answers(sys.argv[1]))
