"""Paper 1's tables I to VI in its own shape, ours beside the printed figure in every cell.

What the paper prints is constant: tables I to III stand here, tables IV to VI in ser_ops.evaluation.published.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from reproduction import paper_page
from reproduction.paper_page import Cell, Table
from ser_ops.caveats import heard_in_training
from ser_ops.emotions import EMOTIONS
from ser_ops.pages import DASH, number, percent, pick, plain

MODEL = "fusion"
NO_METRICS = "reports/metrics.json is not there: `dvc repro evaluate` makes it"
NO_ACROSS = "reports/across.json is not there: `ser-ops reproduce across` makes it"
NO_CORPORA = "work/ingest/corpora.json is not there: `dvc repro ingest` makes it"
ABSENT = "absent"
_NO_PARTITION = ("none, all partitions are counted",)
_SCORES = ("accuracy", "precision", "recall", "f1")


@dataclass(frozen=True)
class Sources:
    """What the tables are made of: the paper's figures and contents of files, None where a file is not there.

    Args:
        published: {"table_iv", "table_v", "table_v_deviations", "table_vi", "marks"} as printed: accuracy in per cent,
            the rest in [0, 1].
        corpora: of corpora.json.
        metrics: of metrics.json.
        across: of across.json.
        genders: corpus to the genders of its speakers: "M/F", "F" or "M".
        quarantined: number of utterances of each corpus that validation left out.
        main: train.model.
        lacking: why the main pipeline could not be run, "" where it could.
        late: whether row D is a late fusion here, without attentive pooling (`fuses_late`).
    """

    published: Mapping[str, Any]
    corpora: Mapping[str, Mapping[str, Any]] | None = None
    metrics: Mapping[str, Any] | None = None
    across: Mapping[str, Any] | None = None
    genders: Mapping[str, str] = field(default_factory=dict)
    quarantined: Mapping[str, int] = field(default_factory=dict)
    main: str = MODEL
    lacking: str = ""
    late: bool = False


def tables(sources: Sources) -> tuple[Table, ...]:
    """Tables I to VI, and table V by SNR."""
    return (table_i(), table_ii(sources), table_iii(sources), table_iv(sources), table_v(sources),
            table_v_by_snr(sources), table_vi(sources))


TABLE_I_COLUMNS = ("Ref.", "Year", "Method / model", "Dataset(s)", "Noise / condition", "Key findings / accuracy",
                   "Notes / limitation")


@dataclass(frozen=True)
class RelatedWork:
    """A row of table I in our words: a related work, its data and its figures.

    `number` is the paper's reference; `listed` the year in its list of references where that differs from `year`.
    """

    number: int
    authors: str
    year: int
    method: str
    datasets: str
    noise: str
    findings: str
    notes: str
    listed: int | None = None


RELATED_WORKS: tuple[RelatedWork, ...] = (
    RelatedWork(24, "Win, Khine et al.", 2020, "MLP, SVM, decision tree, deep network", "IEMOCAP",
                "sports events, 0 to 15 dB", "MLP 90.68 %, SVM 56.52 %, tree 89.44 %, deep network 54.34 %",
                "noise costs accuracy; MMSE enhancement; 322 sentences only"),
    RelatedWork(25, "Schuller et al.", 2010, "SVM on 4,000 descriptors, selected by information gain",
                "DES, EMO-DB, SUSAS",
                "white noise, real noise", "DES 74.5 % clean, 54.9 % at -10 dB; EMO-DB 87.5 % and 71.1 %; SUSAS 84.9 %",
                "selecting features helps; loud noise hurts; holds on SUSAS, which is noisy by nature", 2006),
    RelatedWork(26, "Xu et al.", 2021, "ACNN with attention heads fused", "IEMOCAP, RAVDESS",
                "ESC-50, real and simulated",
                "weighted accuracy 76.36 %, unweighted 76.18 %", "tested with 50 kinds of noise at several SNRs"),
    RelatedWork(27, "Chakraborty et al.", 2019, "VTS compensation and TDNN denoising in front, features selected",
                "EmoDB, IEMOCAP", "babble, factory, HF channel, F16, Volvo",
                "at best 79.71 % (EmoDB, TDNN-DAE, babble at 20 dB)",
                "TDNN-DAE leads where the noise was seen; root compression helps MFCC; selecting other descriptors "
                "always helps"),
    RelatedWork(28, "Leem et al.", 2024, "enhances weak descriptors alone", "MSP-Podcast, IEMOCAP", "several, real",
                "gains: MSP-Podcast arousal 17.7 %, dominance 21.2 %, valence 3.3 %; IEMOCAP 5.1 %, 7.9 %, 45.2 %",
                "better than enhancing the signal; leaves sturdy descriptors alone; seen and unseen noise"),
    RelatedWork(29, "Yunxiang and Kexin", 2023, "ASP-MTL: adversarial, shared and private tasks",
                "AVEC 2016, AFEW 6.0, IEMOCAP", "real noise; white, pink, babble, factory",
                "10 % above earlier work in accuracy and F1",
                "two stages; needs noise and gender as further tasks"),
    RelatedWork(30, "Huang et al.", 2019, "LW-WPCC and SVM, fused with video", "Berlin corpus, IEMOCAP, NOISEX-92",
                "real and made (white, pink, car, restaurant, factory), 0 to 30 dB",
                "72.12 % (Berlin); with video 15 % more in noise",
                "features made by hand; video suffers from light and pose"),
    RelatedWork(31, "Wijayasingha and Stankovic", 2021,
                "FCNN on magnitude and group-delay spectrograms, attention, noise in "
                "training", "Berlin corpus, RAVDESS", "9 indoor noises and white noise, 10 to 35 dB",
                "about 81 % in noise, 91 % clean; attention finds the clean stretches",
                "indoor and made noise only; classes weighted"),
    RelatedWork(32, "Kshirsagar et al.", 2021, "speech and text, MetricGAN+, augmentation, DNN",
                "MELD, IEMOCAP, Emoti-W",
                "babble, cafeteria, airplane, -10 to 20 dB",
                "enhancement with augmentation: 17 to 44 % more across corpora",
                "enhancement by itself is not enough", 2023),
    RelatedWork(33, "Chen et al.", 2023, "NRSER: CMGAN enhancement, SNR detection, self-supervised features",
                "MSP-Podcast, AudioSet, LibriSpeech", "mixed, 6 to 14 dB",
                "holds in noise; silent on background alone; best for valence",
                "weaker for arousal and dominance; enhancement may lower the level"),
    RelatedWork(34, "Zhou et al.", 2020, "LSTM masks, progressive learning, ISPP", "IEMOCAP, CHEAVD 2.0, WSJ0",
                "real and simulated, -5 to 15 dB",
                "enhancer trained on emotional speech; best: 44.13 % (CHEAVD, noisy)",
                "an enhancer trained on other speech can remove the emotion; deep LSTMs overfit"),
    RelatedWork(35, "Wilf and Provost", 2023, "DLC, SLC, mixture of experts, DSN, DANN, MADDoG, HFFN",
                "MSP-Improv, MOSEI, IEMOCAP", "natural, human, indoor",
                "DLC helps in noise, with experts in UAR; DSN is best on unseen noise",
                "SLC spoils the order in time; experts are weak on unseen noise; sound only", 2021),
    RelatedWork(36, "Chenchah and Lachiri", 2016, "spectral subtraction, Wiener filter, MMSE; MFCC and HMM", "IEMOCAP",
                "airport, babble, train, car, 0 to 15 dB",
                "enhancement helps with airport and babble; subtraction is best",
                "HMM, four classes; no help against train and car"),
)


def table_i() -> Table:
    """The table in the paper's own shape; every figure is the paper's."""
    rows = tuple((f"[{work.number}] {work.authors}", str(work.year), work.method, work.datasets, work.noise,
                  work.findings, work.notes) for work in RELATED_WORKS)
    other = ", ".join(f"[{work.number}] {work.listed}" for work in RELATED_WORKS if work.listed)
    return Table("table_i", "Summary of related works in speech emotion recognition under noisy conditions",
                 TABLE_I_COLUMNS,
                 rows, ("A reference: what the paper's table says, shortened; others' figures on other data, and "
                        "nothing here was run again. Numbers in brackets are the paper's references.",
                        f"The paper's own list of references gives other years for: {other}."))


class PrintedCorpus(NamedTuple):
    """A row of table II as printed; the characteristics in our words."""

    speakers: int
    gender: str
    samples: int
    characteristics: str


TABLE_II: dict[str, PrintedCorpus] = {      # in its order; the last row is the total
    "crema_d": PrintedCorpus(91, "M/F", 7442, "many ethnic groups, intensity varied"),
    "ravdess": PrintedCorpus(24, "M/F", 1440, "actors by profession, North American"),
    "tess": PrintedCorpus(2, "F", 2800, "an older and a younger voice, clear speech"),
    "savee": PrintedCorpus(4, "M", 480, "men only, phonetically balanced"),
    "total": PrintedCorpus(121, "Mixed", 12162, "Unified cross-corpus"),
}
# Utterances as table III prints them: a column for each corpus, in its order, and the total; None for its dash.
_TABLE_III_COLUMNS = ("ravdess", "crema_d", "tess", "savee", "total")
_TABLE_III_ROWS: dict[str, tuple[int | None, ...]] = {
    "angry": (192, 1271, 400, 60, 1923),
    "disgust": (192, 1271, 400, 60, 1923),
    "fear": (192, 1271, 400, 60, 1923),
    "happy": (192, 1271, 400, 60, 1923),
    "neutral": (288, 1087, 400, 120, 1895),
    "sad": (192, 1271, 400, 60, 1923),
    "surprise": (192, None, 400, 60, 652),
    "total": (1440, 7442, 2800, 480, 12162),
}
TABLE_III: dict[str, dict[str, int | None]] = {
    row: dict(zip(_TABLE_III_COLUMNS, counts, strict=True)) for row, counts in _TABLE_III_ROWS.items()}
_TABLE_II_ORDER = tuple(TABLE_II)[:-1]
_TABLE_III_ORDER = _TABLE_III_COLUMNS[:-1]


def table_ii(sources: Sources) -> Table:
    """The corpora: speakers, gender, samples; ours is what is there."""
    corpora = sources.corpora or {}
    rows: list[tuple[Cell | str, ...]] = []
    for layout, name in corpora_in_order(corpora, _TABLE_II_ORDER):
        record, printed = corpora.get(name or ""), TABLE_II.get(layout)
        ours = (pick(record, "speakers"), sources.genders.get(name or ""), pick(record, "found"), state_of(record)) \
            if record else ((ABSENT if corpora else None),) * len(PrintedCorpus._fields)
        paper: tuple[Any, ...] = printed or (None,) * len(ours)
        rows.append((heading(layout, name), *map(Cell, ours, paper, ("count", "", "count", ""))))
    total = TABLE_II["total"]
    rows.append(("Total", Cell(_sum_of_known(record.get("speakers") for record in corpora.values()), total.speakers,
                               "count"),
                 Cell(paper=total.gender),
                 Cell(_sum_of_known(record.get("found") for record in corpora.values()), total.samples, "count"),
                 Cell(paper=total.characteristics)))
    return Table("table_ii", "Summary of the composite dataset composition",
                 ("Corpus", "Speakers", "Gender", "Samples", "Key characteristics"), tuple(rows),
                 (*_notes_on_corpora(sources.corpora), *_quarantined(sources)), _missing_corpora(sources.corpora),
                 _NO_PARTITION)


def table_iii(sources: Sources) -> Table:
    """Utterances of each class in each corpus; the paper's figures are those of the full corpus."""
    corpora = sources.corpora or {}
    columns = corpora_in_order(corpora, _TABLE_III_ORDER)
    rows: list[tuple[Cell | str, ...]] = []
    for emotion in EMOTIONS:
        cells = [Cell(None if name is None else corpora[name].get("emotions", {}).get(emotion, 0),
                      TABLE_III[emotion].get(layout), "count") for layout, name in columns]
        rows.append((emotion.capitalize(), *cells,
                     Cell(_sum_of_known(record.get("emotions", {}).get(emotion, 0) for record in corpora.values()),
                          TABLE_III[emotion]["total"], "count")))
    rows.append(("TOTAL", *(Cell(pick(corpora, name or "", "found"), TABLE_III["total"].get(layout), "count")
                            for layout, name in columns),
                 Cell(_sum_of_known(record.get("found") for record in corpora.values()), TABLE_III["total"]["total"],
                      "count")))
    heads = [_column_heading(layout, name, corpora, sum(other == layout for other, _ in columns) > 1)
             for layout, name in columns]
    return Table("table_iii", "Detailed class distribution across source corpora",
                 ("Emotion class", *heads, "Total"), tuple(rows),
                 ("RAVDESS calm counts as neutral, which is how the paper reaches 288. CREMA-D has no surprise.",
                  *_notes_on_corpora(sources.corpora), *_quarantined(sources)), _missing_corpora(sources.corpora),
                 _NO_PARTITION)


