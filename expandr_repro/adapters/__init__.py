"""Other toolkits, each behind one door."""
