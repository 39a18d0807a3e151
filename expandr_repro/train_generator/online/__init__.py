"""Online training: texts are written, rewarded and learned from as training goes."""
