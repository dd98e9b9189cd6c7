"""Table I of paper 1, the related work: its rows and figures, briefly and in our words; a reference, nothing of ours.

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
    Work(24, "Win, Khine et al.", 2020, "MLP, SVM, decision tree, deep network", "IEMOCAP",
         "sports events, 0 to 15 dB", "MLP 90.68 %, SVM 56.52 %, tree 89.44 %, deep network 54.34 %",
         "noise costs accuracy; MMSE enhancement; 322 sentences only"),
    Work(25, "Schuller et al.", 2010, "SVM on 4,000 descriptors, selected by information gain", "DES, EMO-DB, SUSAS",
         "white noise, real noise", "DES 74.5 % clean, 54.9 % at -10 dB; EMO-DB 87.5 % and 71.1 %; SUSAS 84.9 %",
         "selecting features helps; loud noise hurts; holds on SUSAS, which is noisy by nature", 2006),
    Work(26, "Xu et al.", 2021, "ACNN with attention heads fused", "IEMOCAP, RAVDESS", "ESC-50, real and simulated",
         "weighted accuracy 76.36 %, unweighted 76.18 %", "tested with 50 kinds of noise at several SNRs"),
    Work(27, "Chakraborty et al.", 2019, "VTS compensation and TDNN denoising in front, features selected",
         "EmoDB, IEMOCAP", "babble, factory, HF channel, F16, Volvo",
         "at best 79.71 % (EmoDB, TDNN-DAE, babble at 20 dB)",
         "TDNN-DAE leads where the noise was seen; root compression helps MFCC; selecting other descriptors always "
         "helps"),
    Work(28, "Leem et al.", 2024, "enhances weak descriptors alone", "MSP-Podcast, IEMOCAP", "several, real",
         "gains: MSP-Podcast arousal 17.7 %, dominance 21.2 %, valence 3.3 %; IEMOCAP 5.1 %, 7.9 %, 45.2 %",
         "better than enhancing the signal; leaves sturdy descriptors alone; seen and unseen noise"),
    Work(29, "Yunxiang and Kexin", 2023, "ASP-MTL: adversarial, shared and private tasks",
         "AVEC 2016, AFEW 6.0, IEMOCAP", "real noise; white, pink, babble, factory",
         "10 % above earlier work in accuracy and F1",
         "two stages; needs noise and gender as further tasks"),
    Work(30, "Huang et al.", 2019, "LW-WPCC and SVM, fused with video", "Berlin corpus, IEMOCAP, NOISEX-92",
         "real and made (white, pink, car, restaurant, factory), 0 to 30 dB",
         "72.12 % (Berlin); with video 15 % more in noise", "features made by hand; video suffers from light and pose"),
    Work(31, "Wijayasingha and Stankovic", 2021, "FCNN on magnitude and group-delay spectrograms, attention, noise in "
         "training", "Berlin corpus, RAVDESS", "9 indoor noises and white noise, 10 to 35 dB",
         "about 81 % in noise, 91 % clean; attention finds the clean stretches",
         "indoor and made noise only; classes weighted"),
    Work(32, "Kshirsagar et al.", 2021, "speech and text, MetricGAN+, augmentation, DNN", "MELD, IEMOCAP, Emoti-W",
         "babble, cafeteria, airplane, -10 to 20 dB", "enhancement with augmentation: 17 to 44 % more across corpora",
         "enhancement by itself is not enough", 2023),
    Work(33, "Chen et al.", 2023, "NRSER: CMGAN enhancement, SNR detection, self-supervised features",
         "MSP-Podcast, AudioSet, LibriSpeech", "mixed, 6 to 14 dB",
         "holds in noise; silent on background alone; best for valence",
         "weaker for arousal and dominance; enhancement may lower the level"),
    Work(34, "Zhou et al.", 2020, "LSTM masks, progressive learning, ISPP", "IEMOCAP, CHEAVD 2.0, WSJ0",
         "real and simulated, -5 to 15 dB", "enhancer trained on emotional speech; best: 44.13 % (CHEAVD, noisy)",
         "an enhancer trained on other speech can remove the emotion; deep LSTMs overfit"),
    Work(35, "Wilf and Provost", 2023, "DLC, SLC, mixture of experts, DSN, DANN, MADDoG, HFFN",
         "MSP-Improv, MOSEI, IEMOCAP", "natural, human, indoor",
         "DLC helps in noise, with experts in UAR; DSN is best on unseen noise",
         "SLC spoils the order in time; experts are weak on unseen noise; sound only", 2021),
    Work(36, "Chenchah and Lachiri", 2016, "spectral subtraction, Wiener filter, MMSE; MFCC and HMM", "IEMOCAP",
         "airport, babble, train, car, 0 to 15 dB", "enhancement helps with airport and babble; subtraction is best",
         "HMM, four classes; no help against train and car"),
)


def table_i() -> Table:
    """The table in the paper's own shape; every figure is the paper's."""
    rows = tuple((f"[{one.number}] {one.authors}", str(one.year), one.method, one.datasets, one.noise, one.findings,
                  one.notes) for one in WORKS)
    other = ", ".join(f"[{one.number}] {one.listed}" for one in WORKS if one.listed)
    return Table("table_i", "Summary of related works in speech emotion recognition under noisy conditions", COLUMNS,
                 rows, ("A reference: what the paper's table says, shortened; others' figures on other data, and "
                        "nothing here was run again. Numbers in brackets are the paper's references.",
                        f"The paper's own list of references gives other years for: {other}."))
