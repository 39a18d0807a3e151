"""What all commands have in common: the parser's frame, logging, exit codes (0 good, 1 a check failed, 2 bad input)."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from expandr_repro import __version__
from expandr_repro.console.arguments import Parser
from expandr_repro.console.options import Options, option
from expandr_repro.console.parsing import add_options, given_options, read_options
from expandr_repro.console.terminal import one_line, printable
from expandr_repro.errors import ExpandrError, is_memory_fault, missing_library, unforeseen, write_fault
from expandr_repro.io.files import is_surrogate_free


@dataclass(frozen=True)
class Common:
    """The options that every command has."""

    quiet: bool = option(False, "-q", "--quiet", help="no progress bars and no notes")
    verbose: bool = option(False, "-v", "--verbose", help="say more of what is done")


def parser(command: str, summary: str, examples: str, shape: type[Options] | None = None) -> Parser:
    """Return a parser with the options that every command has, and the command's own.

    Args:
        command: the command's name.
        summary: what it does, in a sentence.
        examples: command lines to show at the end of the help.
        shape: the command's own options.
    """
    built = Parser(
        prog=f"python -m expandr_repro.{command}",
        description=summary,
        epilog="examples:\n" + "\n".join(f"  {line}" for line in examples.strip().splitlines()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    built.add_argument("--version", action="version", version=f"expandr_repro {__version__}")
    add_options(built, Common)
    if shape:
        built.shape = shape
        add_options(built, shape)
    return built


def command(build_parser: Callable[[], Parser], run: Callable[[Any], int]) -> Callable[..., int]:
    """Return a command's `main`: a function of the command line, or of nothing for the process's own, that returns the exit code."""
    return lambda argv=None: execute(build_parser(), run, argv)


def execute(built: Parser, run: Callable[[Any], int], argv: Sequence[str] | None) -> int:
    """Parse, run, and turn what goes wrong into one line on standard error and an exit code.

    Args:
        built: the command's parser.
        run: the command, a function of the dataclass of its options, or of what the parser returns where it has none.
        argv: the command line, or None for the process's own.
    """
    words = sys.argv[1:] if argv is None else argv
    args = built.parse_args(words)
    _set_up(args.quiet, args.verbose)
    try:
        if built.shape is None:
            return run(args)
        options = read_options(built.shape, args, given_options(built, words))
        options.refuse_idle()
        return run(options)
    except ExpandrError as error:
        return _fail(str(error), error.exit_code, args.verbose)
    except KeyboardInterrupt:
        return _fail("interrupted", 130, False)
    except BrokenPipeError:
        # the reader has gone; so do we, without a second complaint
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return _fail(f"{error.filename or 'the system'}: {error.strerror or error}", 2, args.verbose)
    except UnicodeEncodeError as error:
        if is_surrogate_free(error.object):
            message = f"what is to be printed cannot be written in {error.encoding}; set PYTHONIOENCODING=utf-8"
        else:
            message = (
                "the name of a file holds bytes that are no UTF-8; rename it, or where they are UTF-8 set PYTHONUTF8=1"
            )
        return _fail(message, 2, args.verbose)
    except Exception as error:  # noqa: BLE001 - the last net: a traceback only for those who ask
        if is_memory_fault(error):
            message = "out of memory; lower --batch-size, --batch-tokens or --hits, or split the input"
        elif reason := missing_library(error):
            message = reason
        elif reason := write_fault(error):
            message = f"{reason}; is the disk full? What was complete is kept: run the same command again"
        else:
            message = f"{unforeseen(error)}; --verbose shows where; if the input is in order, please report it"
        return _fail(message, 2, args.verbose)


def _fail(message: str, code: int, verbose: bool) -> int:
    if verbose:
        logging.getLogger("expandr_repro").exception("traceback:")
    print(f"error: {one_line(message)}", file=sys.stderr)
    return code


class _Plain(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """Set `note:` or `warning:` before a message, whose names may come from anyone."""
        word = "note" if record.levelno < logging.WARNING else "warning"
        return f"{word}: {printable(super().format(record))}"


def _set_up(quiet: bool, verbose: bool) -> None:
    from expandr_repro.console.progress import set_quiet

    set_quiet(quiet)
    logger = logging.getLogger("expandr_repro")
    logger.setLevel(logging.WARNING if quiet else logging.DEBUG if verbose else logging.INFO)
    logger.propagate = False
    handler = logging.StreamHandler()  # a new one each time: standard error may be another by now
    handler.setFormatter(_Plain())
    logger.handlers = [handler]
