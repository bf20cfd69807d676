"""Which features fire together: exact sums over documents, tests, edges."""

import os

import numba

# GNU OpenMP threads spin for milliseconds after a parallel kernel and take the cores from the
# matrix products in between (six times slower on two cores); numba's own pool does not.
if not {"NUMBA_THREADING_LAYER", "NUMBA_THREADING_LAYER_PRIORITY"} & set(os.environ):
    numba.config.THREADING_LAYER_PRIORITY = ["tbb", "workqueue", "omp"]
