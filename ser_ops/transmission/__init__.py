"""Transmission: telephone bands and codecs, lost packets, and rooms, as changes of a waveform that keep its timing."""