def _column_heading(layout: str, name: str | None, corpora: Mapping[str, Mapping[str, Any]], ambiguous: bool) -> str:
    """A column's heading, which has little room; the corpus's own name stands in it where a layout has several."""
    if layout not in _TABLE_III_ORDER or not corpora:
        return heading(layout, name)
    kind = state_of(corpora.get(name or ""))
    named = heading(layout, name) if ambiguous else paper_page.corpus_title(layout)
    short = next((word for word in ("synthetic", "PARTIAL", ABSENT) if kind.startswith(word)), "")
    return f"{named}, {short}" if short else named


_TABLE_IV_ORDER = ("tess", "crema_d", "ravdess", "savee")       # the order of table IV


def table_iv(sources: Sources) -> Table:
    """The fusion model trained and tested on each corpus alone, clean."""
    corpora, published = sources.corpora or {}, sources.published
    cells = _own_corpus_cells(sources.across)
    rows: list[tuple[Cell | str, ...]] = []
    words, notes = [], []
    for layout, name in corpora_in_order(corpora, _TABLE_IV_ORDER):
        cell, paper = cells.get(name or ""), pick(published, "table_iv", layout)
        clean = pick(cell, "clean")
        mark = pick(published, "marks", "IV", layout) or ""
        rows.append((f"{heading(layout, name)}, {state_of(corpora.get(name or ''))}" if corpora else
                     heading(layout, name),
                     *(_score(clean, paper, score, mark if score == "f1" else "") for score in _SCORES),
                     Cell(pick(clean, "uar"), None, "share", pick(clean, "uar_low"), pick(clean, "uar_high")),
                     Cell(pick(cell, "n"), None, "count")))
        if name and cell is None and sources.across is not None and cells:
            notes.append(f"{name} was not trained on alone: `ser-ops reproduce across` does it.")
        if cell and cell.get("split") != "speaker":
            words.append(f"{name} (by {cell.get('split')})")
    if words:
        notes.append(f"By speaker but for {', '.join(words)}: there the test speakers are in training too, which "
                     "flatters.")
    if pick(published, "marks", "IV"):
        notes.append("The paper does not say how it split each corpus.")
    if heard := pick(sources.across, "provenance", "variants"):
        clean = not any("nois" in variant for variant in heard)
        notes.append(f"Trained on {', '.join(map(plain, heard))}: " + (
            "without noise, as the paper's." if clean else "with noise, which the paper's table IV does without."))
    return Table("table_iv", "Performance metrics on individual clean datasets",
                 ("Dataset", "Acc. (%)", "Precision", "Recall", "F1-score", "UAR", "Test utterances"), tuple(rows),
                 (*notes, *paper_page.interval_note(pick(sources.across, "provenance") or {}, {
                     name: cell.get("intervals") or {} for name, cell in cells.items()}),
                  *_fusion_notes(sources), *_notes_on_corpora(sources.corpora)), "; ".join(filter(None, (
                     _missing_across(sources.across, cells), _missing_corpora(sources.corpora)))),
                 tuple(dict.fromkeys(str(cell.get("split")) for cell in cells.values())))


