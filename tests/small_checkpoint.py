"""A Wav2Vec 2.0 checkpoint that tests make: random weights in the hub's layout."""

from pathlib import Path

import torch
import transformers

LAYERS = 3


def small_checkpoint(folder: Path, norm: str, seed: int = 9) -> Path:
    """A Wav2Vec 2.0 of three layers: `group` as the base models are built, `layer` as the large ones."""
    torch.manual_seed(seed)
    transformers.Wav2Vec2Model(transformers.Wav2Vec2Config(
        hidden_size=16, num_hidden_layers=LAYERS, num_attention_heads=2, intermediate_size=24, conv_dim=(16, 16),
        conv_kernel=(40, 8), conv_stride=(20, 8), num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2,
        feat_extract_norm=norm, do_stable_layer_norm=norm == "layer")).save_pretrained(folder)
    return folder
