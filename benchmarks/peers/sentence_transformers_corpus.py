"""sentence-transformers as its documentation uses it: the corpus in a list, one `encode`, the vectors saved.

python -m benchmarks.peers.sentence_transformers_corpus MODEL CORPUS OUTPUT MAX_LENGTH
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main() -> int:
    """Encode the corpus."""
    import numpy as np
    from sentence_transformers import SentenceTransformer

    folder, corpus, output, length = sys.argv[1:]
    model = SentenceTransformer(folder, device="cpu")
    model.max_seq_length = int(length)
    with Path(corpus).open(encoding="utf-8") as file:
        texts = [json.loads(line)["text"] for line in file]
    np.save(output, model.encode(texts, batch_size=32, normalize_embeddings=True, show_progress_bar=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
