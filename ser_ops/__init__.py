"""Noise-robust, explainable speech emotion recognition as a pipeline that people can trust."""
