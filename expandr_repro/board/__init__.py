"""Write the board: published scores next to reproduced ones, as a static site, and runs in QueryGym's result schema."""
