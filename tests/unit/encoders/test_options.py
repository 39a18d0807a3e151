"""Options that choose an encoder, as the commands that encode take them."""

from __future__ import annotations

import pytest

from expandr_repro.console.arguments import Parser
from expandr_repro.console.parsing import add_options
from expandr_repro.encoders.options import EncoderOptions
from expandr_repro.search.__main__ import build_parser


def parsed(*words: str):
    made = Parser(allow_abbrev=False)
    add_options(made, EncoderOptions)
    return made.parse_args(words)


def test_they_leave_everything_to_the_encoder_unless_said():
    args = parsed()
    assert (args.encoder, args.device, args.precision) == ("all-MiniLM-L6-v2", "auto", "fp32")
    assert args.trust_remote_code is False
    assert args.pooling is args.normalize is args.query_prefix is args.document_prefix is args.max_length is None


@pytest.mark.parametrize(("word", "value"), [("--normalize", True), ("--no-normalize", False)])
def test_unit_vectors_can_be_asked_for_and_refused(word, value):
    assert parsed(word).normalize is value


def test_they_stand_in_a_group_of_their_own():
    assert "\nencoder:\n  --encoder E" in build_parser().format_help()
