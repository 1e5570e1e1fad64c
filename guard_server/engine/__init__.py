"""Where answers come from: vLLM, reached through its OpenAI interface."""
