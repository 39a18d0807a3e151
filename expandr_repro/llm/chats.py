"""What an LLM is asked, as messages: most prompts are one message of the user; some have a system message, or begin the answer."""

from __future__ import annotations

Chat = tuple[tuple[str, str], ...]
"""Messages, each a role (system, user or assistant) and a text; a last one of the assistant is the beginning of the answer."""

Prompted = str | Chat
"""A prompt as it is sent: what the user says, or messages."""

ROLES = ("system", "user", "assistant")


def messages_of(prompt: Prompted) -> Chat:
    """Return a prompt as messages.

    >>> messages_of("why do cats purr")
    (('user', 'why do cats purr'),)
    """
    return (("user", prompt),) if isinstance(prompt, str) else prompt


def plain_text(prompt: Prompted) -> str:
    """Return a prompt as a model without a chat template reads it: its messages, blank lines between them."""
    return prompt if isinstance(prompt, str) else "\n\n".join(text for _, text in prompt)


def asked_text(prompt: Prompted) -> str:
    """Return what the user says last, which a model may repeat before it answers."""
    return next((text for role, text in reversed(messages_of(prompt)) if role == "user"), "")


def opens_answer(prompt: Prompted) -> bool:
    """Say whether the last message is the beginning of the answer."""
    return not isinstance(prompt, str) and prompt[-1][0] == "assistant"