def _own_corpus_cells(across: Mapping[str, Any] | None) -> dict[str, Mapping[str, Any]]:
    """Corpus to the cell of the fusion model that was trained on it alone and tested on it."""
    model = next((one for one in pick(across, "models") or [] if one.get("model") == MODEL), None)
    return {cell["test"]: cell for row in pick(model, "rows") or [] for cell in row.get("cells") or []
            if row.get("train") == cell["test"]}


def _missing_across(across: Mapping[str, Any] | None, cells: Mapping[str, Any]) -> str:
    if across is None:
        return NO_ACROSS
    if reason := pick(across, "lacking", MODEL):
        return f"{MODEL} was not trained: {reason}"
    return "" if cells else (f"corpora.models does not name {MODEL}: add it in reproduction/params.yaml and run "
                             "`ser-ops reproduce across`")


_STATIONARY = ("white", "pink", "brown")
_NOISES = {"white": "White noise", "pink": "Pink noise", "brown": "Brown noise", "railway_engine": "Railway engine",
           "children": "Children playing", "fish_market": "Fish market"}
_LEVELS = {0.25: "low", 0.5: "medium", 0.75: "high"}


def table_v(sources: Sources) -> Table:
    """Noise by intensity: mean and deviation over seeds, beside the paper's."""
    cells = pick(sources.metrics, "models", MODEL, "cells") or {}
    printed, marks = sources.published["table_v"], pick(sources.published, "marks", "V") or {}
    seeds = pick(sources.metrics, "provenance", "seeds") or []
    shown = [*printed, *(cell for cell in cells if cell not in printed)]
    shown.sort(key=_noise_order)
    rows: list[tuple[Cell | str, ...]] = []
    for cell in shown:
        noise, _, level = cell.rpartition("@")
        named = _LEVELS.get(float(level))
        scores = [_score(cells.get(cell), printed.get(cell), score, marks.get(cell, "") if score == "f1" else "",
                         pick(sources.published, "table_v_deviations", cell)) for score in _SCORES]
        rows.append((_NOISES.get(noise, plain(noise).capitalize()),
                     "stationary" if noise in _STATIONARY else "non-stationary",
                     f"{named} ({level})" if named else level,
                     *([replace(score, spread=None) for score in scores] if len(seeds) == 1 else scores),
                     Cell(None if (snr := pick(cells.get(cell), "snr_db")) is None else f"{snr:.1f}")))
    lacking = _unmeasured(printed, cells) if cells else ""
    ours = (f"Ours: {'' if len(seeds) == 1 else 'mean and deviation over '}{_count(len(seeds), 'seed')} of the noise "
            f"mixed in ({', '.join(map(str, seeds))}), one trained model"
            f"{', so that there is no deviation' if len(seeds) == 1 else ''}.",) if cells else ()
    return Table(
        "table_v", "Model performance (mean ± SD) under stationary and non-stationary noise",
        ("Noise source", "Kind", "Intensity", "Accuracy (%)", "Precision", "Recall", "F1-score",
         "Mean SNR (dB)"), tuple(rows),
        (*ours, "The paper's deviations of accuracy are 0.075 to 1.12 points, those of precision, recall and F1 1 to "
                "15 points; it does not say what they are over.", *_fusion_notes(sources),
         *((*_interval_note(sources.metrics), *_provenance(sources.metrics)) if cells else ())),
        "; ".join(filter(None, (_missing_model(sources), lacking))), _protocols(sources.metrics))


