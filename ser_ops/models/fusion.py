"""Row D of table VI: both streams with attentive temporal pooling, the proposed model."""

from ser_ops.models.concat import ConcatModel
from ser_ops.models.pooling import AttentivePooling


class FusionModel(ConcatModel):
    """Waveform and features to logits (equations 20 to 23)."""

    name = "fusion"
    Pooling = AttentivePooling
