"""ser-ops join-tuning: lend this machine to a search that another one began."""

from ser_ops.cli.answers import Json, say


def join(json: Json = False) -> None:
    """Run trials of the search that stage tune began on another machine (OPTUNA_STORAGE), until it is done."""
    from ser_ops.stages.join_tuning import join

    done = join()
    say(done, json, f"the search is done: {done['trials']} trials, {done['here']} of them on this machine; the best, "
                    f"{done['best']}, reached validation UAR {done['validation_uar']}")