def _unmeasured(printed: Iterable[str], cells: Collection[str]) -> str:
    """Which printed cells were not measured, and what to do: noises without a cell, intensities of the others."""
    measured = {cell.rpartition("@")[0] for cell in cells}
    noises = dict.fromkeys(noise for cell in printed if (noise := cell.rpartition("@")[0]) not in measured)
    levels = dict.fromkeys(level for noise, _, level in (cell.rpartition("@") for cell in printed)
                           if noise in measured and f"{noise}@{level}" not in cells)
    return "; ".join([
        *([f"not measured: {', '.join(map(plain, noises))}: bring recordings in with `ser-ops noise add` and name them "
           "under data.noise in params.yaml"] if noises else []),
        *([f"not measured at {', '.join(levels)}: name the intensities under evaluate in params.yaml"]
          if levels else [])])


def table_v_by_snr(sources: Sources) -> Table:
    """The same answers by the SNR that each mixture had, which the paper does not print."""
    rows = tuple((f"{row['low_db']} to {row['high_db']} dB", Cell(row["n"], unit="count"),
                  Cell(row["uar"], unit="share", low=row.get("uar_low"), high=row.get("uar_high")),
                  _score(row, None, "accuracy"))
                 for row in reversed(pick(sources.metrics, "models", MODEL, "by_snr") or []))
    return Table("table_v_by_snr", "The same answers by signal-to-noise ratio",
                 ("SNR", "Mixtures", "UAR", "Accuracy (%)"), rows,
                 ("No table of the paper: one amplitude ratio is another SNR for each pair of clips.",
                  *_fusion_notes(sources),
                  *((*_interval_note(sources.metrics), *_heard(sources.metrics)) if rows else ())),
                 _missing_model(sources), _protocols(sources.metrics))


