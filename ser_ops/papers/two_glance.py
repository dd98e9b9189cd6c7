"""Paper 2 at a glance: what the random split is worth, beside what the paper prints."""

from collections.abc import Iterable, Sequence

from markupsafe import Markup

from ser_ops.pages.svg import diamond, dot, drawing, line, rect, scale, text
from ser_ops.pages.words import CHANCE, percent
from ser_ops.papers import published_two as printed
from ser_ops.papers.two_results import PROTOCOLS, Results


def finding(results: Results, models: Sequence[str]) -> str:
    both = [(one, other) for model in models if (one := results.of(model, "random"))
            and (other := results.of(model, "speaker"))]
    if not both:
        return "Accuracy over folds; the paper's figures stand beside ours for orientation."
    gaps = [one.mean["accuracy"] - other.mean["accuracy"] for one, other in both]
    return (f"Over {len(both)} models accuracy is {percent(_mean(one.mean['accuracy'] for one, _ in both), 1)} on "
            f"average when utterances are dealt out at random, as in the paper, and "
            f"{percent(_mean(other.mean['accuracy'] for _, other in both), 1)} for speakers who were not trained on: "
            f"the random split alone is worth {100 * _mean(gaps):+.1f} points ({100 * min(gaps):+.1f} to "
            f"{100 * max(gaps):+.1f}).")


def _mean(values: Iterable[float]) -> float:
    every = list(values)
    return sum(every) / len(every)


def glance(results: Results, models: Sequence[str]) -> Markup:
    """Accuracy of each model: random and by speaker with their intervals, and what the paper prints."""
    at, wide, row, top = scale(0, 1, 190, 930), 960, 46, 34
    bottom = top + row * len(models)
    parts = [part for tick in (0, 0.25, 0.5, 0.75, 1) for part in (
        line(at(tick), top - 6, at(tick), bottom, "grid"),
        text(at(tick), bottom + 16, f"{100 * tick:g}", "middle", "tick"))]
    parts += [line(at(CHANCE), top - 6, at(CHANCE), bottom, "chance"),
              text(930, bottom + 34, "accuracy, per cent; dashed: chance of seven equal classes", "end", "tick")]
    parts += [dot(198, 12, "random", radius=5), text(208, 16, "random split", class_="tick"),
              rect(303, 7, 10, 10, "speaker"), text(318, 16, "by speaker", class_="tick"),
              diamond(408, 12, "claim", "paper"), text(418, 16, "the paper, as printed", class_="tick")]
    for place, model in enumerate(models):
        y = top + row * place + row / 2
        parts.append(text(178, y + 4, printed.NAMES[model], "end", "label"))
        for protocol, lane in (("random", -8), ("speaker", 8)):
            if scores := results.of(model, protocol):
                mean, low, high = scores.mean["accuracy"], scores.low["accuracy"], scores.high["accuracy"]
                title = f"{printed.NAMES[model]}, {PROTOCOLS[protocol]}: {percent(mean, 1)} [{percent(low, 1)}, " \
                        f"{percent(high, 1)}]"
                parts.append(rect(at(low), y + lane - 3, at(high) - at(low), 6, f"{protocol} faint", 3))
                parts.append(dot(at(mean), y + lane, protocol, title, 5) if protocol == "random"
                             else rect(at(mean) - 5, y + lane - 5, 10, 10, protocol, title=title))
        claim = (printed.TABLE_1 | printed.TABLE_3)[model]["accuracy"]
        parts.append(diamond(at(printed.value(claim) / 100), y, "claim", f"the paper: {claim}"))
    return drawing(wide, bottom + 42, "Accuracy of each model, random split and by speaker, beside the paper's", parts)
