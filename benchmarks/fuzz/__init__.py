"""Damaged files through every door by which files come in: python -m benchmarks.fuzz

One thread, whatever the library: they read their environment when they are loaded, so it is set here, before.
"""

import os

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[name] = "1"