def _interval_note(metrics: Mapping[str, Any] | None) -> tuple[str, ...]:
    provenance = pick(metrics, "provenance") or {}
    return paper_page.interval_note(provenance, {MODEL: provenance.get("intervals") or {}})


def _noise_order(cell: str) -> tuple[int, str, float]:
    """Noise in the paper's order, then others by name; each by intensity."""
    noise, _, level = cell.rpartition("@")
    names = list(_NOISES)
    return (names.index(noise) if noise in names else len(names), noise, float(level))


ROWS: dict[str, tuple[str, str]] = {   # row of table VI: model, what the paper calls it
    "A": ("spectral", "A. Spectral branch only (1D-CNN)"), "B": ("wav2vec", "B. Temporal branch only (Wav2Vec 2.0)"),
    "C": ("concat", "C. Hybrid, simple concatenation"), "D": (MODEL, "D. Proposed: hybrid, attentive pooling")}
LATE_FUSION = "D. Hybrid, late fusion"


def fuses_late(preset: Mapping[str, Any]) -> bool:
    """Whether row D of a preset, as a card keeps it, joins the branches' answers (`ser_ops.models.paper1.LateFusion`).

    >>> fuses_late({"wav2vec": {"states": "statistics"}}), fuses_late({"wav2vec": {"states": "last"}})
    (True, False)
    """
    return bool(pick(preset, "wav2vec", "states") == "statistics")


