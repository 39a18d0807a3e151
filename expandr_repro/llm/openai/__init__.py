"""Any endpoint that speaks the OpenAI protocol."""
