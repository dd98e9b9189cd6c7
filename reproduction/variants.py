"""Stages variants: the rows of every utterance, since any may train in some fold, into work/papers/<which>/augmented.

Their noise comes from the training recordings alone, whatever partition an utterance is given later.
"""

import sys

from reproduction.experiment import rows_folder, variant_names
from ser_ops.config.params import load_params
from ser_ops.stages import augment, run


def main() -> None:
    """Write the originals alone or all variants, as the first argument says, whole or not at all."""
    params, which = load_params(), sys.argv[1]
    names = params.augment.model_copy(update={"variants": variant_names(params, which)})
    augment.write_augmented(params.model_copy(update={"augment": names}), rows_folder(params, which) / "augmented",
                            everything=True, by_row=False)


if __name__ == "__main__":
    run(main)