def _fusion_notes(sources: Sources) -> tuple[str, ...]:
    """What the fusion is here where it is not the one that the paper proposes."""
    return ("Row D, the fusion, is not the paper's here: the waveform branch gives mean and deviation over time, which "
            "leaves nothing to pool. Each branch answers, and the answers are joined by weight (late fusion); the "
            "attentive pooling of equations 20 and 21 is no part of it.",) if sources.late else ()



def table_vi(sources: Sources) -> Table:
    """The ablation. The paper's 'drop' is the distance to row D; from clean to noisy is a column of its own."""
    models = pick(sources.metrics, "models") or {}
    best, marks = models.get(MODEL), pick(sources.published, "marks", "VI") or {}
    rows: list[tuple[Cell | str, ...]] = []
    for row, (name, title) in ROWS.items():
        if name == MODEL and sources.late:
            title = f"{LATE_FUSION} (paper: {title.removeprefix('D. ')})"
        model, printed = models.get(name), sources.published["table_vi"].get(row) or {}
        cells = {"parameters_millions": Cell(pick(model, "parameters_millions"), unit="millions")}
        for kind in ("clean", "noisy"):
            scores = pick(model, kind)
            accuracy, d = pick(scores, "accuracy"), pick(best, kind, "accuracy")
            gap = None if row == "D" or accuracy is None or d is None else 100 * (d - accuracy)
            speed = pick(model, "samples_per_second", kind)
            cells |= {f"{kind}_accuracy": replace(_score(scores, None, "accuracy"), spread=None),
                      f"{kind}_f1": replace(_score(scores, None, "f1"), spread=None),
                      f"{kind}_gap_to_d": Cell(gap, unit="percent"),
                      f"{kind}_samples_per_second": Cell(None if speed is None else float(round(speed)), unit="count")}
        clean, noisy = (pick(model, kind, "accuracy") for kind in ("clean", "noisy"))
        rows.append((title, *(replace(cell, paper=printed.get(figure), mark=marks.get(f"{row}.{figure}", ""))
                              for figure, cell in cells.items()),
                     Cell(None if clean is None or noisy is None else 100 * (clean - noisy), unit="percent")))
    return Table(
        "table_vi", "Ablation study: component contributions, F1 scores and performance gaps",
        ("Model configuration", "Params", "Clean acc.", "Clean F1", "Clean gap to D", "Clean speed", "Noisy acc.",
         "Noisy F1", "Noisy gap to D", "Noisy speed", "Clean to noisy"), tuple(rows),
        (*(_fusion_notes(sources) or ["Rows have the paper's names."]),
         *(["Figure 1 shows what row D is here."] if best else []),
         *(["Row A is trained with the settings of section train here: the values of the search are the main model's."]
           if models and sources.lacking else []),
         "Gap to D is what the paper calls drop: accuracy of row D less that of the row, negative where that row is "
         "better. Clean to noisy, one model's own loss, is not a column of the paper.",
         _noisy_note(sources),
         "Speeds are samples a second of this machine, on one thread, features included; of its machine the paper says "
         "nothing.",
         *_interval_note(sources.metrics), *_best_row_notes(models), *_provenance(sources.metrics)),
        "; ".join(filter(None, (_missing_rows(sources), _missing_model(sources)))), _protocols(sources.metrics))


