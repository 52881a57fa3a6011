"""The embedded model.

A small world of flat shapes, a trained FLUX pipeline for it, and a judge of its pictures.
"""
