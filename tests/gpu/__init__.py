"""What only a CUDA device shows. `make test-gpu` runs it and writes docs/gpu-checks.md.

No Ray and no network: the engine alone, on the embedded model and on a tiny FLUX. Torch is imported
inside the tests, so that collecting them needs no card and takes no time.
"""
