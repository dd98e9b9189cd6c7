"""params.yaml as strict frozen models, one section per stage."""

from ser_ops.config.load import load
from ser_ops.config.sections import (
    Ablations,
    Augment,
    Compute,
    Data,
    Evaluate,
    Explain,
    Features,
    Gate,
    Head,
    Limit,
    ManifestSource,
    Params,
    Partitions,
    Paths,
    Predict,
    Preset,
    Range,
    Report,
    Spectral,
    Tracking,
    Train,
    Training,
    Tune,
    Validation,
    Wav2Vec,
)

__all__ = [
    "Ablations", "Augment", "Compute", "Data", "Evaluate", "Explain", "Features", "Gate", "Head", "Limit",
    "ManifestSource", "Params", "Partitions", "Paths", "Predict", "Preset", "Range", "Report", "Spectral",
    "Tracking", "Train", "Training", "Tune", "Validation", "Wav2Vec", "load",
]
