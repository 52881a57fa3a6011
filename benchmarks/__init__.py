"""Measurements that print a table and write JSON; every one compares its arms in one run."""
