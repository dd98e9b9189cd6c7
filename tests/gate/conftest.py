"""The gate is tested on the predictions that evaluation's tests make."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "evaluation"))
