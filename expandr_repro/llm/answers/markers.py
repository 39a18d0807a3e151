"""Find the answer in what an LLM generated, without its reasoning, its channels, and other turns.

Models mark these by tokens of their own. What is known here: `<think>` and its kin in every spelling (DeepSeek, Qwen, GLM,
Phi, Nemotron, OLMo, MiniMax's `<mm:think>`, Seed's `<seed:think>`, Apertus, Solar, Pangu), Kimi's, Magistral's and Cohere's brackets,
OpenThinker's thought and solution, the channels of gpt-oss and Gemma 4, Granite's and Apriel's sentences; and the turns of ChatML,
Llama, Gemma, Mistral, Phi, GLM, DeepSeek, Cohere, Granite, EXAONE, Nemotron, Kimi and MiniMax.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict

_QUOTED = r"(?<![`\"'“‘])"  # a text about such tokens sets them in quotes
_WORD = (
    r"(?:\w{1,20}:)?(?:ant|redacted_)?(?:think(?:ing)?(?:_\w{1,10})?|thoughts?|reason(?:ing)?|reflections?|analysis|scratch_?pad"
    r"|inner_?(?:monologue|thoughts?)|chain_?of_?thought|cot|cot_budget_reflect)(?::(?!end\b)\w{1,20})?"
)
_OPENS = (
    rf"<{_WORD}(?:\s[^<>\n]{{0,80}})?>|<\|(?!/){_WORD}\|>|<\|(?:start|begin)_(?:of_)?{_WORD}\|>|<\|inner_prefix\|>|<\|content_thinking\|>"
    r"|<\|open\|>think<\|sep\|>|<unused94>"
    r"|<\|channel>\s*(?:thought|analysis)\b|◁think▷|(?-i:\[THINK\])|\[unused16\]|(?<![\s\S])\s*here(?:['’]s|\s+is)\s+my\s+thought\s+process:"
    r"|(?<![\s\S])\s*here\s+are\s+my\s+reasoning\s+steps:"
)
_CLOSES = (
    rf"</{_WORD}>|<\|/{_WORD}\|>|</\|{_WORD}\|>|<\|end_(?:of_)?{_WORD}\|>|<\|{_WORD}:end\|>|<\|inner_suffix\|>|<\|content(?:_text)?\|>|<channel\|>|◁/think▷"
    r"|<\|close\|>think<\|sep\|>|<unused95>|(?-i:\[/THINK\])|\[unused17\]|(?-i:\[BEGIN FINAL RESPONSE\])|(?<=\n)[ \t]*here(?:['’]s|\s+is)\s+my\s+response:"
)
_REASONING = re.compile(rf"{_QUOTED}(?:(?P<close>{_CLOSES})|(?P<open>{_OPENS}))", re.I)
_MARK = re.compile(rf"{_CLOSES}|{_OPENS}|<\|channel\|>", re.I)
_NOT_OF_A_NAME = re.compile(r"[^a-z]|start|begin|end|of|prefix|suffix")

_HARMONY = re.compile(r"<\|(start|channel|message|end|return|call|constrain)\|>")
_HARMONY_WITHOUT_TOKENS = re.compile(r"\s*(?:assistant)?(?:analysis|commentary)(?=[^\s\w,.;:]|[A-Z0-9\n])")
_FINAL_WITHOUT_TOKENS = re.compile(r"assistantfinal(?:json)?(?=\s|\W|[A-Z0-9])|(?<![\s\S])\s*final(?=[A-Z])")

_TOKEN = re.compile(
    _QUOTED
    + r"(?:<\|(?P<kimi>open|close)\|>\w{1,20}<\|sep\|>|<\|(?P<bars>[\w.:/ ▁-]{1,40})\|>|<\|(?P<open>turn|channel|tool)>|<(?P<close>turn|channel|tool)\|>"
    r"|<(?P<plain>/?s|eos|bos|pad|unk|end_of_turn|start_of_turn|(?:seed|hy):[be]os|unused\d{1,4}|extra_id_\d|SPECIAL_\d{1,3})>"
    r"|\[\|(?P<square>\w{1,20})\|\]|\[(?P<upper>/?INST|/?SYSTEM_PROMPT|END FINAL RESPONSE|EOS|EOT)\]|(?P<minimax>\[e~\[|\]~b\]|\]~!b\[))"
)
_MAYBE = re.compile(
    r"[<\[◁]|\]~|assistantfinal|(?<![\s\S])\s*(?:assistant)?(?:analysis|commentary|final)|\bmy\s(?:thought|reasoning|response)"
)
"""What a text has that has any mark at all."""

_FULL_WIDTH = re.compile(r"<｜([^｜<>\n]{1,40})｜>")
_ENDS = re.compile(
    r"/s|eos|(?:seed|hy):eos|(?:im_|hy_)?(?:end|eo[tmsd])(?!_?header|_of_role)\w*|return|call|separator|content_model_end_sampling"
    r"|close|end final response|/system_prompt|special_(?!1[01])\d+"
)
_STARTS = re.compile(
    r"im_start|start_header_id|header_start|start_of_role|start_of_turn(?:_token)?|start|begin|turn|role|extra_id_1|special_1[01]|\]~b\]"
)
_ROLES = r"user|human|system|assistant|model|chatbot|bot|ai|gpt|tool|observation|developer|environment|answer|think"
_ROLE_TOKEN = re.compile(rf"(?:im_|hy_|message_)?({_ROLES})(?:_token)?")
_ROLE_WORD = re.compile(rf"\s*({_ROLES})\b[ \t]*(?=\n|<|\[|$)\n?", re.I)
_OWN = ("assistant", "model", "chatbot", "bot", "ai", "gpt", "answer")


def mentions_marks(text: str) -> bool:
    """Return whether a tokenizer's or a chat template's text has marks of reasoning or channels, without which its model's texts cannot be cleaned."""
    return bool(_MARK.search(text))


