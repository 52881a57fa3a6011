"""Config and policy: every decision of the cluster, as pure functions.

Standard library and pydantic only.
"""
