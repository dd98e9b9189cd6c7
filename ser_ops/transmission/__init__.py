"""Telephone lines and simulated rooms: changes of a waveform that keep its timing."""
