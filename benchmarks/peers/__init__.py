"""The peers that this project is measured beside, each called as its own documentation calls it."""
