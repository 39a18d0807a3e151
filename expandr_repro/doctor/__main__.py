"""`doctor`: what works on this machine, what does not, and how to fix it."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from expandr_repro import cli
from expandr_repro.console.arguments import Parser
from expandr_repro.console.options import Options, When, option
from expandr_repro.console.terminal import one_line, print_json
from expandr_repro.errors import CheckFailedError

EXAMPLES = """
python -m expandr_repro.doctor
eval "$(python -m expandr_repro.doctor --env)"    # the variables under which stock Pyserini works here
"""

SIGNS = {"ok": "ok  ", "without": "--  ", "broken": "FAIL"}
COLOURS = {"ok": "\033[32m", "without": "\033[33m", "broken": "\033[31m"}


SHELL = When("without --env, which prints lines for a shell", lambda request: not request.env)


@dataclass(frozen=True)
class DoctorRequest(Options):
    """What is printed."""

    env: bool = option(False, help="print the shell lines under which stock Pyserini finds a Java that works, and nothing else")  # fmt: skip
    format: str = option("text", choices=("text", "json"), applies=SHELL)


def build_parser() -> Parser:
    """Return the command's parser."""
    return cli.parser(
        "doctor",
        "Look at this machine and at the versions of what is installed. Exit code 1 if a part is broken.",
        EXAMPLES,
        DoctorRequest,
    )


def run(request: DoctorRequest) -> int:
    """Run the command."""
    if request.env:
        import shlex

        from expandr_repro.pyserini.java import find_java
        from expandr_repro.pyserini.jvm import environment

        for name, value in environment(find_java()).items():
            print(f"export {name}={shlex.quote(value)}")
        return 0
    from expandr_repro.doctor.health import examine

    findings = examine()
    if request.format == "json":
        print_json([vars(f) for f in findings])
    else:
        colour = sys.stdout.isatty()
        for finding in findings:
            sign = f"{COLOURS[finding.state]}{SIGNS[finding.state]}\033[0m" if colour else SIGNS[finding.state]
            print(f"{sign}  {finding.what:<12} {one_line(finding.found)}")
            if finding.cure:
                print(f"{'':<20}{finding.cure}")
    broken = [f.what for f in findings if f.state == "broken"]
    if broken:
        raise CheckFailedError(f"does not work here: {', '.join(broken)}")
    return 0


main = cli.command(build_parser, run)

if __name__ == "__main__":
    sys.exit(main())
