"""Stage variants: the variants of every utterance, into work/papers/augmented, since any may train in some fold.

Their noise comes from the training recordings alone, whatever partition an utterance is given later.
"""

from reproduction.experiment import work_folder
from ser_ops.config.params import load_params
from ser_ops.stages import augment, run


def main() -> None:
    """Write work/papers/augmented, whole or not at all."""
    params = load_params()
    augment.write_augmented(params, work_folder(params) / "augmented", everything=True, by_row=False)


if __name__ == "__main__":
    run(main)
