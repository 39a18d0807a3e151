#!/usr/bin/env bash
# The whole loop of ExpandR, as commands: an LLM's candidates, preference pairs, DPO, new passages, a retriever trained on them, search.
#
#     bash examples/loop/loop.sh small OUT       # pocket and a tiny language model: a minute or two on two cores
#     bash examples/loop/loop.sh paper OUT       # the paper's settings: Llama-3-8B-Instruct, AnchorDR, 32 candidates; needs GPUs and a network
#
# The settings are in small.sh and paper.sh next to this file; the commands are the same. Steps finished by an earlier call are not repeated.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
size="${1:?which settings: small or paper}"
out="${2:?where to: a folder}"
mkdir -p "$out"
python="${PYTHON:-python}"

# shellcheck source=/dev/null
source "$here/$size.sh"

step() { printf '\n=== %s\n' "$*"; }

step "1. candidates: several passages a training topic, at several temperatures"
$python -m expandr_repro.expand --topics "$train_llm" --backend "$backend" --model "$generator" --preset expandr-candidates "${candidates[@]}" --output "$out/candidates.jsonl"

step "2. answers: from the query and its relevant passage"
$python -m expandr_repro.expand --topics "$train_llm" --prompt q2a --backend "$backend" --model "$generator" "${answers[@]}" --output "$out/answers.jsonl"

step "3. pairs: the passage that helps the retriever most against the one that helps it least"
$python -m expandr_repro.prefer --candidates "$out/candidates.jsonl" --gold "$train_llm" --answers "$out/answers.jsonl" --encoder "$reward" "${prefer[@]}" --output "$out/pairs.jsonl"

step "4. DPO: the generator learns to prefer what helps"
$launch_generator -m expandr_repro.train_generator --pairs "$out/pairs.jsonl" --dev-pairs "$out/pairs.dev.jsonl" --model "$generator" "${train_generator[@]}" --output "$out/generator"

step "5. new passages, for training and for the test topics"
$python -m expandr_repro.expand --topics "$train" --backend "$backend" --model "$generator" --adapter "$out/generator" "${passages[@]}" --output "$out/train.q2d.jsonl"
$python -m expandr_repro.expand --topics "$test" --backend "$backend" --model "$generator" --adapter "$out/generator" "${passages[@]}" --output "$out/test.q2d.jsonl"

step "6. hard negatives: those given, or what the untrained retriever finds and nobody judged relevant"
[ -n "$negatives" ] || $python -m expandr_repro.search --topics "$train" --encoder "$encoder" "${encode[@]}" --fusion none --no-baseline --hits 200 --output "$out/negatives.trec"

step "7. the retriever, trained on queries fused with the new passages"
$launch_encoder -m expandr_repro.train_encoder --train "$train" --expansions "$out/train.q2d.jsonl" --negatives "${negatives:-$out/negatives.trec}" --encoder "$encoder" "${train_encoder[@]}" --output "$out/encoder"

step "8. an index with it"
$python -m expandr_repro.encode --corpus "$corpus" --encoder "$out/encoder" --output "$out/index"

step "9. search: the query alone, and fused, with the untrained and with the trained retriever"
$python -m expandr_repro.search --topics "$test" --encoder "$encoder" "${encode[@]}" --fusion none --output "$out/base.none.trec"
$python -m expandr_repro.search --topics "$test" --encoder "$encoder" "${encode[@]}" --expansions "$out/test.q2d.jsonl" --output "$out/base.mean.trec"
$python -m expandr_repro.search --topics "$test" --encoder "$out/encoder" --index "$out/index" --fusion none --output "$out/trained.none.trec"
$python -m expandr_repro.search --topics "$test" --encoder "$out/encoder" --index "$out/index" --expansions "$out/test.q2d.jsonl" --output "$out/trained.mean.trec"

step "10. which differences are real"
$python -m expandr_repro.compare --qrels "$test" "$out/base.none.trec" "$out/base.mean.trec" "$out/trained.none.trec" "$out/trained.mean.trec" --plot "$out/differences.png"
