"""An LLM backend: it answers every prompt with the prompt's last line."""

from expandr_repro.llm.base import Identity, Reply, generator


@generator("echo")
class EchoGenerator:
    """The last line of the prompt."""

    def __init__(self, options):
        self.identity = Identity("echo", options.model, options.revision)

    def generate(self, requests, deliver):
        """Answer each request."""
        for request in requests:
            line = request.prompt.strip().splitlines()[-1]
            deliver(Reply(request, f"A passage that answers: {line}", "stop"))
