"""The engine `vllm`: a child process of another environment, spoken to over pipes."""
