"""The inference-time guard: an OpenAI-compatible server in front of vLLM that stamps, projects and normalises."""
