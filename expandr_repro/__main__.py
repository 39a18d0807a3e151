"""List the commands, and run one: `expandr COMMAND` or `python -m expandr_repro COMMAND`."""

from __future__ import annotations

import importlib
import sys

from expandr_repro import __version__

COMMANDS = {
    "expand": "generate expansions of topics with an LLM; each text is stored and paid for once",
    "search": "search topics, with or without expansions; write a TREC run and print its scores",
    "encode": "encode a corpus into a Faiss index, or index it with Lucene for BM25",
    "evaluate": "score TREC runs against qrels",
    "compare": "compare runs: differences, significance, wins and losses",
    "fuse": "fuse runs of the same topics, or searches with several retrievers, into one run",
    "gate": "fit a gate, which chooses per topic between query and expansions, or show one",
    "prefer": "make preference pairs for training the LLM from topics with several expansions each",
    "train_encoder": "train an encoder on queries fused with their expansions",
    "train_generator": "train the LLM (a LoRA adapter) on preference pairs, or on topics with expansions",
    "regress": "run the pinned conditions again and compare every score with its pin",
    "report": "write one HTML page about runs, for a browser",
    "doctor": "check what works on this machine, and how to fix what does not",
}


def main() -> int:
    """Call a command, or list them."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in COMMANDS:
        command = importlib.import_module(f"expandr_repro.{name}.__main__")
        return int(command.main(sys.argv[2:]))
    if name in ("-h", "--help"):
        print("usage: expandr COMMAND ...    (or python -m expandr_repro.COMMAND ...)\n")
        for command_name, summary in COMMANDS.items():
            print(f"  {command_name:<16} {summary}")
        print("\nEach has its own --help.")
        return 0
    if name == "--version":
        print(f"expandr_repro {__version__}")
        return 0
    from expandr_repro.errors import UnknownNameError

    print(f"error: {UnknownNameError('command', name, COMMANDS)}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
