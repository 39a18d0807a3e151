"""Run regressions and compare scores with their pins."""
