"""Run as a file in a fresh interpreter: load a packaged model as a stranger would and write down its answers.

It imports nothing of ser_ops: what answers is the code inside the package. Arguments: package folder, inputs
(.npz, one float32 waveform for each key, read and cleaned), sample rate, outputs (.json: {"code": path,
"answers": [[7 numbers], ...]}).
"""

import json
import sys
from pathlib import Path


def main(package: str, inputs: str, sample_rate: str, outputs: str) -> None:
    """Answer every waveform of `inputs`, in its order, or print one line and exit with 1."""
    import mlflow.pyfunc
    import numpy as np
    import pandas
    try:
        model = mlflow.pyfunc.load_model(package)
        with np.load(inputs, allow_pickle=False) as stored:
            answers = [model.predict(pandas.DataFrame({"waveform": [stored[key].astype(float)],
                                                       "sample_rate": [int(sample_rate)]}),
                                     params={"cleaned": True})[0] for key in stored.files]
    except Exception as error:  # whatever a foreign package raises is one line for the one who asked
        print(" ".join(f"{type(error).__name__}: {error}".split())[:300], file=sys.stderr)
        sys.exit(1)
    Path(outputs).write_text(json.dumps({"code": sys.modules["ser_ops"].__file__,
                                         "answers": [list(answer["probabilities"].values()) for answer in answers]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
