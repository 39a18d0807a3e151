"""The peers that this project is measured next to, each called as its own documentation calls it."""
