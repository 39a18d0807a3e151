"""Generate texts through any endpoint that speaks the OpenAI protocol."""
