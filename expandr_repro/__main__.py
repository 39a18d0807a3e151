"""List the commands, and run one: `expandr COMMAND` or `python -m expandr_repro COMMAND`."""

from __future__ import annotations

import importlib
import sys

from expandr_repro import __version__

COMMANDS = {
    "expand": "topics and an LLM to augmented topics; nothing is paid for twice",
    "search": "topics, with or without expansions, to a TREC run and its scores",
    "encode": "a corpus to a Faiss index, or to a Lucene index for BM25",
    "evaluate": "runs and qrels to scores",
    "compare": "runs side by side: differences, significance, wins and losses",
    "fuse": "runs of the same topics, or searches with several retrievers, to one run",
    "prefer": "topics with several expansions each to preference pairs for training the generator",
    "train_encoder": "topics with expansions and relevant documents to an encoder trained on fused queries",
    "train_generator": "preference pairs, or topics with expansions, to a LoRA adapter for the LLM",
    "regress": "regression files: every score run again and compared with its pin, both ways",
    "report": "runs, or the reference runs of regressions, to one HTML page for a browser",
    "doctor": "what works on this machine, what does not, and how to fix it",
}


def main() -> int:
    """Call a command, or list them."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in COMMANDS:
        command = importlib.import_module(f"expandr_repro.{name}.__main__")
        return int(command.main(sys.argv[2:]))
    if name in ("-h", "--help"):
        print("usage: python -m expandr_repro COMMAND ...    (or python -m expandr_repro.COMMAND ...)\n")
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
