"""The spectral stability stream of paper 1, in the design that the preset names."""

from ser_ops.config import Bands, Preset
from ser_ops.models.band_branch import BandBranch
from ser_ops.models.block_branch import BlockBranch
from ser_ops.models.standardise import Standardisation

SpectralBranch = BlockBranch | BandBranch


def spectral_branch(preset: Preset, standardisation: Standardisation | None = None) -> SpectralBranch:
    """The stream from features to the members' embeddings (B, preset.spectral.members, preset.spectral.embedding)."""
    if isinstance(preset.spectral, Bands):
        return BandBranch(preset.features, preset.spectral, standardisation)
    return BlockBranch(preset.features, preset.spectral, standardisation)
