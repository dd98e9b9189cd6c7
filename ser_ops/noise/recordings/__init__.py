"""Noise recordings: what there is, bringing more in, partitions by source."""
