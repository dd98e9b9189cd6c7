"""Table I of paper 1, the related work, as printed: a reference, with nothing of ours in it.

Years are those of the table; where the paper's own list of references gives another, `listed` holds that one.
"""

from dataclasses import dataclass

from ser_ops.papers.table import Table

COLUMNS = ("Ref.", "Year", "Method / model", "Dataset(s)", "Noise / condition", "Key findings / accuracy",
           "Notes / limitation")


@dataclass(frozen=True)
class Work:
    """One row. `number` is the paper's reference, `listed` the year of its reference list where that differs."""

    number: int
    authors: str
    year: int
    method: str
    datasets: str
    noise: str
    findings: str
    notes: str
    listed: int | None = None


WORKS: tuple[Work, ...] = (
    Work(24, "Win, Khine et al.", 2020, "MLP / SVM / Decision Tree / Deep Learning", "IEMOCAP",
         "Real-world sport event noise (0–15 dB SNR)",
         "MLP: 90.68%, SVM: 56.52%, Decision Tree: 89.44%, Deep Learning: 54.34%",
         "Performance decreases under noisy conditions; MMSE used for enhancement; limited dataset size (322 "
         "sentences)"),
    Work(25, "Schuller et al.", 2010, "SVM with Large Acoustic Feature Set (4k LLDs + IGR-FS)", "DES, EMO-DB, SUSAS",
         "White Noise / Real-world Noise",
         "DES: 74.5% (clean), 54.9% (-10dB SNR); EMO-DB: 87.5% (clean), 71.1% (-10dB SNR); SUSAS: 84.9%",
         "Feature selection improves accuracy; performance drops with severe noise; robust on real-world noisy SUSAS "
         "data", 2006),
    Work(26, "Xu et al.", 2021, "Head Fusion (ACNN + Multi-head Attention)", "IEMOCAP, RAVDESS",
         "Real-world / Simulated ESC-50 noise", "Weighted Acc.: 76.36%, Un-Weighted Acc.: 76.18%",
         "Evaluated robustness under 50 types of noise, noise injection strategies, and varying SNRs"),
    Work(27, "Chakraborty et al.", 2019,
         "Front-end feature compensation (VTS, VTS-AM) & TDNN-DAE denoising with feature selection", "EmoDB, IEMOCAP",
         "Babble, Factory, HF channel, F16, Volvo", "Up to 79.71% (EmoDB, TDNN-DAE, 20 dB Babble)",
         "TDNN-DAE performs best in seen noise conditions; 10th-root compression with VTS-AM improves MFCC features; "
         "feature selection on non-MFCC HLDs provides consistent gain"),
    Work(28, "Leem et al.", 2024, "Selective Acoustic Feature Enhancement (enhance only weak LLDs)",
         "MSP-Podcast, IEMOCAP", "Multi-noise, Real-world",
         "MSP-Podcast: 17.7% (arousal), 21.2% (dominance), 3.3% (valence) gain; IEMOCAP: 5.1% (arousal), 7.9% "
         "(dominance), 45.2% (valence) gain",
         "Feature-based enhancement outperforms signal-based; robust LLDs are left unchanged; works under matched, "
         "mismatched, and multi-SNR conditions"),
    Work(29, "Yunxiang and Kexin", 2023, "ASP-MTL (Adversarial Shared-Private Multi-Task Learning)",
         "AVEC 2016, AFEW 6.0, IEMOCAP", "Real-world noise + white/pink/babble/factory (various SNRs)",
         "10% improvement in accuracy and F1 over prior works",
         "Two-stage model; requires multi-task setup for noise and gender handling"),
    Work(30, "Huang et al.", 2019, "LW-WPCC + SVM (with audio-visual fusion)",
         "Berlin Emotional Corpus, IEMOCAP, NOISEX-92",
         "Realistic + synthetic noise (white, pink, car, restaurant, factory) across SNR 0–30dB",
         "72.12% accuracy (Berlin); audio-visual fusion 15% higher accuracy under noise",
         "Handcrafted feature extraction; multimodal fusion sensitive to lighting and face position"),
    Work(31, "Wijayasingha and Stankovic", 2021,
         "FCNN with magnitude + Modified Group Delay (MGD) spectrograms; attention mechanism; noise-augmented training",
         "Berlin Emotional Speech Database; RAVDESS",
         "9 indoor noise types + AWGN at SNRs 10,15,20,25,30,35",
         "Noise-augmented training + combined features improved noise robustness; attention mechanism helped focus on "
         "clean sections; Avg. 81% under noise, 91% clean",
         "Initial experiments on synthetic/indoor noise; real-world noise generalization not fully tested; class "
         "imbalance handled with class weights"),
    Work(32, "Kshirsagar et al.", 2021, "Multimodal AER (speech + text); MetricGAN+; Data augmentation; DNN classifier",
         "MELD, IEMOCAP, Emoti-W", "Babble, cafeteria, airplane noise; SNR -10 to 20 dB",
         "Enhancement + augmentation improved cross-corpus AER by 17–44%",
         "Enhancement alone insufficient; cross-corpus still challenging", 2023),
    Work(33, "Chen et al.", 2023,
         "NRSER: SE (CMGAN) + SNR-level detection + waveform reconstitution; SSL-based emotion recognition",
         "MSP-PODCAST, AudioSet, LibriSpeech", "Mixed background noise, SNR 6–14 dB",
         "Improved noise robustness; avoids recognizing background-only signals; best F1 for emotion and valence",
         "Less effective on arousal and dominance; SE may reduce signal intensity"),
    Work(34, "Zhou et al.", 2020, "LSTM-IRM; LSTM-PL-MTL with progressive learning + ISPP post-processing",
         "IEMOCAP, CHEAVD 2.0, WSJ0", "Simulated and realistic background noise, SNR -5 to 15 dB",
         "SE trained on emotional speech improves SER; T3-IRM + ISPP achieves best performance (44.13% on CHEAVD noisy "
         "test)",
         "SE models trained on non-emotional corpus may destroy emotion cues; overfitting possible with deeper LSTM "
         "layers"),
    Work(35, "Wilf and Provost", 2023, "DLC / SLC, Mixture-of-Experts, DSN, DANN, MADDoG, HFFN",
         "MSP-Improv, MOSEI, IEMOCAP", "Environmental noise (natural, human, interior) with varied SNR profiles",
         "DLC improves noise robustness; MoE-DLC boosts unimodal UAR; DSN shows strongest generalization to unseen "
         "noise",
         "SLC breaks temporal sequence; MoE weak on unseen noise; DLC applied only to acoustic stream", 2021),
    Work(36, "Chenchah and Lachiri", 2016, "Spectral Subtraction, Wiener Filter, MMSE + MFCC + HMM", "IEMOCAP",
         "Real-world noise: airport, babble, train, car (SNR: 0–15 dB)",
         "Enhancement improves accuracy mainly for airport/babble; spectral subtraction best; limited gains for "
         "machine noise",
         "HMM-based; only 4 classes; enhancement fails on train/car noise"),
)


def table_i() -> Table:
    """The table in the paper's own shape; every entry is the paper's."""
    rows = tuple((f"[{one.number}] {one.authors}", str(one.year), one.method, one.datasets, one.noise, one.findings,
                  one.notes) for one in WORKS)
    other = ", ".join(f"[{one.number}] {one.listed}" for one in WORKS if one.listed)
    return Table("table_i", "Summary of related works in speech emotion recognition under noisy conditions", COLUMNS,
                 rows, ("A reference as the paper prints it: these are others' figures on other data, and nothing here "
                        "was run again. Numbers in brackets are the paper's references.",
                        f"The paper's own list of references gives other years for: {other}."))
