# The paper's settings (docs/reproduce.md, and its source for each): 8 GPUs, a network, days. Not run by this project.
#
# $EXPANDR_DATA/echo/llm and echo/retriever are made by examples/loop/echo.py of the eight Echo-embeddings sets, 100,000 rows for the LLM
# and the rest for the retriever, each with its negatives; the test collections are found by name: TEST=scifact bash loop.sh paper OUT
# again for each of the 15.
echo="${EXPANDR_DATA:?where the collections are}/echo"
train_llm="$echo/llm/train" train="$echo/retriever/train" negatives="$echo/retriever/negatives.trec"
test="${TEST:-nq}" corpus="${TEST:-nq}"
encoder=anchordr reward=contriever
encode=(--device cuda --precision bf16)
backend=vllm generator=meta-llama/Meta-Llama-3-8B-Instruct
candidates=(--data-parallel 8)                  # the preset: 8 each at 0.8, 0.9, 1.0, 1.1; top-p 0.9, 512 tokens
answers=(--data-parallel 8 --temperature 1.0)
passages=(--preset expandr-eval --data-parallel 8)
prefer=(--candidates-per-topic 32 --min-similarity 0.6 --sample 30000 --dev 3000 --seed 42 --precision fp16 --max-length 512)
train_generator=(--config dpo --set gradient_accumulation=1)                                # 2 x 8 a step, over 8 GPUs
train_encoder=(--config expandr-encoder --precision bf16)                                    # 128 contrasted, 8 accumulated
launch_generator="accelerate launch --num_processes 8" launch_encoder="torchrun --standalone --nproc-per-node 2"
