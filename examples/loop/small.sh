# Settings of loop.sh for two cores and a few minutes. The language model is made here and knows next to nothing: this shows that
# the steps fit together, not that they help. Training and test topics are the same, since pocket has no others.
train_llm=pocket/test train=pocket/test test=pocket/test corpus=pocket negatives=
encoder=all-MiniLM-L6-v2 reward=all-MiniLM-L6-v2
encode=(--max-length 64)
backend=transformers generator="$out/tiny"
candidates=(--samples 1 --max-tokens 24)        # four candidates: one at each of the paper's temperatures
answers=(--max-tokens 16)
passages=(--preset expandr-eval --max-tokens 24)
prefer=(--min-similarity 0 --dev 8)
train_generator=(--set epochs=1 --set batch_size=8 --set gradient_accumulation=1 --set max_prompt_length=200 --set learning_rate=1e-3)
train_encoder=(--max-length 64 --set epochs=1 --set batch_size=24 --set hard_negatives=1)
launch_generator=$python launch_encoder=$python
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-2}"

if [ ! -f "$out/tiny/config.json" ]; then
    $python "$here/pretrain.py" --collections pocket --output "$out/tiny" --vocabulary 1500 --shape 64 2 2 --length 128 --batch 16 --epochs 1
fi
