"""Geometry of a replica: which ranks, which bundles, and whether they fit.

Standard library only.
"""
