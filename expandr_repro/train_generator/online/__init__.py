"""Online training: texts are written, rewarded and learnt from as training goes."""
