"""What mkdocs.yml calls while it builds: keeps options such as `--output my.trec` whole where a line of code wraps."""

from __future__ import annotations

import re

CODE = re.compile(r"<code[^>]*>.*?</code>", re.DOTALL)
TAG_OR_OPTION = re.compile(
    r"""(?<![\w-])--[a-z][\w-]*
        (?:(?:[ ]|<span[ ]class="w">[ ]</span>)      # as it stands, or as Pygments marks it
           [^\s<\[(-][^\s<]{0,27}(?=[\s<]))?         # a short value
      | <[^>]*>""",
    re.VERBOSE,
)


def on_page_content(html: str, **_: object) -> str:
    """Put each option in code, with a short value, into a span that does not wrap (assets/site.css); browsers break lines after hyphens."""
    return CODE.sub(lambda code: TAG_OR_OPTION.sub(_whole, code[0]), html)


def _whole(found: re.Match[str]) -> str:
    return found[0] if found[0].startswith("<") else f'<span class="option">{found[0]}</span>'
