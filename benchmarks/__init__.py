"""Benchmarks: ratios of sides measured in one run on one machine."""