def _noisy_note(sources: Sources) -> str:
    """What 'noisy' is: the mean of as many cells of table V as were measured, said where they are not all of it."""
    words = "The paper does not say what its noisy is"
    models, printed = pick(sources.metrics, "models") or {}, sources.published["table_v"]
    cells = next(filter(None, (pick(models, name, "cells") for name, _ in ROWS.values())), None)
    if not cells:
        return f"{words}; ours is the mean of table V."
    seeds = len(pick(sources.metrics, "provenance", "seeds") or [])
    measured, lacking = _count(len(cells), "cell"), sum(cell not in cells for cell in printed)
    each = f", {_count(seeds, 'seed')} each" if seeds else ""
    return (f"{words}; ours is the mean of {measured} of table V{each}"
            + (f": {lacking} of the paper's {len(printed)} cells were not measured." if lacking else "."))


def _count(number: int, unit: str) -> str:
    """
    >>> _count(1, "seed"), _count(18, "cell")
    ('1 seed', '18 cells')
    """
    return f"{number} {unit}{'' if number == 1 else 's'}"


def _missing_rows(sources: Sources) -> str:
    if sources.metrics is None:
        return ""
    models = pick(sources.metrics, "models") or {}
    lacking = pick(sources.metrics, "provenance", "lacking") or {}
    reasons = [f"{name} was not trained: {lacking[name]}" for name, _ in ROWS.values() if name in lacking]
    untrained = [name for name, _ in ROWS.values() if name not in models and name not in (MODEL, *lacking)]
    them = "it" if len(untrained) == 1 else "them"
    return "; ".join([*reasons, *([
        f"not trained: {', '.join(untrained)}: name {them} under ablations.models in params.yaml and run `dvc repro`"]
        if untrained and not sources.lacking else [])])


def _best_row_notes(models: Mapping[str, Any]) -> tuple[str, ...]:
    """Whether row D is the best here too, as the figures say."""
    sentences = []
    for kind, words in (("clean", "On clean speech"), ("noisy", "In noise")):
        figures = {row: (pick(models, name, kind) or {}) for row, (name, _) in ROWS.items()}
        accuracies = {row: scores["accuracy"] for row, scores in figures.items() if scores.get("accuracy") is not None}
        if len(accuracies) < 2 or "D" not in accuracies:
            continue
        first = max((row for row in accuracies if row != "D"), key=accuracies.__getitem__)
        low, high = (figures["D"].get(f"accuracy_{end}") for end in ("low", "high"))
        inside = low is not None and high is not None and low <= accuracies[first] <= high
        where = f"; {first} lies within D's interval" if inside else ""
        points = number(100 * (accuracies["D"] - accuracies[first]), 1)
        sentences.append(f"{words} row D has {percent(accuracies['D'], 1)}, the best other row {first} "
                         f"{percent(accuracies[first], 1)} ({points} points{where}).")
    return tuple(sentences)


def corpora_in_order(corpora: Mapping[str, Mapping[str, Any]], order: Sequence[str]) -> list[tuple[str, str | None]]:
    """Pairs (layout, corpus) in the paper's order: all corpora of a layout, or None; then those of other layouts."""
    names: list[tuple[str, str | None]] = []
    for layout in order:
        names += ([(layout, name) for name, record in corpora.items() if record.get("layout") == layout]
                  or [(layout, None)])
    return names + [(str(record.get("layout")), name) for name, record in corpora.items()
                    if record.get("layout") not in order]


def heading(layout: str, corpus: str | None) -> str:
    """The paper's name of a corpus, with ours where that is another.

    >>> heading("tess", "tess"), heading("tess", "synthetic_tess"), heading("manifest", "mine")
    ('TESS', 'TESS (synthetic_tess)', 'mine')
    """
    if layout not in _TABLE_II_ORDER:
        return str(corpus)
    return paper_page.corpus_title(layout) if corpus in (None,
                                                         layout) else f"{paper_page.corpus_title(layout)} ({corpus})"


