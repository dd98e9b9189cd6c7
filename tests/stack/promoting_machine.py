"""A machine that promotes: `python promoting_machine.py VERSION SECONDS CLOCK`, in a folder with its params.yaml.

It says "judging", judges for SECONDS, and says which version held the alias before. CLOCK: by how many seconds its
clock is ahead of everybody's. What the registered package answers is taken for granted: others test that.
"""

import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ser_ops.gate.rules import Rule


def judged(*arguments: object) -> "Rule":
    from ser_ops.gate.rules import decide

    print("judging", flush=True)
    time.sleep(float(sys.argv[2]))
    return decide("not_worse_than_staging", True, "as told", "")


def main() -> None:
    right, ahead = time.time, float(sys.argv[3])
    time.time = lambda: right() + ahead

    from ser_ops.config.params import load_params  # with the clock as it is now
    from ser_ops.errors import UserError
    from ser_ops.gate import promotion
    from ser_ops.tracking.aliases import Aliases

    Aliases.download = lambda aliases, version, folder: folder
    promotion.compare_with_current = judged
    promotion.compare_answers = lambda *arguments: {"loads": True, "pickles": [], "utterances": 12,
                                                    "largest_difference": 0.0, "error": ""}
    try:
        print(promotion.promote(load_params(), sys.argv[1]).before)
    except UserError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
