"""Evaluate runs: metrics with trec_eval's meaning, significance."""