def state_of(record: Mapping[str, Any] | None) -> str:
    """What a corpus at hand is, in words; a partial or synthetic one is named so, and None is one that is not here.

    >>> state_of({"synthetic": False, "complete": False, "found": 1200, "expected": 1440})
    'PARTIAL: 1,200 of 1,440'
    """
    if record is None:
        return ABSENT
    if record.get("synthetic"):
        return "synthetic speech"
    if not record.get("expected"):
        return "a corpus of no fixed size"
    return "complete" if record.get("complete") else f"PARTIAL: {record['found']:,} of {record['expected']:,}"


def _missing_corpora(corpora: Mapping[str, Mapping[str, Any]] | None) -> str:
    """Which of the paper's corpora are not here and how each is brought in."""
    if corpora is None:
        return NO_CORPORA
    return "; ".join(paper_page.how_to_get(layout) for layout, name in corpora_in_order(corpora, _TABLE_II_ORDER)
                     if name is None)


def _notes_on_corpora(corpora: Mapping[str, Mapping[str, Any]] | None) -> tuple[str, ...]:
    """A note for synthetic speech under a corpus's name, and one for partial corpora."""
    records = corpora or {}
    synthetic = [name for name, record in records.items() if record.get("synthetic")]
    partial = [name for name, record in records.items() if state_of(record).startswith("PARTIAL")]
    notes = []
    if synthetic:
        notes.append(f"Synthetic speech, which is none of the paper's recordings, stands in for them: "
                     f"{', '.join(synthetic)}. A real corpus comes in with `ser-ops corpora add`.")
    if partial:
        notes.append(f"Only a part of the published corpus: {', '.join(partial)}.")
    return tuple(notes)


def _quarantined(sources: Sources) -> tuple[str, ...]:
    left = [f"{count} of {name}" for name, count in sources.quarantined.items() if count]
    return (f"Counted as found; validation then left out {', '.join(left)}.",) if left else ()


def _sum_of_known(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _score(ours: Any, paper: Any, score: str, mark: str = "", deviation: Any = None) -> Cell:
    """Accuracy in per cent as the paper prints it, the others as shares; printed deviations after ±."""
    times, unit = (100, "percent") if score == "accuracy" else (1, "share")
    value, printed = pick(ours, score), pick(paper, score)
    low, high, spread = (pick(ours, f"{score}_{end}") for end in ("low", "high", "std"))
    if printed is not None and pick(deviation, score) is not None:
        printed = f"{printed:.{2 if unit == 'percent' else 4}f} ± {_as_printed(deviation[score])}"
    ours, low, high, spread = (None if figure is None else times * figure for figure in (value, low, high, spread))
    return Cell(ours, printed, unit, low, high, spread, mark)


def _as_printed(deviation: float) -> str:
    """A printed deviation: two decimals, three where the paper has three.

    >>> _as_printed(0.1), _as_printed(0.075)
    ('0.10', '0.075')
    """
    return f"{deviation:.2f}" if round(deviation, 2) == deviation else f"{deviation:.3f}"


def _missing_model(sources: Sources) -> str:
    """Why there are no figures of the fusion model, and what brings them."""
    if pick(sources.metrics, "models", MODEL):
        return ""
    if sources.lacking or sources.metrics is None:
        return sources.lacking or NO_METRICS
    return f"train.model is {sources.main}: set it to {MODEL} and run `dvc repro`"


def _protocols(metrics: Mapping[str, Any] | None) -> tuple[str, ...]:
    protocol = pick(metrics, "provenance", "protocol")
    return (protocol,) if protocol else ()


def _provenance(metrics: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Test material of the main pipeline, and corpora that are stand-ins."""
    provenance = pick(metrics, "provenance") or {}
    if not provenance:
        return ()
    kinds = (dict.fromkeys(provenance.get("synthetic") or [], "synthetic speech")
             | dict.fromkeys(provenance.get("partial") or [], "PARTIAL"))
    corpora = ", ".join(f"{name} ({kinds[name]})" if name in kinds else name
                        for name in provenance.get("corpora") or [])
    return (f"{provenance.get('test_utterances', DASH)} test utterances of {provenance.get('test_speakers', DASH)} "
            f"speakers of {corpora}; backbone: {provenance.get('backbone') or 'not said'}.", *_heard(metrics))


def _heard(metrics: Mapping[str, Any] | None) -> tuple[str, ...]:
    return tuple(filter(None, [heard_in_training(pick(metrics, "provenance") or {})]))