def opened_reasoning(prompt: str) -> str:
    """Return the marker of reasoning that a prompt ends with, by which a chat template makes a model think; "" where there is none."""
    tail = list(_REASONING.finditer(prompt, max(0, len(prompt) - 200)))
    last = tail[-1] if tail else None
    return last[0] if last and last["open"] and not prompt[last.end() :].strip() else ""


def answer_of(text: str) -> tuple[str, bool]:
    """Return the answer within a generated text.

    Args:
        text: with the tokens that mark reasoning, channels and turns, as far as the backend leaves them in.

    Returns:
        The answer, and whether reasoning began that never ended (the answer is then what stood before it, mostly nothing).
    """
    if not _MAYBE.search(text):
        return text, False
    text = _FULL_WIDTH.sub(lambda match: f"<|{match[1].replace('▁', '_')}|>", text)
    text, unfinished = _final_channel(text)
    if unfinished:
        return "", True
    text, unfinished = _without_reasoning(text)
    return _own_turn(text), unfinished


def _final_channel(text: str) -> tuple[str, bool]:
    """Take the final channel out of gpt-oss's, also where a decoder has dropped the tokens between them."""
    if "<|channel|>" not in text and "<|message|>" not in text:
        if _HARMONY_WITHOUT_TOKENS.match(text):
            places = list(_FINAL_WITHOUT_TOKENS.finditer(text))
            return (text[places[-1].end() :], False) if places else ("", True)
        match = _FINAL_WITHOUT_TOKENS.match(text)
        return (text[match.end() :] if match else text), False
    first, *parts = _HARMONY.split(text)
    role, channel, answers, thought = "assistant", "", [], False
    if parts and parts[0] == "message":  # the prompt wrote the beginning of the header
        channel = first.strip()
    elif first.strip() not in ("", "assistant"):
        answers.append(("", first))
    for token, content in zip(parts[::2], parts[1::2], strict=True):
        if token == "start":  # noqa: S105 - a mark, no password
            role, channel = content.strip() or "assistant", ""
        elif token == "channel":  # noqa: S105
            channel = content.split()[0] if content.split() else ""
        elif token == "message" and role.startswith("assistant"):  # noqa: S105
            thought |= channel not in ("", "final")
            if channel in ("", "final"):
                answers.append((channel, content))
    for wanted in ("final", ""):
        for channel, content in answers:
            if channel == wanted and content.strip():
                return content, False
    return "", thought or not answers


def _without_reasoning(text: str) -> tuple[str, bool]:
    """Take reasoning off: closed blocks, a block whose start the template wrote, a block that was cut off."""
    tags = list(_REASONING.finditer(text))
    names = [_NOT_OF_A_NAME.sub("", tag[0].lower()) for tag in tags]
    closing = [i for i, tag in enumerate(tags) if tag["close"]]
    by_name: dict[str, list[int]] = defaultdict(list)
    for i in closing:
        by_name[names[i]].append(i)
    kept: list[str] = []
    position = i = 0
    while i < len(tags):
        end = i
        if tags[i]["close"]:
            kept.clear()
        else:
            kept.append(text[position : tags[i].start()])
            # one within another ends the outer one only where nothing else does
            ends = by_name[names[i]] if by_name[names[i]][-1:] > [i] else closing
            number = bisect_right(ends, i)
            if number == len(ends):
                return "".join(kept), True
            end = ends[number]
        position, i = tags[end].end(), end + 1
    return "".join(kept) + text[position:], False


def _own_turn(text: str) -> str:
    """Return what the model says in its own turn; prompt, roles and the turns that it goes on to write are left out."""
    pieces: list[str] = []
    role, position, spoken, struck, last = "assistant", 0, False, False, text.rfind("</s>")
    for match in _TOKEN.finditer(text):
        if match.start() < position:
            continue
        pieces.append(text[position : match.start()])
        spoken = spoken or bool(pieces[-1].strip())
        position = match.end()
        kind = next(value for value in match.groups() if value).lower()
        if (kind == "s" and spoken and match.end() < last) or (kind == "/s" and struck):  # struck out, as HTML has it
            pieces.append(match[0])
            struck = kind == "s"
            continue
        named = _ROLE_TOKEN.fullmatch(kind)
        ends = match["close"] or kind == "[e~[" or _ENDS.fullmatch(kind)
        starts = named or match["open"] or kind in ("inst", "/inst", "system_prompt") or _STARTS.fullmatch(kind)
        if not ends and not starts:
            continue
        if role in _OWN and spoken:
            return "".join(pieces)
        pieces, role, spoken, struck = [], "assistant", False, False
        if named:
            role = named[1]
        elif kind in ("inst", "system_prompt"):
            role = "user"
        if starts and (word := _ROLE_WORD.match(text, position)):
            role, position = word[1].lower(), word.end()
    return "".join(pieces) + text[position:] if role in _OWN else ""
